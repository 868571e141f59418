"""What a prepared set says of itself: its origin, how it was made, and what became of the rows."""

import hashlib
import json
from importlib.metadata import version
from typing import NamedTuple, NotRequired, TypedDict

import molgen
from molgen.data.dataset import StatisticsRecord
from molgen.data.sources import Source

LAYOUT = 1  # of a prepared folder; raised when what `prepare` writes changes


class Record(TypedDict):
    """The content of meta.json."""

    layout: int
    molgen: str  # version
    rdkit: str  # version
    name: str
    sha256: str
    smiles_column: str | None  # as it was asked for
    column: NotRequired[str]  # of the table, that was read
    keep_largest: bool
    standardise: NotRequired[bool]  # only where it is true
    max_atoms: int | None
    properties: NotRequired[list[str]]
    vocabulary: list[list[str | int]]
    statistics: StatisticsRecord
    rows: int
    kept: int
    stereo_dropped: int
    isotopes_dropped: int
    fragments_dropped: int
    standardised: NotRequired[dict[str, int]]  # change -> kept rows; under "rows" those with any change
    rejected: dict[str, int]  # reason -> rows, most frequent first
    duplicates: NotRequired[dict[str, int]]  # of the rejected: stereoisomers of an earlier row, exact repeats of one
    splits: dict[str, int]  # name -> molecules
    files: NotRequired[dict[str, str]]  # name -> SHA-256; sets of earlier versions have none


class Options(NamedTuple):
    """How rows are read and judged; see `molgen.data.prepared.prepare`."""

    smiles_column: str | None
    keep_largest: bool
    max_atoms: int | None
    properties: tuple[str, ...]
    standardise: bool = False

    def to_json(self) -> dict[str, object]:
        """As meta.json has them."""
        record: dict[str, object] = self._asdict()
        del record["properties"], record["standardise"]
        # neither where it is not asked for: sets that were prepared before there was such a thing keep their folder
        standardise = {"standardise": True} if self.standardise else {}
        return record | ({"properties": list(self.properties)} if self.properties else {}) | standardise


def origin(source: Source, options: Options) -> dict[str, object]:
    """The part of a record that is known beforehand."""
    versions = {"molgen": molgen.__version__, "rdkit": version("rdkit")}
    return {"layout": LAYOUT, **versions, "name": source.name, "sha256": source.digest, **options.to_json()}


def folder_name(source: Source, options: Options) -> str:
    """Where a set is kept: another folder for each content, each choice of options, and each version of RDKit.

    With RDKit the canonical SMILES may change, and with them the split.
    """
    key = json.dumps([LAYOUT, version("rdkit"), source.digest, options.to_json()])
    name = "".join(c if c.isalnum() or c in "._-" else "_" for c in source.name)[:80]
    return f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"

"""Prepared data sets: checked, split, measured, and cached as compact tensors so that training starts in seconds."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from filelock import FileLock
from platformdirs import user_cache_dir

from molgen.data.building import CHANGES, REJECTS, build, copy_list
from molgen.data.dataset import GraphDataset, Statistics, read_json
from molgen.data.measured import TargetTable, read_table, target_names, target_table
from molgen.data.public import PUBLIC
from molgen.data.record import LAYOUT, Options, Record, folder_name
from molgen.data.sources import open_source
from molgen.errors import InputError
from molgen.files import sha256_of, unsealed
from molgen.molecules.properties import TARGETS
from molgen.molecules.vocabulary import Vocabulary
from molgen.progress import Progress


@dataclass(frozen=True)
class PreparedSet:
    """A data set on disk: meta.json, rejects.csv, and for each split its graphs and their SMILES.

    Where `prepare` was asked for columns of the user's own, each split also has values-*.safetensors, and once
    `targets` was called, targets-*.safetensors.
    """

    folder: Path
    record: Record

    @property
    def name(self) -> str:
        """Name of the source: a public set, or the file's name."""
        return self.record["name"]

    @property
    def column(self) -> str | None:
        """The SMILES column of the table that was read; None for what is no table, or was prepared long ago."""
        return self.record.get("column")

    @property
    def changes(self) -> Path | None:
        """The list of the kept rows that were standardised, as CSV; None where it was not asked for."""
        return self.folder / CHANGES if self.record.get("standardise") else None

    @property
    def vocabulary(self) -> Vocabulary:
        """The atom classes, measured from all kept molecules (for MOSES: from its training file)."""
        return Vocabulary.from_json(self.record["vocabulary"])

    @property
    def statistics(self) -> Statistics:
        """Sizes and class shares of the training split."""
        return Statistics.from_json(self.record["statistics"])

    @property
    def splits(self) -> dict[str, int]:
        """Number of molecules in each split; train, valid and test are always there."""
        return self.record["splits"]

    @property
    def properties(self) -> tuple[str, ...]:
        """The user's own columns, as `prepare` was asked for them."""
        return tuple(self.record.get("properties", ()))

    def graphs(self, split: str) -> GraphDataset:
        """The graphs of one split. Raises InputError for an unknown split or a damaged file."""
        return GraphDataset.load(self.whole(self._file(split, "safetensors")), self.vocabulary)

    def smiles(self, split: str) -> list[str]:
        """Canonical SMILES in the order of the graphs: by size ascending, then as in that size's batch."""
        path = self.whole(self._file(split, "smi"))
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror})") from None
        if len(lines) != self.splits[split]:
            raise InputError(
                f"{path} should hold {self.splits[split]} molecules, got {len(lines)}; delete {self.folder}"
            )
        return lines

    def targets(self, split: str, *, workers: int | None = None, progress: Progress | None = None) -> TargetTable:
        """What a network can be told of each molecule of a split, in the order of `smiles`; NaN where it has no value.

        The columns: TARGETS, for QM9 then QUANTUM, then `properties`. TARGETS are measured when first asked for, of an
        even draw of MEASURED molecules where there are more, on `workers` processes (None: one per core; some 400
        molecules per second on each), and kept in the folder. A killed call is resumed by the next one. Where QM9's
        package cannot be fetched, the columns of QUANTUM are missing, and they are looked for again next time. Raises
        InputError for an unknown split or a damaged file.
        """
        path = self._file(split, "safetensors", "targets-")
        quantum = self.name == "qm9"
        kept = read_table(path, target_names(quantum, self.properties), self.splits[split])
        if kept is not None:
            return kept
        downloads = cache_folder() / "downloads" if quantum else None
        stage = f"measuring {self.name} {split}"
        return target_table(path, self.smiles(split), self._values(split), downloads, workers, progress, stage)

    def whole(self, path: Path) -> Path:
        """A file of the set, as it was written. Raises InputError where it is not."""
        expected = self.record.get("files", {}).get(path.name)
        if expected is not None and path.is_file() and sha256_of(path) != expected:
            raise InputError(f"{path} is damaged; delete {self.folder} and prepare again")
        return path

    def _values(self, split: str) -> TargetTable:
        """The user's own columns, in the order of `smiles`."""
        count = self.splits[split]
        if not self.properties:
            return TargetTable((), np.zeros((count, 0), np.float32))
        path = self.whole(self._file(split, "safetensors", "values-"))
        table = read_table(path, self.properties, count)
        if table is None:
            raise InputError(f"{path} is damaged or missing; delete {self.folder} and prepare again")
        return table

    def _file(self, split: str, extension: str, kind: str = "") -> Path:
        if split not in self.splits:
            raise InputError(f"{self.name} has no split {split!r}; splits: {', '.join(self.splits)}")
        return self.folder / f"{kind}{split}.{extension}"


def cache_folder() -> Path:
    """Where prepared sets and downloads are kept: $MOLGEN_CACHE, or the user's cache folder of this system."""
    return Path(os.environ.get("MOLGEN_CACHE") or user_cache_dir("molgen"))


def open_prepared(folder: Path) -> PreparedSet:
    """The set that `prepare` wrote. Raises InputError where there is none, or one of another version."""
    record = read_json(folder / "meta.json")
    if record.get("layout") != LAYOUT:
        raise InputError(f"{folder} was prepared by another version of molgen; delete it and prepare again")
    whole = unsealed(record)
    if whole is None:
        raise InputError(f"{folder / 'meta.json'} is damaged; delete {folder} and prepare again")
    return PreparedSet(folder, cast(Record, whole))


def prepare(
    source: str,
    *,
    smiles_column: str | None = None,
    keep_largest: bool = False,
    standardise: bool = False,
    max_atoms: int | None = None,
    properties: tuple[str, ...] = (),
    rejects: Path | None = None,
    workers: int | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> PreparedSet:
    """A data set ready for training: from the cache, or read, checked, split and cached.

    source: a public set ("qm9"), the path of a molecule file (see `read_molecules`), or a folder prepared before.
    properties: columns of numbers of a file, read beside the SMILES (see `read_molecules`), for
    `PreparedSet.targets`; of duplicates the first row's values stay, even where they are missing. keep_largest: of
    several fragments keep the largest. standardise: keep each molecule's parent, without metals, salts, solvents,
    charges and isotopes (see `molgen.molecules.standardise`). rejects: also write the list of rejected rows there.

    Split of QM9 and of a file: distinct canonical SMILES, sorted, permuted with seed 0; the first tenth, at most
    10,000, is test, the next as many valid, at least one each (QM9: 10,000 each). MOSES keeps its own test and
    test_scaffolds, and 10,000 of its train are valid by the same rule. A molecule with an atom class that train would
    lack goes to train.

    Raises InputError for unusable input and DownloadError when a public set cannot be fetched.
    """
    if rejects is not None and not rejects.resolve().parent.is_dir():
        raise InputError(f"the folder {rejects.resolve().parent} does not exist")
    if source not in PUBLIC and (Path(source) / "meta.json").is_file():
        prepared = open_prepared(Path(source))
        if properties and properties != prepared.properties:
            have = ", ".join(prepared.properties) or "none"
            raise InputError(f"{source} was not prepared with the columns {', '.join(properties)}; it has {have}")
        if standardise and not prepared.record.get("standardise"):
            raise InputError(f"{source} was not standardised when it was prepared; give the file it was made from")
        return _give(prepared, rejects)
    _check_properties(source, properties)
    cache = cache or cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    options = Options(smiles_column, keep_largest, max_atoms, properties, standardise)
    with open_source(source, cache / "downloads", smiles_column, properties) as opened:
        folder = cache / folder_name(opened, options)
        with FileLock(cache / f"{folder.name}.lock"):
            if not (folder / "meta.json").is_file():
                work = cache / f".{folder.name}.part"
                shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
                work.mkdir()
                try:
                    build(opened, work, options, rejects, workers, progress)
                    shutil.rmtree(folder, ignore_errors=True)
                    work.replace(folder)
                finally:
                    shutil.rmtree(work, ignore_errors=True)
            return _give(open_prepared(folder), rejects)


def _check_properties(source: str, properties: tuple[str, ...]) -> None:
    """Raise InputError for the user's columns where there can be none, or where their names would be ambiguous."""
    if properties and source in PUBLIC:
        raise InputError(f"{source} has no columns of its own; a property column is one of your own file")
    for name in properties:
        if name in TARGETS:
            raise InputError(f"molgen computes {name!r} itself; give that column of {source} another name")
        if properties.count(name) > 1:
            raise InputError(f"duplicate property column {name!r}")


def _give(prepared: PreparedSet, rejects: Path | None) -> PreparedSet:
    if rejects is not None:
        copy_list(prepared.whole(prepared.folder / REJECTS), rejects)
    return prepared

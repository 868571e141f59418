"""A visitor's sets as one file, to take away and to open elsewhere: gzipped JSON.

{"molgen project": 1, "sets": [...]}, of each set what the store keeps of it, and its molecules. A file may come from
anybody: the molecules are read and judged anew, and only what does not follow from them is taken as it is.
"""

import gzip
import io
import json
import math
import zlib
from typing import Any

import pandas as pd
from job_queue import Job
from jobs import MAX_UNPACKED, MoleculeSet, values_of
from references import References
from store import described, put_back

from molgen.data.readers import Row
from molgen.errors import InputError
from molgen.evaluation.assessment import assess
from molgen.generation.cores import growth_sites

HEADER = "molgen project"
MOST_SETS = 40
LONGEST = 4_000  # characters of a text
# columns of molecules that do not follow from what they are
TEXTS = ("name", "input", "isomer", "smiles", "reason", "changes", "note")
NUMBERS = ("row", "sample", "likeness", "score")
ABOUT = ("label", "source", "novel_to", "command", "state", "error", "core", "note")


def project_bytes(sets: list[MoleculeSet]) -> bytes:
    """The sets as a project file, without those that are still made."""
    ended = [one for one in sets if not one.busy]
    record = {HEADER: 1, "sets": [described(one) | {"molecules": _columns(one.frame())} for one in ended]}
    return gzip.compress(json.dumps(record).encode("utf-8"))


def _columns(frame: pd.DataFrame) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {name: frame[name].fillna("").tolist() for name in TEXTS if name in frame}
    for name in [*NUMBERS, *values_of(frame)]:
        if name in frame:
            found[name] = [None if math.isnan(value) else value for value in frame[name].tolist()]
    if "novel" in frame:
        found["novel"] = [value if isinstance(value, bool) else None for value in frame["novel"].tolist()]
    return found


class Opening(Job):
    """A project file that is read again. sets: what was in it, when the job is done."""

    def __init__(
        self, name: str, content: bytes, minutes: float, max_rows: int, references: References, workers: int
    ) -> None:
        super().__init__(name.replace("\\", "/").split("/")[-1][:80] or "project", minutes)
        self.content, self.max_rows, self.references, self.workers = content, max_rows, references, workers
        self.sets: list[MoleculeSet] = []

    def work(self) -> None:
        try:
            sets = _read(self.content)
            tables = [_table(about.pop("molecules")) for about in sets]
        except (
            gzip.BadGzipFile,
            EOFError,
            zlib.error,
            KeyError,
            ValueError,
            TypeError,
            AttributeError,
            RecursionError,
        ):
            raise InputError(f"{self.label} is no molgen project, or a damaged one") from None
        finally:
            self.content = b""
        total = sum(map(len, tables))
        if total > self.max_rows:
            raise InputError(
                f"{self.label} holds {total:,} molecules; {self.max_rows:,} is the most that is opened here"
            )
        self.sets = [self._opened(about, table) for about, table in zip(sets, tables, strict=True)]

    def _opened(self, about: dict[str, Any], table: pd.DataFrame) -> MoleculeSet:
        if about["source"] not in self.references.choices:  # a path, perhaps, which is no business of a file
            about["source"] = self.references.choices[0]
        made = put_back(about, self.references)
        if len(table):
            known = made.known.get(self.tell)
            texts = table["isomer"].where(table["isomer"] != "", table["smiles"])
            texts = texts.where(texts != "", table["input"])
            rows = map(Row, table["row"], table["name"], texts)
            parts: list[pd.DataFrame] = []
            for frame in assess(rows, self.workers):
                parts.append(known.compare(frame))
                self.tell(f"judging {made.label}", sum(map(len, parts)), len(table))
            made.whole = _merged(pd.concat(parts, ignore_index=True), table)
        return made


def _merged(frame: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Molecules judged anew, with what the file alone knows of them."""
    valid = frame["valid"].astype(bool)
    told = ~valid & (table["reason"] != "")  # of a mol block, which is not in the file
    frame["reason"] = frame["reason"].where(~told, table["reason"])
    if "novel" in table:  # for molecules of a model: not in the training data
        frame["novel"] = table["novel"].where(valid, None)
    for name in ["input", "changes", "note", "sample", "likeness", "score", *values_of(table)]:
        if name in table:
            frame[name] = table[name]
    return frame


def _read(content: bytes) -> list[dict[str, Any]]:
    """What is told of each set, checked. Raises InputError, and many others for what is no project."""
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        text = file.read(MAX_UNPACKED + 1)
    if len(text) > MAX_UNPACKED:
        raise InputError(f"a project may unpack to {MAX_UNPACKED / 1e6:.0f} MB here, and this one is larger")
    record = json.loads(text)
    sets: list[dict[str, Any]] = record["sets"]
    if record[HEADER] != 1 or not isinstance(sets, list):
        raise ValueError
    if len(sets) > MOST_SETS:
        raise InputError(f"the project has {len(sets)} sets; {MOST_SETS} is the most that is opened here")
    for about in sets:
        counts = [about["requested"], *about["counts"].values(), *about["reasons"].values()]
        counts += [] if about["drawn_for"] is None else [about["drawn_for"]]
        texts = [about[name] for name in ABOUT] + [*about["counts"], *about["reasons"]]
        if not all(map(_is_text, texts)) or not all(isinstance(one, int) and 0 <= one < 10**12 for one in counts):
            raise ValueError
        if about["state"] not in ("done", "stopped", "failed"):
            raise ValueError
        if about["core"]:
            growth_sites(about["core"])
    return sets


def _table(columns: dict[str, list[Any]]) -> pd.DataFrame:
    """The molecules of a set, checked; texts that are missing are empty."""
    length, values = len(columns["row"]), values_of(columns)
    kept: dict[str, list[Any]] = {name: [""] * length for name in TEXTS if name != "note"}
    kept |= {name: columns[name] for name in (*TEXTS, *NUMBERS, "novel", *values) if name in columns}
    for name, column in kept.items():
        fits = _is_text if name in TEXTS else _is_flag if name == "novel" else _is_number
        if len(column) != length or not all(map(fits, column)):
            raise ValueError
    if len(set(kept["row"])) < length or not all(isinstance(row, int) for row in kept["row"]):
        raise ValueError
    numbers = (*NUMBERS, *values)
    frame = pd.DataFrame(
        {name: pd.Series(column, dtype=None if name in numbers else object) for name, column in kept.items()}
    )
    return frame.astype({name: float for name in ["likeness", "score", *values] if name in frame})


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and abs(value) < 10**12)


def _is_flag(value: object) -> bool:
    return value is None or isinstance(value, bool)

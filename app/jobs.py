"""The work of the app: molecules brought, put aside and compared, each a job of the queue."""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
from job_queue import Job
from references import Known, compared

from molgen.data.readers import Row, read_molecules
from molgen.errors import InputError, MolgenError
from molgen.evaluation.account import Account, told
from molgen.evaluation.assessment import assess
from molgen.evaluation.report import Report
from molgen.evaluation.screening import parse_profile
from molgen.generation.cores import growth_sites

MAX_UNPACKED = 64_000_000  # bytes
VALUE = "value of "  # begins the column of a component of a search's objective


def values_of(columns: Iterable[str]) -> list[str]:
    """Those of the columns that hold values of components."""
    return [name for name in columns if name.startswith(VALUE)]


def to_show(chosen: Iterable[str], columns: Collection[str]) -> list[str]:
    """The columns of numbers and texts that show: first the values of components, then the chosen ones beside them."""
    return [*values_of(columns), *(name for name in chosen if f"{VALUE}{name}" not in columns)]


class MoleculeSet(Job):
    """A job that makes a table of molecules: the columns of `assess`, and what a reference adds.

    known: what it is compared with; novel_to: outside of what molecules are called new; core: what all were made to
    contain, as SMILES, "" for nothing; note: what the visitor has written; requested, reasons: rows or samples so far,
    and why some are no molecules; whole: the table when the job has ended.
    """

    def __init__(self, label: str, minutes: float, known: Known) -> None:
        super().__init__(label, minutes)
        self.known, self.novel_to, self.core, self.note = known, "", "", ""
        self.parts: list[pd.DataFrame] = []
        self.whole: pd.DataFrame | None = None
        self.command = ""
        self.requested = 0
        self.reasons: Counter[str] = Counter()

    def tell_stage(self, stage: str, done: int, total: int | None) -> None:
        """Progress of work that is no molecules, such as known ones that are made ready."""
        self.doing = f"{stage}: {done:,} of {total:,}" if total else stage
        self.check()

    def compare(self, frame: pd.DataFrame) -> None:
        """Add what known molecules say to molecules of a model; without them these are there all the same."""
        try:
            found = compared(frame, self.known.get(self.tell_stage), self.tell_stage)
        except MolgenError as error:
            self.error = str(error)
        else:
            self.whole = found.assign(novel=frame["novel"])  # not in the training data, as `molgen generate` says it

    @property
    def kept(self) -> str:
        """The core without its attachment points, to mark it and to lay molecules out on it; "" for none."""
        return growth_sites(self.core).smiles if self.core else ""

    def frame(self) -> pd.DataFrame:
        """The molecules so far."""
        if self.whole is not None:
            return self.whole
        parts = list(self.parts)
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["smiles", "valid"])

    @property
    def drawn_for(self) -> int | None:
        """Rows or samples that the table was made of, failures included; None where that says nothing of it."""
        return self.requested

    @property
    def size(self) -> int:
        """Valid molecules in the table so far."""
        return int(self.frame()["valid"].sum())

    @property
    def empty(self) -> bool:
        """Ended with nothing to look at, as a file that was refused."""
        return not self.busy and self.state != "done" and not len(self.frame())

    def counts(self) -> dict[str, int]:
        """requested, valid, unique, novel: of the molecules so far."""
        frame = self.frame()
        valid = frame[frame["valid"].astype(bool)] if len(frame) else frame
        first = valid.drop_duplicates("smiles")
        novel = int((first["novel"] == True).sum()) if "novel" in first else 0  # noqa: E712 it may be None
        return {"requested": self.requested, "valid": len(valid), "unique": len(first), "novel": novel}


class Upload(MoleculeSet):
    """A visitor's own molecules. content: the bytes of a file whose name, as sent, gives the format.

    standardise: judge the parent of each molecule, without salts, solvents and charges. column: of a table, which one
    holds the SMILES, "" where that is to be found; afterwards the one that was read, "" for what is no table.
    """

    def __init__(
        self,
        name: str,
        content: bytes,
        minutes: float,
        max_rows: int,
        known: Known,
        workers: int,
        standardise: bool = False,
        column: str = "",
    ) -> None:
        # a name can hold anything, a path too: only its last part is shown, and only its ending is used
        super().__init__(name.replace("\\", "/").split("/")[-1][:80] or "molecules", minutes, known)
        self.content, self.max_rows, self.workers, self.standardise = content, max_rows, workers, standardise
        self.column = column

    def work(self) -> None:
        endings = [ending for ending in Path(self.label.lower()).suffixes[-2:] if ending.isascii()]
        folder = Path(tempfile.mkdtemp(prefix="molgen-"))
        try:
            path = folder / f"upload{''.join(endings)[:20]}"
            path.write_bytes(self.content)
            self.content = b""
            rows = list(islice(self._read(path), self.max_rows + 1))
            if len(rows) > self.max_rows:
                raise InputError(
                    f"{self.label} has more than {self.max_rows:,} rows, the most that this server takes; "
                    "molgen report on the command line takes any number"
                )
            reference = self.known.get(self.tell)
            self.novel_to = reference.known_name
            for frame in assess(rows, self.workers, self.standardise):
                self.parts.append(reference.compare(frame))
                self.requested += len(frame)
                self.reasons.update(frame.loc[~frame["valid"].astype(bool), "reason"])
                self.tell("judging", self.requested, len(rows))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self.whole = self.frame()

    def _read(self, path: Path) -> Iterator[Row]:
        wanted, self.column = self.column or None, ""

        def found(name: str) -> None:
            self.column = name

        try:
            yield from read_molecules(path, wanted, MAX_UNPACKED, self.label, on_column=found)
        except InputError as error:
            if error.parameter != "smiles_column":
                raise
            raise InputError(f"{error} in the field under the file") from None

    def account(self) -> list[str]:
        """What is to be told of the valid molecules: stereo that was left out, repeats, what was changed."""
        frame = self.frame()
        valid = frame[frame["valid"].astype(bool)]
        account = Account()
        account.add(valid["isomer"].tolist(), (filter(None, text.split("; ")) for text in valid["changes"]))
        duplicates = account.duplicates(valid["smiles"].nunique())
        stereo = int((valid["isomer"] != valid["smiles"]).sum())
        lines = [f"Stereo of {stereo:,} of the valid is kept in files, and left out of all figures."]
        return lines[: stereo > 0] + told(duplicates, account.standardised() if self.standardise else None)


class Basket(MoleculeSet):
    """Molecules that a visitor has put aside, of any set; each once."""

    LIMIT = 1_000

    def __init__(self, known: Known) -> None:
        super().__init__("Basket", 0, known)
        self.state, self.doing, self.whole = "done", "", pd.DataFrame(columns=["smiles", "valid", "row", "note"])
        self.novel_to = "what the molecule's set was compared with"
        self.over.set()

    def frame(self) -> pd.DataFrame:
        """The molecules, in the order in which they came."""
        assert self.whole is not None
        return self.whole

    @property
    def empty(self) -> bool:
        """Nothing is put aside."""
        return not len(self.frame())

    def put(self, rows: pd.DataFrame) -> int:
        """Put molecules aside, as many as there is room for; how many of them are new there."""
        held = self.frame()
        new = rows[(rows["smiles"] != "") & ~rows["smiles"].isin(held["smiles"])].drop_duplicates("smiles")
        new = new[: self.LIMIT - len(held)].drop(columns="sample", errors="ignore")
        first = int(held["row"].max()) + 1 if len(held) else 1
        new = new.assign(row=range(first, first + len(new)), note="")
        if len(new):
            self.whole = pd.concat([held, new], ignore_index=True) if len(held) else new.reset_index(drop=True)
        self.requested = len(self.frame())
        return len(new)

    def write(self, smiles: str, note: str) -> None:
        """Write a note on a molecule."""
        held = self.frame()
        self.whole = held.assign(note=held["note"].where(held["smiles"] != smiles, note))

    def take_out(self, rows: pd.DataFrame) -> None:
        """Put molecules back."""
        held = self.frame()
        self.whole = held[~held["smiles"].isin(rows["smiles"])].reset_index(drop=True)
        self.requested = len(self.whole)


class Comparison(Job):
    """`molgen report` of one or several sets. files: the report's files by name; record: what summary.json holds."""

    def __init__(
        self,
        sets: list[MoleculeSet],
        profile: str,
        minutes: float,
        known: Known,
    ) -> None:
        super().__init__(", ".join(one.label for one in sets), minutes)
        self.sets, self.known = sets, known
        self.profile = parse_profile("profile", profile, "the profile")
        self.files: dict[str, bytes] = {}
        self.record: dict[str, Any] = {}

    def work(self) -> None:
        reference = self.known.get(self.tell)
        folder = Path(tempfile.mkdtemp(prefix="molgen-"))
        try:
            with Report(reference, self.profile, folder, self.tell) as report:
                for number, one in enumerate(self.sets, 1):
                    frame = one.frame()
                    if "nearest" not in frame or one.novel_to != reference.known_name:
                        frame = compared(frame, reference, self.tell)
                    self.tell(f"judging {one.label}", 0, None)
                    invalid = Counter(frame.loc[~frame["valid"].astype(bool), "reason"])
                    label = f"{number}. {one.label}" if len(self.sets) > 1 else one.label
                    reasons = {} if one.drawn_for is None else dict(one.reasons - invalid)
                    report.add_assessed(label, [frame], one.drawn_for, reasons)
                report.write()
            self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
            self.record = json.loads(self.files["summary.json"])
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def labels(sets: Iterable[MoleculeSet]) -> Iterator[str]:
    """What the sets are called, numbered so that no two are alike."""
    for number, one in enumerate(sets, 1):
        yield f"{number}. {one.label}"

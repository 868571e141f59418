"""The work of the app: molecules made, brought and compared, each a job of the queue."""

import json
import shlex
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
from job_queue import FINISH_SECONDS, Job

from molgen.data.readers import Row, read_molecules
from molgen.data.writers import molecule_name
from molgen.errors import InputError
from molgen.evaluation.assessment import assess, assess_one
from molgen.evaluation.reference import Reference
from molgen.evaluation.report import Report
from molgen.evaluation.screening import parse_profile
from molgen.generation.runs import Tally, taken
from molgen.generation.sampling import Shards, in_order
from molgen.generation.settings import Settings
from molgen.models.checkpoints import Model

MAX_UNPACKED = 64_000_000  # bytes


class MoleculeSet(Job):
    """A job that makes a table of molecules: the columns of `assess`, and what a reference adds.

    counts: requested, valid, unique, novel and reasons; whole when the job has ended.
    """

    def __init__(self, label: str, minutes: float) -> None:
        super().__init__(label, minutes)
        self.parts: list[pd.DataFrame] = []
        self.whole: pd.DataFrame | None = None
        self.command = ""
        self.requested = 0
        self.reasons: Counter[str] = Counter()

    def frame(self) -> pd.DataFrame:
        """The molecules so far."""
        if self.whole is not None:
            return self.whole
        parts = list(self.parts)
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["smiles", "valid"])

    def counts(self) -> dict[str, int]:
        """requested, valid, unique, novel: of the molecules so far."""
        frame = self.frame()
        valid = frame[frame["valid"].astype(bool)] if len(frame) else frame
        first = valid.drop_duplicates("smiles")
        novel = int((first["novel"] == True).sum()) if "novel" in first else 0  # noqa: E712 it may be None
        return {"requested": self.requested, "valid": len(valid), "unique": len(first), "novel": novel}


class Generation(MoleculeSet):
    """New molecules of a model; the same ones as `molgen generate` with the same settings."""

    def __init__(
        self, label: str, minutes: float, model: Model, settings: Settings, reference: Callable[[], Reference]
    ) -> None:
        super().__init__(label, minutes)
        self.model, self.settings, self.reference = model, settings, reference
        self.command = _command(model, settings)
        self.total = settings.unique or settings.samples

    def work(self) -> None:
        batches: list[pd.DataFrame] = []

        def show(batch: pd.DataFrame) -> None:
            batches.append(batch)
            assessed = self._assessed(batch)  # whole, also where a stop is asked for: what was decoded is kept
            self.requested += len(batch)
            if len(assessed):
                self.parts.append(assessed)
            self.check()

        shards = Shards(self.model, self.settings)
        try:
            for _ in taken(shards.draw_all(self._drawn, show), Tally(self.settings.unique)):
                pass
        finally:  # also of a shard that was not finished
            self.whole = self._counted(batches)
        self.doing = "comparing with known molecules"
        if len(self.whole):
            novel = self.whole["novel"]
            compared = self.reference().compare(self.whole)
            self.whole = compared.assign(novel=novel)  # not in the training data, as `molgen generate` says it

    def _drawn(self, _stage: str, done: int, _total: int | None) -> None:
        self.done = done
        if self.settings.unique:
            self.done = len({smiles for part in list(self.parts) for smiles in part["smiles"]})
        if self.stop.is_set():
            self.doing = "stopping: finishing the molecules that were begun"
        self.check(FINISH_SECONDS)  # the batch in flight would be lost

    def _counted(self, batches: list[pd.DataFrame]) -> pd.DataFrame:
        """The molecules that belong into the set, in order; counts all that were drawn."""
        tally, frame = Tally(self.settings.unique), self.frame()
        if batches:
            kept = tally.add(in_order(batches))["sample"]
            if len(frame):
                frame = frame[frame["sample"].isin(kept)].sort_values("sample", ignore_index=True)
        self.requested, self.reasons = tally.requested, tally.reasons
        self.done = tally.unique if self.settings.unique else tally.requested
        return frame

    def _assessed(self, batch: pd.DataFrame) -> pd.DataFrame:
        """The valid molecules of a batch. They are our own graphs, too small to harm RDKit: no process is needed."""
        records = []
        for row in batch[batch["reason"] == ""].to_dict("records"):
            name = molecule_name(row["sample"])
            record = {"row": row["sample"], "name": name, "input": row["smiles"], "sample": row["sample"]}
            records.append(record | assess_one(Row(row["sample"], name, row["smiles"])) | {"novel": row["novel"]})
        return pd.DataFrame(records)


def _command(model: Model, settings: Settings) -> str:
    shipped = settings.model == model.path.name
    words: dict[str, object] = {"--model": settings.model if shipped else model.path}
    if settings.unique:
        words |= {"--unique": settings.unique, "--max-samples": settings.samples}
    else:
        words["--num"] = settings.samples
    words |= {"--sampler": settings.sampler, "--steps": settings.steps, "--seed": settings.seed}
    words |= {"--formula": settings.formula} if settings.formula else {}
    words |= {"--atoms": settings.atoms} if settings.atoms else {}
    words["--output"] = "molecules.csv"
    return shlex.join(["molgen", "generate", *(str(word) for pair in words.items() for word in pair)])


class Upload(MoleculeSet):
    """A visitor's own molecules. content: the bytes of a file whose name, as sent, gives the format."""

    def __init__(
        self, name: str, content: bytes, minutes: float, max_rows: int, reference: Callable[[], Reference], workers: int
    ) -> None:
        # a name can hold anything, a path too: only its last part is shown, and only its ending is used
        super().__init__(name.replace("\\", "/").split("/")[-1][:80] or "molecules", minutes)
        self.content, self.max_rows, self.reference, self.workers = content, max_rows, reference, workers

    def work(self) -> None:
        endings = [ending for ending in Path(self.label.lower()).suffixes[-2:] if ending.isascii()]
        folder = Path(tempfile.mkdtemp(prefix="molgen-"))
        try:
            path = folder / f"upload{''.join(endings)[:20]}"
            path.write_bytes(self.content)
            self.content = b""
            rows = list(islice(read_molecules(path, max_bytes=MAX_UNPACKED, label=self.label), self.max_rows + 1))
            if len(rows) > self.max_rows:
                raise InputError(
                    f"{self.label} has more than {self.max_rows:,} rows, the most that this server takes; "
                    "molgen report on the command line takes any number"
                )
            self.tell("loading the known molecules", 0, len(rows))
            reference = self.reference()
            for frame in assess(rows, self.workers):
                self.parts.append(reference.compare(frame))
                self.requested += len(frame)
                self.reasons.update(frame.loc[~frame["valid"].astype(bool), "reason"])
                self.tell("judging", self.requested, len(rows))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self.whole = self.frame()


class Comparison(Job):
    """`molgen report` of one or several sets. files: the report's files by name; record: what summary.json holds."""

    def __init__(
        self,
        sets: list[MoleculeSet],
        profile: str,
        minutes: float,
        reference: Callable[[], Reference],
    ) -> None:
        super().__init__(", ".join(one.label for one in sets), minutes)
        self.sets, self.reference = sets, reference
        self.profile = parse_profile("profile", profile, "the profile")
        self.files: dict[str, bytes] = {}
        self.record: dict[str, Any] = {}

    def work(self) -> None:
        self.tell("loading the known molecules", 0, None)
        reference = self.reference()
        folder = Path(tempfile.mkdtemp(prefix="molgen-"))
        try:
            with Report(reference, self.profile, folder, self.tell) as report:
                for number, one in enumerate(self.sets, 1):
                    frame = one.frame()
                    if "nearest" not in frame:  # stopped before its comparison
                        frame = reference.compare(frame)
                    self.tell(f"judging {one.label}", 0, None)
                    invalid = Counter(frame.loc[~frame["valid"].astype(bool), "reason"])
                    label = f"{number}. {one.label}" if len(self.sets) > 1 else one.label
                    report.add_assessed(label, [frame], one.requested, dict(one.reasons - invalid))
                report.write()
            self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
            self.record = json.loads(self.files["summary.json"])
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def labels(sets: Iterable[MoleculeSet]) -> Iterator[str]:
    """What the sets are called, numbered so that no two are alike."""
    for number, one in enumerate(sets, 1):
        yield f"{number}. {one.label}"

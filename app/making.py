"""Molecules made by a model, as a job of the queue."""

import shlex
import time
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from job_queue import FINISH_SECONDS, Job
from jobs import MoleculeSet
from references import Known

from molgen.data.readers import Row
from molgen.data.writers import molecule_name
from molgen.evaluation.assessment import assess_one
from molgen.generation.analogues import with_noise
from molgen.generation.runs import Tally, taken
from molgen.generation.sampling import Shards, in_order
from molgen.generation.settings import Settings, filter_of, wanted_of
from molgen.models.checkpoints import Model


class Generation(MoleculeSet):
    """New molecules of a model; the same ones as `molgen generate` with the same settings.

    tally: counts what was decoded, and what the filter lets through.
    """

    def __init__(self, name: str, minutes: float, model: Model, settings: Settings, known: Known) -> None:
        asked = settings.formula or settings.atoms or settings.core or (settings.like and f"like {settings.like}")
        super().__init__(f"{asked} {name}" if asked else name, minutes, known)
        self.model, self.settings, self.core = model, settings, settings.core or ""
        self.novel_to = f"what {model.name} was trained on"
        self.command = command_line(model, settings)
        self.total = settings.unique or settings.samples
        self.filter = filter_of(model, settings)
        wanted = wanted_of(model, settings)
        self.warnings = wanted.warnings(model.statistics)
        self.tally = Tally(None, wanted.targets, self.filter)
        self.drawing_from = 0.0
        self.pace = 0.0  # seconds of a sample in one network evaluation; 0 until the job is done

    def counts(self) -> dict[str, int]:
        """requested, valid, unique, novel: of the samples so far; passed: those that the filter lets through."""
        tally = self.tally
        counts = {"requested": tally.requested, "valid": tally.valid, "unique": tally.unique, "novel": tally.novel}
        return counts | ({} if self.filter is None else {"passed": tally.passed})

    @property
    def drawing_seconds(self) -> float:
        """Time since the drawing began."""
        return time.monotonic() - self.drawing_from if self.drawing_from else 0.0

    @property
    def drawn_for(self) -> int | None:
        """Samples that stand behind the molecules; None where a filter stands between."""
        return self.requested if self.filter is None else None

    def work(self) -> None:
        settings = with_noise(self.model, self.settings, self.tell_stage)
        batches: list[pd.DataFrame] = []

        def show(batch: pd.DataFrame) -> None:
            batches.append(batch)
            assessed = self._assessed(batch)  # whole, also where a stop is asked for: what was decoded is kept
            self.tally.add(batch)
            self.requested = self.tally.requested
            if len(assessed):
                self.parts.append(assessed)
            self.check()

        shards = Shards(self.model, settings)
        try:
            for _ in taken(shards.draw_all(self._drawn, show), self._new_tally()):
                pass
        finally:  # also of a shard that was not finished
            self.whole = self._counted(batches)
        self.pace = self.drawing_seconds / (self.requested * evaluations(settings.steps, settings.guidance))
        if len(self.whole):
            self.compare(self.whole)

    def _drawn(self, _stage: str, done: int, _total: int | None) -> None:
        self.doing, self.drawing_from = "", self.drawing_from or time.monotonic()
        self.done = self.tally.passed if self.settings.unique else done
        if self.stop.is_set():
            self.doing = "stopping: finishing the molecules that were begun"
        self.check(FINISH_SECONDS)  # the batch in flight would be lost

    def _new_tally(self) -> Tally:
        return Tally(self.settings.unique, self.tally.targets, self.filter)

    def _counted(self, batches: list[pd.DataFrame]) -> pd.DataFrame:
        """The molecules that belong into the set, in order; counts all that were drawn."""
        tally, frame = self._new_tally(), self.frame()
        if batches:
            kept = tally.add(in_order(batches))["sample"]
            if len(frame):
                frame = frame[frame["sample"].isin(kept)].sort_values("sample", ignore_index=True)
        self.tally, self.requested, self.reasons = tally, tally.requested, tally.reasons.copy()
        self.done = tally.passed if self.settings.unique else tally.requested
        return frame

    def _assessed(self, batch: pd.DataFrame) -> pd.DataFrame:
        """The valid molecules of a batch that the filter lets through, with the columns of an assessment."""
        kept = batch["reason"] == ""
        if self.filter is not None:
            kept &= batch["stopped_by"] < 0
        records = []
        for row in batch[kept].to_dict("records"):
            record = assessed_sample(row["sample"], row["smiles"]) | {"novel": row["novel"]}
            records.append(record | ({"likeness": row["similarity"]} if "similarity" in row else {}))  # to the lead
        return pd.DataFrame(records)


def assessed_sample(number: int, smiles: str) -> dict[str, object]:
    """A molecule that a model made, with the columns of an assessment.

    It was our own graph, too small to harm RDKit: no process is needed.
    """
    name = molecule_name(number)
    return {"row": number, "name": name, "input": smiles, "sample": number} | assess_one(Row(number, name, smiles))


def evaluations(steps: int, guidance: float | None) -> int:
    """Network evaluations of a sample."""
    return steps * (2 if guidance else 1)


def expected_seconds(jobs: Iterable[Job], model: Model, wanted: Mapping[str, Any]) -> float | None:
    """What the samples that a form asks for (`make_settings`) would take here, as the last of the model did, if any."""
    paces = [job.pace for job in jobs if isinstance(job, Generation) and job.model is model and job.pace]
    if not paces or "num" not in wanted:
        return None
    return float(paces[-1] * wanted["num"] * evaluations(wanted["steps"], wanted.get("guidance")))


def command_line(model: Model, settings: Settings) -> str:
    """The `molgen generate` line that makes the same molecules."""
    shipped = settings.model == model.path.name
    words: list[tuple[str, object]] = [("--model", settings.model if shipped else model.path)]
    if settings.unique:
        words += [("--unique", settings.unique), ("--max-samples", settings.samples)]
    else:
        words.append(("--num", settings.samples))
    words += [("--sampler", settings.sampler), ("--steps", settings.steps), ("--seed", settings.seed)]
    for name in ("formula", "atoms", "core", "size", "like", "similarity", "guidance", "profile"):
        if (value := getattr(settings, name)) is not None:
            words.append((f"--{name}", value))
    words += [("--target", text) for text in settings.targets]
    flags = ["--known-rings"] if settings.known_rings else []
    return shlex.join(
        ["molgen", "generate", *(str(word) for pair in words for word in pair), *flags, "--output", "molecules.csv"]
    )

"""A generation run: shards of samples, kept until the output is whole, and resumed after a crash."""

import dataclasses
import platform
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

import molgen
from molgen.data.writers import open_writer
from molgen.errors import InputError, MolgenError
from molgen.evaluation.verdicts import Summary
from molgen.files import sha256_of
from molgen.generation.analogues import with_noise
from molgen.generation.executors import finished_shards, is_whole, shard_file
from molgen.generation.filters import Filter
from molgen.generation.likelihood import LIKELIHOOD_DRAWS
from molgen.generation.settings import Settings, columns, filter_of, wanted_of
from molgen.generation.stereo import Spread, Told
from molgen.generation.typical import TypicalBounds
from molgen.generation.wanted import Span
from molgen.generation.work_folder import deliver, unfinished_output, work_folder, write_record, write_settings
from molgen.models.checkpoints import Model
from molgen.molecules.hashing import DistinctMolecules
from molgen.molecules.properties import TARGETS
from molgen.progress import Progress, silent
from molgen.workers import current_engine

WORKERS_PER_CORE = 4  # more only cost memory


class Obtained(TypedDict):
    """A target: the value or range asked for, as text if a range, and of the molecules the mean, the spread, the mean
    distance from it, and of a range the share inside."""

    asked: float | str
    mean: float
    spread: float
    error: float
    inside: NotRequired[float]


class Kept(TypedDict):
    """A rule of the filter: how many distinct valid molecules came through it and all before it."""

    rule: str
    left: int


class Record(TypedDict):
    """What is written beside the molecules: this, the settings, the versions of what made them, and the output's hash.

    nll_percentile: what molecules are compared with; counts: those of `Summary`, before any filter; filter: what it let
    through, rule by rule; rows: of the output; fell_short: fewer distinct molecules than asked for;
    samples_of_earlier_starts: drawn before the run was resumed, so not in seconds.
    """

    model: str
    device: str
    sampler: str
    steps: int
    seed: int
    columns: list[str]
    counts: dict[str, object]
    rows: int
    obtained: NotRequired[dict[str, Obtained]]
    filter: NotRequired[list[Kept]]
    nll_percentile: NotRequired[str]
    stereoisomers: NotRequired[Told]
    fell_short: bool
    samples_of_earlier_starts: int
    engine: str
    workers: int
    seconds: float
    samples_per_second: float


class Result(NamedTuple):
    """What a run made: its counts, and its record."""

    summary: Summary
    record: Record


class Tally:
    """Counts the samples of a run, in order, and picks the rows of the output."""

    def __init__(
        self, unique: int | None, targets: Mapping[str, Span] | None = None, kept: Filter | None = None
    ) -> None:
        self.wanted = unique
        self.rules = [] if kept is None else kept.rules
        self.stopped = np.zeros(len(self.rules), np.int64)  # distinct molecules, by the first rule that they fail
        self.targets = targets or {}
        self.obtained = pd.DataFrame(
            {name: [0.0] * 5 for name in self.targets}, index=["count", "sum", "squares", "off", "inside"]
        )
        self.distinct = DistinctMolecules()
        self.requested = self.sanitised = self.valid = self.unique = self.novel = self.rows = 0
        self.reasons: Counter[str] = Counter()

    @property
    def finished(self) -> bool:
        """As many distinct molecules as were asked for."""
        return self.wanted is not None and self.passed >= self.wanted

    @property
    def passed(self) -> int:
        """Distinct valid molecules that the filter lets through; without one, all."""
        return self.unique - int(self.stopped.sum())

    def funnel(self) -> list[Kept]:
        """What came through each rule of the filter, in order."""
        left = self.unique - np.cumsum(self.stopped)
        return [{"rule": rule, "left": int(count)} for rule, count in zip(self.rules, left, strict=True)]

    def add(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of the next samples that belong into the output: the valid ones that the filter lets through, or
        only the distinct ones of these where a number of distinct ones was asked for. Samples after the last one wanted
        are not counted."""
        valid = (frame.reason == "").to_numpy()
        first = np.zeros(len(frame), bool)
        first[valid] = self.distinct.add(frame.smiles[valid].tolist())
        stopped_by = frame.stopped_by.to_numpy() if self.rules else np.full(len(frame), -1)
        passes = first & (stopped_by < 0)
        if self.wanted is not None and self.passed + passes.sum() >= self.wanted:
            end = np.flatnonzero(passes)[self.wanted - self.passed - 1] + 1
            frame, valid, first = frame[:end], valid[:end], first[:end]
            stopped_by, passes = stopped_by[:end], passes[:end]
        self.requested += len(frame)
        self.sanitised += int((frame.smiles != "").sum())
        self.valid += int(valid.sum())
        self.unique += int(first.sum())
        self.novel += int((first & frame.novel.to_numpy()).sum())
        self.reasons.update(frame.reason[~valid].tolist())
        if self.rules:
            self.stopped += np.bincount(stopped_by[first & (stopped_by >= 0)], minlength=len(self.rules))
        rows = frame[valid & (stopped_by < 0) if self.wanted is None else passes]
        rows = rows.drop(columns=["reason", "stopped_by"], errors="ignore")
        for name, asked in self.targets.items():
            if name in rows and name in TARGETS:
                values = rows[name].dropna().astype(float)
                off = asked.off(values)
                self.obtained[name] += [len(values), values.sum(), (values**2).sum(), off.sum(), (off == 0).sum()]
        self.rows += len(rows)
        return rows

    def asked(self) -> dict[str, Obtained]:
        """What was obtained of each target that can be measured."""
        found: dict[str, Obtained] = {}
        for name, asked in self.targets.items():
            count, total, squares, off, inside = self.obtained[name]
            if count:
                mean = total / count
                spread = max(0.0, squares / count - mean**2) ** 0.5
                found[name] = {
                    "asked": str(asked) if asked.is_range else _rounded(asked.low),
                    "mean": _rounded(mean),
                    "spread": _rounded(spread),
                    "error": _rounded(off / count),
                }
                if asked.is_range:
                    found[name]["inside"] = _rounded(inside / count)
        return found

    def summary(self) -> Summary:
        """The counts so far."""
        reasons = dict(self.reasons.most_common())
        return Summary(self.requested, self.sanitised, self.valid, self.unique, self.novel, reasons)


def taken(shards: Iterable[pd.DataFrame], tally: Tally) -> Iterator[pd.DataFrame]:
    """The rows of each shard that belong into the output, until there are enough; the tally counts the shards."""
    for frame in shards:
        yield tally.add(frame)
        if tally.finished:
            return


def run(
    model: Model,
    settings: Settings,
    output: Path | str,
    *,
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Result:
    """Generate molecules into `output` and its record, `output` with the extension .json; "-" is standard output.

    A run that was stopped is resumed by the same call; neither that nor `workers`, which the current engine
    starts, changes the molecules. overwrite: replace an earlier output, and discard an unfinished one of other
    settings. progress: of the distinct valid molecules if a number of these is asked for, else of the samples; first
    those of earlier starts. The record of "-" is written nowhere.

    Raises InputError where the output exists, cannot be written, or belongs to a run that is going on or had other
    settings; MolgenError where a worker process died.
    """
    engine = current_engine()
    limit = WORKERS_PER_CORE * engine.room()
    if not 1 <= workers <= limit:
        where = "this cluster" if engine.remote else "this machine"
        raise InputError(f"workers should be at least 1 and on {where} at most {limit}, got {workers}")
    if settings.three_d and Path(output).suffix.lower() != ".sdf":
        raise InputError(f"3D goes into an .sdf file, not into {output}", "output")
    started = time.monotonic()
    with work_folder(output, settings, overwrite) as (folder, settings, finished):
        if finished is not None:  # an earlier start was stopped when only moving the files was left to do
            record = cast(Record, finished)
            return Result(_summary_of(record), record)
        if settings.like is not None and settings.noise is None:
            settings = with_noise(model, settings, progress)
            write_settings(folder, settings)
            started = time.monotonic()  # the trials are no samples of the run
        tally = Tally(settings.unique, wanted_of(model, settings).targets, filter_of(model, settings))
        missing = [shard for shard in range(settings.shards) if not is_whole(folder, shard)]
        earlier = drawn = settings.samples - sum(map(settings.shard_samples, missing))

        def count(stage: str, done: int, total: int | None) -> None:
            nonlocal drawn
            drawn = done
            if settings.unique is None:
                progress(stage, done, total)
            else:
                progress("finding distinct molecules", tally.passed, settings.unique)

        count("drawing molecules", drawn, settings.samples)
        to_stdout = str(output) == "-"
        typical = TypicalBounds(model) if settings.likelihood else None
        spread = None if settings.stereo is None else Spread(settings.stereo)
        unfinished = "-" if to_stdout else unfinished_output(folder, output)
        shards = finished_shards(model, settings, folder, missing, workers, count)
        frames = (_read_shard(shard_file(folder, shard)) for shard in shards)
        with open_writer(unfinished) as writer, closing(shards):
            for rows in taken(frames, tally):
                made_rows = rows if typical is None else typical.added(rows)
                writer.write(made_rows if spread is None else spread(made_rows))
                count("drawing molecules", drawn, settings.samples)
        seconds = time.monotonic() - started
        summary = tally.summary()
        made = versions() | dataclasses.asdict(settings) | {"targets": list(settings.targets)}
        made |= {
            "backend": model.card.get("backend"),
            "likelihood_draws": LIKELIHOOD_DRAWS if settings.likelihood else None,
            **({} if typical is None else {"nll_percentile": f"among {typical.source}"}),
            "engine": engine.name,
            "workers": workers,
            "columns": columns(settings),
            "counts": summary.to_json(),
            "rows": tally.rows if spread is None else spread.told["stereoisomers"],
            **({} if spread is None else {"stereoisomers": spread.told}),
            **({"obtained": tally.asked()} if settings.targets else {}),
            **({"filter": tally.funnel()} if tally.rules else {}),
            "fell_short": settings.unique is not None and not tally.finished,
            "samples_of_earlier_starts": earlier,
            "seconds": round(seconds, 2),
            "samples_per_second": round((drawn - earlier) / seconds, 2),
        }
        if not to_stdout:
            made |= {"output": Path(output).name, "output_sha256": sha256_of(unfinished)}
            write_record(folder, made)
            deliver(folder, Path(output), overwrite)
    return Result(summary, cast(Record, made))


def _rounded(value: float) -> float:
    return round(float(value), 4)


def versions() -> dict[str, object]:
    """Of what molecules were made with."""
    return {
        "molgen": molgen.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "rdkit": version("rdkit"),
    }


def _summary_of(record: Record) -> Summary:
    counts = record["counts"]
    return Summary(**{field.name: counts[field.name] for field in dataclasses.fields(Summary)})  # type: ignore[arg-type]


def _read_shard(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise MolgenError(f"{path} is damaged ({error}); delete it and start the same run again") from None

"""A generation run: shards of samples, kept until the output is whole, and gone on with after a crash.

Beside molecules.csv a run keeps the folder molecules.csv.partial: settings.json, one Parquet file for each finished
shard, and a lock; at the end also the output and record.json, until both are moved. The folder goes when molecules.csv
and its record molecules.json are in place.
"""

import dataclasses
import json
import os
import platform
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from filelock import FileLock, Timeout

import molgen
from molgen.data.dataset import read_json
from molgen.data.writers import check_ending, open_writer
from molgen.errors import InputError, MolgenError
from molgen.evaluation.scores import Summary
from molgen.files import atomic_write, sha256_of
from molgen.generation.executors import finished_shards, shard_file
from molgen.generation.sampling import LIKELIHOOD_DRAWS, Settings, columns
from molgen.models.checkpoints import Model
from molgen.molecules.hashing import DistinctMolecules
from molgen.parallel import available_cores

MANIFEST, RECORD, LOCK = "settings.json", "record.json", "lock"
WORKERS_PER_CORE = 4  # more only cost memory

# called with the samples drawn and the distinct valid molecules found so far; first with those of an earlier start
RunProgress = Callable[[int, int], None]


class Tally:
    """Counts the samples of a run, in order, and picks the rows of the output."""

    def __init__(self, unique: int | None, targets: str | None = None) -> None:
        self.wanted = unique
        self.targets = {name: float(value) for name, value in (text.split("=") for text in (targets or "").split())}
        self.obtained = pd.DataFrame(
            {name: [0.0] * 4 for name in self.targets}, index=["count", "sum", "squares", "off"]
        )
        self.distinct = DistinctMolecules()
        self.requested = self.sanitised = self.valid = self.unique = self.novel = self.rows = 0
        self.reasons: Counter[str] = Counter()

    @property
    def finished(self) -> bool:
        """As many distinct molecules as were asked for."""
        return self.wanted is not None and self.unique >= self.wanted

    def add(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of the next samples that belong into the output: the valid ones, or only the distinct ones of these
        where a number of distinct ones was asked for. Samples after the last one wanted are not counted."""
        valid = (frame.reason == "").to_numpy()
        first = np.zeros(len(frame), bool)
        first[valid] = self.distinct.add(frame.smiles[valid].tolist())
        if self.wanted is not None and self.unique + first.sum() >= self.wanted:
            end = np.flatnonzero(first)[self.wanted - self.unique - 1] + 1
            frame, valid, first = frame[:end], valid[:end], first[:end]
        self.requested += len(frame)
        self.sanitised += int((frame.smiles != "").sum())
        self.valid += int(valid.sum())
        self.unique += int(first.sum())
        self.novel += int((first & frame.novel.to_numpy()).sum())
        self.reasons.update(frame.reason[~valid].tolist())
        rows = frame[valid if self.wanted is None else first].drop(columns="reason")
        for name, asked in self.targets.items():
            if name in rows:
                values = rows[name].dropna().astype(float)
                self.obtained[name] += [len(values), values.sum(), (values**2).sum(), (values - asked).abs().sum()]
        self.rows += len(rows)
        return rows

    def asked(self) -> dict[str, dict[str, float]]:
        """For each target that can be measured: asked, and of the rows so far mean, spread and mean error."""
        found = {}
        for name, asked in self.targets.items():
            count, total, squares, off = self.obtained[name]
            if count:
                mean = total / count
                spread = max(0.0, squares / count - mean**2) ** 0.5
                found[name] = {"asked": asked, "mean": mean, "spread": spread, "error": off / count}
        return {name: {key: round(value, 4) for key, value in row.items()} for name, row in found.items()}

    def summary(self) -> Summary:
        """The counts so far."""
        reasons = dict(self.reasons.most_common())
        return Summary(self.requested, self.sanitised, self.valid, self.unique, self.novel, reasons)


def run(
    model: Model,
    settings: Settings,
    output: Path | str,
    *,
    workers: int = 1,
    overwrite: bool = False,
    progress: RunProgress | None = None,
) -> tuple[Summary, dict]:
    """Generate molecules into `output` and its record, `output` with the ending .json; "-" is standard output.

    A run that was stopped is gone on with by the same call; neither that nor `workers`, the number of processes,
    changes the molecules. Returns the counts and the record (for "-", written nowhere).
    overwrite: replace an earlier output, and discard an unfinished one of other settings.

    Raises InputError where the output exists, cannot be written, or belongs to a run that is going on or had other
    settings; MolgenError where a worker process died.
    """
    limit = WORKERS_PER_CORE * available_cores()
    if not 1 <= workers <= limit:
        raise InputError(f"workers should be at least 1 and on this machine at most {limit}, got {workers}")
    started = time.monotonic()
    with _work_folder(output, settings, overwrite) as (folder, settings, record):
        if record is not None:  # an earlier start was stopped when only moving the files was left to do
            counts = record["counts"]
            return Summary(**{field.name: counts[field.name] for field in dataclasses.fields(Summary)}), record
        tally = Tally(settings.unique, settings.targets)
        missing = [shard for shard in range(settings.shards) if not shard_file(folder, shard).exists()]
        earlier = drawn = settings.samples - sum(map(settings.shard_samples, missing))

        def count(samples: int) -> None:
            nonlocal drawn
            drawn += samples
            if progress:
                progress(drawn, tally.unique)

        count(0)
        to_stdout = str(output) == "-"
        unfinished = "-" if to_stdout else folder / f"output{check_ending(output)}"
        shards = finished_shards(model, settings, folder, missing, workers, count)
        with open_writer(unfinished) as writer, closing(shards):
            for shard in shards:
                writer.write(tally.add(_read_shard(shard_file(folder, shard))))
                count(0)
                if tally.finished:
                    break
        seconds = time.monotonic() - started
        summary = tally.summary()
        record = _record(settings, summary, model, workers) | {
            "rows": tally.rows,
            **({"obtained": tally.asked()} if settings.targets else {}),
            "fell_short": settings.unique is not None and not tally.finished,
            "samples_of_earlier_starts": earlier,
            "seconds": round(seconds, 2),
            "samples_per_second": round((drawn - earlier) / seconds, 2),
        }
        if not to_stdout:
            record |= {"output": Path(output).name, "output_sha256": sha256_of(unfinished)}
            _write_json(folder / RECORD, record)
            _deliver(folder, Path(output), overwrite)
    return summary, record


def _record(settings: Settings, summary: Summary, model: Model, workers: int) -> dict:
    return {
        "molgen": molgen.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "rdkit": version("rdkit"),
        **dataclasses.asdict(settings),
        "backend": model.card.get("backend"),
        "likelihood_draws": LIKELIHOOD_DRAWS if settings.likelihood else None,
        "workers": workers,
        "columns": columns(settings),
        "counts": summary.to_json(),
    }


@contextmanager
def _work_folder(
    output: Path | str, settings: Settings, overwrite: bool
) -> Iterator[tuple[Path, Settings, dict | None]]:
    """The folder of unfinished work, locked, with the settings that hold: those given, with a seed; and the record,
    where an earlier start of the same run had ended but for moving its files."""
    if str(output) == "-":
        with tempfile.TemporaryDirectory(prefix="molgen-") as temporary:
            yield Path(temporary), _seeded(settings), None
        return
    output = Path(output)
    check_ending(output)
    folder = output.with_name(output.name + ".partial")
    if not folder.exists():
        _refuse_existing(output, overwrite)
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except (Timeout, FileNotFoundError):  # not found: the other one has just deleted the folder
        raise InputError(f"another molgen is writing {output}; wait for it, or choose another name") from None
    try:
        record = _deliver(folder, output, overwrite)
        if record is not None and not settings.differences(record):
            yield folder, settings, record
        else:
            _refuse_existing(output, overwrite)  # again: another run may have ended just now
            yield folder, _resume(folder, output, settings, overwrite), None
            _remove_work(folder)
    except BaseException:
        if not _has_shards(folder) and not (folder / RECORD).exists():
            _remove_work(folder)
        raise
    finally:
        # While it is locked, so that no other run can be between taking the lock and using the folder. Windows deletes
        # no open file, so there the lock goes first: the next run's own open lock then keeps the folder.
        if os.name == "nt":
            lock.release()
        if not (folder / MANIFEST).exists():
            with suppress(OSError):  # the next run has taken it already, or someone keeps files of their own there
                (folder / LOCK).unlink(missing_ok=True)
                folder.rmdir()
        lock.release()


def _deliver(folder: Path, output: Path, overwrite: bool) -> dict | None:
    """Move a finished output out of the work folder, write its record beside it, and clean up. Returns the record, None
    where the folder holds no finished output. Stopped at any point, the next call does the rest."""
    if not (folder / RECORD).exists():
        return None
    record = read_json(folder / RECORD)
    finished = folder / f"output{check_ending(output)}"
    if finished.exists() and sha256_of(finished) == record["output_sha256"]:
        _refuse_existing(output, overwrite)  # again: someone else may have put a file there meanwhile
        finished.replace(output)
    elif not output.is_file() or sha256_of(output) != record["output_sha256"]:
        (folder / RECORD).unlink()  # the output is lost: it is made again, of what shards there are
        return None
    _write_json(output.with_suffix(".json"), record)
    _remove_work(folder)
    return record


def _write_json(path: Path, content: dict) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(content, indent=1) + "\n")


def _refuse_existing(output: Path, overwrite: bool) -> None:
    if output.is_dir():
        raise InputError(f"{output} is a folder; give the name of a file")
    if not output.parent.is_dir():
        raise InputError(f"the folder {output.parent} does not exist")
    for path in (output, output.with_suffix(".json")):
        if path.exists() and not overwrite:
            raise InputError(f"{path} exists; choose another name, or add --overwrite to replace it")


def _resume(folder: Path, output: Path, settings: Settings, overwrite: bool) -> Settings:
    """Settings with the seed of the unfinished run, if there is one; writes down those of a new one."""
    manifest = folder / MANIFEST
    if manifest.exists():
        earlier = read_json(manifest)
        differences = settings.differences(earlier)
        if not differences:
            return dataclasses.replace(settings, seed=earlier["seed"])
        if not overwrite and _has_shards(folder):
            raise InputError(
                f"{folder} holds an unfinished run with other settings: {', '.join(differences)}; "
                "run with those to go on with it, or add --overwrite to start over"
            )
    _remove_work(folder)
    settings = _seeded(settings)
    _write_json(manifest, dataclasses.asdict(settings))
    return settings


def _seeded(settings: Settings) -> Settings:
    return dataclasses.replace(settings, seed=secrets.randbits(32)) if settings.seed is None else settings


def _has_shards(folder: Path) -> bool:
    return any(folder.glob("shard-*"))


def _remove_work(folder: Path) -> None:
    """Delete what runs leave in the folder, but for its lock; last the files that say whose the others are."""
    for pattern in (".*.tmp", "output.*", "shard-*", MANIFEST, RECORD):
        for path in folder.glob(pattern):
            path.unlink()


def _read_shard(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise MolgenError(f"{path} is damaged ({error}); delete it and run the same command again") from None

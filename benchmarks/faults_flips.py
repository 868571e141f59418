"""One flipped bit in a file that is read back: a message and exit code 2, or the very result of before; no third."""

import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from faults_tools import TINY, Outcome, molgen

TRAIN = ("train", "--epochs", "1", "--batch-size", "64", "--samples", "0", "--evaluations", "1", *TINY)
MORE = ("--resume", "--epochs", "2", "--samples", "0")
GENERATE = ("generate", "--num", "40", "--steps", "3")
HEAD = 4_000  # bytes; half of the flips are in the first so many, where files say what they hold
VARYING = {"seconds", "samples_per_second", "samples_of_earlier_starts"}


class Kept(NamedTuple):
    """Something that is read back. files: of it, those that a bit is flipped in.

    words: the command that reads the copy in a folder; result: what came out there.
    """

    what: str
    folder: Path
    files: list[str]
    words: Callable[[Path], list[str | Path]]
    result: Callable[[Path], object]


def flips(folder: Path, count: int, seed: int, deadline: float) -> list[Outcome]:
    """A row for each kind of file; `count` flips, in turn between them, or as many as fit before the deadline."""
    os.environ["MOLGEN_CACHE"] = str(folder / "cache")
    kinds = _made(folder)
    found = {kept.what: Counter[str]() for kept in kinds}
    expected = {kept.what: _read(kept, folder / "whole", None, None) for kept in kinds}
    for kept in kinds:
        assert expected[kept.what][0] == "same", expected[kept.what]
    for number in range(count):
        if time.monotonic() > deadline:
            break
        kept = kinds[number % len(kinds)]
        chosen = random.Random(f"{seed} {number}")
        name = chosen.choice(kept.files)
        size = (kept.folder / name).stat().st_size
        place = chosen.randrange(min(size, HEAD) if chosen.random() < 0.5 else size)
        flip = (name, place, chosen.randrange(8))
        kind, what = _read(kept, folder / "flipped", flip, expected[kept.what][1])
        found[kept.what][kind] += 1
        if kind in ("crashed", "another result"):
            print(f"flips, {kept.what}, byte and bit {flip}: {kind}: {what}", file=sys.stderr)
    rows = []
    for kept in kinds:
        counts = found[kept.what]
        failed = counts["crashed"] + counts["another result"]
        note = f"{counts['told']:,} told, {counts['same']:,} without effect"
        note += f", {counts['crashed']:,} crashes, {counts['another result']:,} other results" if failed else ""
        rows.append(Outcome(f"flipped bits: {kept.what}", counts.total(), failed, note))
    return rows


def _read(kept: Kept, folder: Path, flip: tuple[str, int, int] | None, expected: object) -> tuple[str, object]:
    """What a command makes of a copy with a flipped bit: told, same, crashed or another result; and what came out."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(kept.folder, folder / kept.folder.name)
    if flip is not None:
        name, place, bit = flip
        path = folder / kept.folder.name / name
        content = bytearray(path.read_bytes())
        content[place] ^= 1 << bit
        path.write_bytes(content)
    done = molgen(*kept.words(folder), log=folder / "log")
    if done.crashed:
        return "crashed", done.last
    if done.code == 2:
        return "told", done.last
    result = kept.result(folder)
    return ("same" if flip is None or result == expected else "another result"), result if flip is None else done.last


def _made(folder: Path) -> list[Kept]:
    """One of each kind of what is read back, small."""
    chosen = random.Random(0)
    parts = ["C", "C", "O", "N", "C(C)", "CF", "C="]
    chains = ["".join(chosen.choice(parts) for _ in range(5)) for _ in range(150)]
    molecules = folder / "molecules.smi"
    molecules.write_text("".join(f"{smiles}\n" for smiles in chains), encoding="utf-8")
    run = folder / "run"
    _peaceful(*TRAIN, "--data", molecules, "--output", run, log=folder / "log")
    [prepared] = [path.parent for path in (folder / "cache").glob("*/meta.json")]
    model = run / "model"
    in_prepared = [path.name for path in prepared.iterdir() if path.suffix in (".safetensors", ".smi", ".json")]
    return [
        Kept(
            "prepared set",
            prepared,
            sorted(name for name in in_prepared if not name.startswith("test") and "targets-test" not in name),
            lambda place: [*TRAIN, "--data", place / prepared.name, "--output", place / "run"],
            lambda place: _files(place / "run" / "model", "weights.safetensors", "known.safetensors"),
        ),
        Kept(
            "model",
            model,
            sorted(path.name for path in model.iterdir()),
            lambda place: [*GENERATE, "--seed", "1", "--model", place / "model", "--output", place / "m.csv"],
            lambda place: _molecules(place),
        ),
        Kept(
            "state of a training",
            run,
            ["state.safetensors", "state.safetensors", "log.csv"],
            lambda place: [*("train", "--data", molecules, "--output", place / "run"), *MORE],
            lambda place: _files(place / "run" / "model", "weights.safetensors", "known.safetensors"),
        ),
        _unfinished(folder, model, delivered=False),
        _unfinished(folder, model, delivered=True),
    ]


def _unfinished(folder: Path, model: Path, delivered: bool) -> Kept:
    """A run of generation that was stopped: with some of its shards, or when only moving the files was left to do."""
    from molgen.generation import runs
    from molgen.generation.settings import make_settings
    from molgen.models.checkpoints import load_checkpoint
    from molgen.progress import silent

    loaded = load_checkpoint(str(model))
    place = folder / ("delivered" if delivered else "stopped")
    place.mkdir()
    # three shards, of as many samples as there are molecules to find; the seed was drawn, and is only in the folder
    settings = make_settings(loaded, unique=30, max_samples=90, steps=3, seed=5)
    count = 0

    class StopError(Exception):
        """In the middle."""

    def stop(_stage: str, _done: int, _total: int | None) -> None:
        nonlocal count
        count += len(list(place.glob("m.csv.partial/shard-000001.parquet")))
        if count:
            raise StopError

    def stop_before(*_arguments: object) -> None:
        raise StopError

    partial = place / "m.csv.partial"
    deliver = runs.deliver
    if delivered:
        runs.deliver = stop_before
    try:
        runs.run(loaded, settings, place / "m.csv", progress=silent if delivered else stop)
    except StopError:
        pass
    else:
        raise AssertionError("the run was not stopped")
    finally:
        runs.deliver = deliver
    files = sorted(f"m.csv.partial/{path.name}" for path in partial.iterdir() if path.name != "lock")
    return Kept(
        f"generation, {'when only moving was left' if delivered else 'stopped'}",
        place,
        files,
        lambda copy: [
            *("generate", "--unique", "30", "--max-samples", "90", "--steps", "3", "--model", model, "--output"),
            copy / place.name / "m.csv",
        ],
        lambda copy: _molecules(copy / place.name),
    )


def _molecules(folder: Path) -> object:
    record = json.loads((folder / "m.json").read_text(encoding="utf-8"))
    return (folder / "m.csv").read_bytes(), {name: record[name] for name in record.keys() - VARYING}


def _files(folder: Path, *names: str) -> list[bytes]:
    return [(folder / name).read_bytes() for name in names]


def _peaceful(*words: str | Path, log: Path) -> None:
    done = molgen(*words, log=log)
    if done.code:
        raise SystemExit(f"a command does not even work in peace: {done.told}")

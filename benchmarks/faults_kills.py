"""Commands that are killed at random moments and started again, until they are done: nothing lost, nothing repeated."""

import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from faults_tools import TINY, Command, Outcome, molgen
from processes import descendants

from molgen.training.state import read_state

FORMATS = ("csv", "smi", "sdf", "parquet")
# ten shards, as few samples of so few steps are valid
GENERATE = ("generate", "--model", "qm9-digress", "--unique", 60, "--max-samples", 600, "--steps", 3, "--seed", 1)
TRAIN = ("train", "--epochs", 2, "--batch-size", 16, "--samples", 0, "--evaluations", 3, "--checkpoint-minutes", 1e-3)
VARYING = {"seconds", "samples_per_second", "samples_of_earlier_starts", "workers", "output"}
STATE_VARYING = {"seconds", "measuring"}


class Work(NamedTuple):
    """A command that can be killed. words: for a folder of its own, and whether it is the first start there.

    result: what must be the same in the end; leftovers: what must not lie in the folder then.
    """

    what: str
    words: Callable[[Path, bool], list[str | Path]]
    result: Callable[[Path], object]
    leftovers: Callable[[Path], list[str]]
    killed: tuple[str, ...] = ("it", "its group")


def generation(kind: str, workers: int) -> Work:
    """`molgen generate` in a format."""

    def words(folder: Path, _first: bool) -> list[str | Path]:
        return [*map(str, GENERATE), "--workers", str(workers), "--output", folder / f"m.{kind}"]

    def result(folder: Path) -> object:
        record = json.loads((folder / "m.json").read_text(encoding="utf-8"))
        return (folder / f"m.{kind}").read_bytes(), {name: record[name] for name in record.keys() - VARYING}

    def leftovers(folder: Path) -> list[str]:
        return [path.name for path in folder.iterdir() if path.name not in (f"m.{kind}", "m.json", "log")]

    killed = ("it", "its group") + (("a worker",) if workers > 1 else ())
    return Work(f"generate {kind}, {workers} worker{'s' * (workers > 1)}", words, result, leftovers, killed)


def preparation(molecules: Path) -> Work:
    """`molgen data` of a file."""

    def words(folder: Path, _first: bool) -> list[str | Path]:
        os.environ["MOLGEN_CACHE"] = str(folder / "cache")
        return ["data", molecules, "--rejects", folder / "rejects.csv"]

    def result(folder: Path) -> object:
        [prepared] = [path.parent for path in folder.glob("cache/*/meta.json")]
        files = {path.name: path.read_bytes() for path in prepared.iterdir()}
        return files, (folder / "rejects.csv").read_bytes()

    def leftovers(folder: Path) -> list[str]:
        found = [path.name for path in (folder / "cache").glob(".*")]
        return found + [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]

    return Work("data", words, result, leftovers, ("it", "its group", "a worker"))


def training(molecules: Path, cache: Path) -> Work:
    """`molgen train` of a tiny model."""

    def words(folder: Path, _first: bool) -> list[str | Path]:
        os.environ["MOLGEN_CACHE"] = str(cache)
        rest = ["--data", molecules, "--output", folder / "run"]
        saved = (folder / "run" / "state.safetensors").exists()
        return [*map(str, TRAIN), *TINY, *rest, *(["--resume"] if saved else [])]

    def result(folder: Path) -> object:
        state = read_state(folder / "run")
        position = {name: value for name, value in state.position.items() if name not in STATE_VARYING}
        tensors = {name: tensor.reshape(-1).tolist() for name, tensor in state.tensors.items()}
        log = [line.split(",") for line in (folder / "run" / "log.csv").read_text(encoding="utf-8").splitlines()]
        weights = (folder / "run" / "model" / "weights.safetensors").read_bytes()
        return tensors, position, [line[:3] + line[4:] for line in log], weights  # without the seconds

    def leftovers(folder: Path) -> list[str]:
        expected = {".lock", "state.safetensors", "log.csv", "curve.png", "model"}
        return [path.name for path in (folder / "run").iterdir() if path.name not in expected]

    return Work("train", words, result, leftovers)


def kills(folder: Path, trials: int, seed: int, deadline: float) -> list[Outcome]:
    """A row for each kind of work, with `trials` each, or as many as fit before the deadline (of time.monotonic)."""
    molecules = folder / "molecules.smi"
    molecules.write_text("".join(f"{smiles}\n" for smiles in _chains(400)), encoding="utf-8")
    os.environ["MOLGEN_CACHE"] = str(folder / "prepared")
    works = [generation(kind, workers) for workers in (1, 2) for kind in FORMATS]
    works += [preparation(molecules), training(molecules, folder / "prepared")]
    counts = {work.what: [0, 0, 0] for work in works}
    whole: dict[str, tuple[object, float]] = {}
    for trial in range(trials):
        for work in works:
            if time.monotonic() > deadline:
                continue
            if work.what not in whole:
                whole[work.what] = _in_peace(work, folder / "whole")
            moments = random.Random(f"{seed} {trial} {work.what}")
            fault, kill_count = _one(work, folder / "killed", moments, *whole[work.what])
            counts[work.what][0] += 1
            counts[work.what][1] += kill_count
            if fault:
                counts[work.what][2] += 1
                print(f"kills, {work.what}, trial {trial} of seed {seed}: {fault}", file=sys.stderr)
    return [
        Outcome(f"kills: {what}", tried, failed, f"{count:,} kills") for what, (tried, count, failed) in counts.items()
    ]


def _in_peace(work: Work, folder: Path) -> tuple[object, float]:
    """The result of work that is let alone, and the seconds that it takes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    begun = time.monotonic()
    done = molgen(*work.words(folder, True), log=folder / "log")
    seconds = time.monotonic() - begun
    if done.code:
        raise SystemExit(f"{work.what} does not even work in peace: {done.told}")
    return work.result(folder), seconds


def _one(work: Work, folder: Path, moments: random.Random, expected: object, seconds: float) -> tuple[str, int]:
    """Kill and start again, up to three times, then let it end; what is wrong then ("" if nothing), and the kills."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    left, count = moments.randint(1, 3), 0
    while True:
        command = Command(*work.words(folder, not count), log=folder / "log")
        while left and not command.ended():
            until = time.monotonic() + moments.uniform(0, seconds)
            while time.monotonic() < until and not command.ended():
                time.sleep(0.002)
            if command.ended():
                break
            whom = moments.choice(work.killed)
            workers = descendants(command.pid)
            if whom == "a worker" and not workers:
                continue
            command.kill({"it": None, "its group": 0}.get(whom, moments.choice(workers or [0])))
            left, count = left - 1, count + 1
            if whom != "a worker":
                break
        done = command.wait()
        if done.code == 0:
            break
        if done.code != -9:
            return f"after {count} kills it ended with {done.last}", count
    if done.crashed:
        return done.last, count
    if work.result(folder) != expected:
        return f"after {count} kills the result is another one", count
    left_over = work.leftovers(folder)
    return f"after {count} kills this is left over: {left_over}" if left_over else "", count


def _chains(count: int) -> list[str]:
    """SMILES, some of them of one molecule or of none."""
    chosen = random.Random(0)
    return ["".join(chosen.choice(["C", "C", "O", "N", "C(C)", "CF", "C="]) for _ in range(6)) for _ in range(count)]

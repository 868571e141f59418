"""A large library made unattended: the rate and the memory of `molgen generate` along the run, killed once on the way.

python benchmarks/library.py --model qm9-edge --effort fast --num 200000 --plot docs/library.png

The command and all its processes get signal 9 in the middle, and the same command is given again. Memory is that of all
its processes together, read once a second; molecules are counted by the log of the command (--log). In the end every
sample should be accounted for once: the numbers of the rows rise, and rows and failures are as many as the samples.
"""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure
from processes import memory

from molgen.evaluation.run_record import run_record
from molgen.workers import available_cores

START = "from molgen.cli import main; main()"


class Moment(NamedTuple):
    """A second of the run: since its start, samples done, memory in GB, and of which start of the command."""

    seconds: float
    done: int
    memory: float
    start: int


def watched(words: list[str], log: Path, began: float, start: int, kill_at: int | None) -> list[Moment]:
    """One start of the command, up to its end or until it has done `kill_at` samples, when it is killed."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)
    moments = []
    while process.poll() is None:
        time.sleep(1)
        done, held = samples_done(log), memory(process.pid)
        if done is None or not held:  # it begins, or has ended
            continue
        moments.append(Moment(time.perf_counter() - began, done, held, start))
        if kill_at is not None and done >= kill_at:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return moments
    if process.returncode:
        raise SystemExit(f"molgen generate ended with exit code {process.returncode}")
    if kill_at is not None:
        raise SystemExit("molgen generate ended before it could be killed; ask for more molecules")
    return moments


def samples_done(log: Path) -> int | None:
    """Samples of the latest line of progress; None where this start of the command has not told any yet."""
    if not log.exists():
        return None
    for line in reversed(log.read_text(encoding="utf-8").splitlines(keepends=True)):
        event = json.loads(line) if line.endswith("\n") else {"event": "half written"}
        if event["event"] == "start":
            return None
        if event["event"] == "progress" and event["total"]:
            return int(event["done"])
    return None


def account(output: Path, num: int) -> str:
    """Whether every sample is there once: in a row, or among the failures of the run record."""
    record = run_record(str(output))
    if record is None or not record.fits:
        raise SystemExit("the run record does not belong to the molecules")
    rows, last = 0, 0
    with output.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            sample = int(row["sample"])
            if sample <= last:
                raise SystemExit(f"sample {sample} comes after sample {last}")
            rows, last = rows + 1, sample
    failed = sum(record.reasons.values())
    if rows + failed != num:
        raise SystemExit(f"{rows} rows and {failed} failures are not {num} samples")
    return f"{rows:,} rows and {failed:,} failures are the {num:,} samples, each once"


def plot(moments: list[Moment], path: Path) -> None:
    """Memory and samples done against time, one line for each start of the command."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for start in sorted({moment.start for moment in moments}):
        part = [moment for moment in moments if moment.start == start]
        minutes = [moment.seconds / 60 for moment in part]
        label = "first start, killed" if start == 0 else "the same command again"
        upper.plot(minutes, [moment.done / 1000 for moment in part], label=label)
        lower.plot(minutes, [moment.memory for moment in part], label=label)
    upper.set(ylabel="samples done, thousands", ylim=(0, None))
    lower.set(xlabel="minutes", ylabel="memory of all processes, GB", ylim=(0, None))
    upper.legend(loc="upper left")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qm9-edge")
    parser.add_argument("--effort", default="fast")
    parser.add_argument("--num", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="molgen-library-") as temporary:
        output, log = Path(temporary) / "library.csv", Path(temporary) / "log"
        words = [sys.executable, "-c", START, "generate", "--model", options.model, "--effort", options.effort]
        words += ["--num", str(options.num), "--seed", "0", "--output", str(output), "--log", str(log)]
        words += ["--workers", str(options.workers)]
        began = time.perf_counter()
        moments = watched(words, log, began, 0, options.num // 2)
        moments += watched(words, log, began, 1, None)
        print(
            f"{options.model}, effort {options.effort}, {options.workers} workers; killed in the middle, started again"
        )
        print(f"{account(output, options.num)}; {output.stat().st_size / 1e6:.1f} MB\n")
    print(f"| samples | s | samples/s | memory at the end, GB | most |\n{'|---' * 5}|")
    fifth = max(1, options.num // 5)
    for first in range(0, options.num, fifth):
        # the part of a start that made these samples; the kill lies between two fifths or within one
        parts = [[m for m in moments if m.start == start and first <= m.done < first + fifth] for start in (0, 1)]
        part = max(parts, key=len)
        if len(part) < 2:  # made between two looks
            continue
        made, seconds = part[-1].done - part[0].done, part[-1].seconds - part[0].seconds
        most = max(moment.memory for moment in part)
        cells = [f"{first:,} to {first + fifth:,}", f"{seconds:.0f}", f"{made / seconds:.0f}"]
        print(f"| {' | '.join([*cells, f'{part[-1].memory:.2f}', f'{most:.2f}'])} |")
    if options.plot:
        plot(moments, options.plot)


if __name__ == "__main__":
    main()

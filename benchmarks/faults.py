"""Faults brought about on purpose, and what they did: kills, flipped bits, mutated SMILES, repeated work, hours of use.

python benchmarks/faults.py --part kills flips smiles memory

Each part does again what a machine, a disk or a stranger does to a program, and checks the result against one that was
made in peace. A table of what was tried and what failed goes to standard output as Markdown; every failure is told on
standard error, with what repeats it. All but the moments of kills follows from the seed. The part soak needs Chromium.
Linux only (memory is read from /proc).
"""

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path

from faults_tools import Outcome, warm_up

PARTS = ("kills", "flips", "smiles", "memory", "soak")


def outcomes(part: str, options: argparse.Namespace, folder: Path) -> list[Outcome]:
    """Run a part. What it needs is imported now: no part needs what others do."""
    if part == "kills":
        from faults_kills import kills

        return kills(folder, options.kill_trials, options.seed, time.monotonic() + 60 * options.kill_minutes)
    if part == "flips":
        from faults_flips import flips

        return flips(folder, options.flips, options.seed, time.monotonic() + 60 * options.flip_minutes)
    if part == "smiles":
        from faults_smiles import smiles

        return smiles(folder, options.smiles, options.seed, options.smiles_chunk)
    if part == "memory":
        from faults_memory import memory

        return [memory(options.runs, options.run_molecules, "qm9-edge", reports) for reports in (False, True)]
    if part == "soak":
        from faults_soak import soak

        return [soak(options.hours, options.pause, options.visitor_molecules, options.samples)]
    raise AssertionError(part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kill-trials", type=int, default=10, help="kills: runs of each command")
    parser.add_argument("--kill-minutes", type=float, default=math.inf, help="kills: no new run after so long")
    parser.add_argument("--flips", type=int, default=300, help="flips: how many")
    parser.add_argument("--flip-minutes", type=float, default=math.inf, help="flips: none after so long")
    parser.add_argument("--smiles", type=int, default=1_000_000, help="smiles: how many")
    parser.add_argument("--smiles-chunk", type=int, default=100_000, help="smiles: lines of a file")
    parser.add_argument("--runs", type=int, default=20, help="memory: runs in one process")
    parser.add_argument("--run-molecules", type=int, default=200, help="memory: molecules of a run")
    parser.add_argument("--hours", type=float, default=2, help="soak: how long")
    parser.add_argument("--pause", type=float, default=30, help="soak: seconds between two actions")
    parser.add_argument("--visitor-molecules", type=int, default=20, help="soak: molecules that a visitor makes")
    parser.add_argument("--samples", type=Path, default=Path("soak.csv"), help="soak: where the memory is written")
    options = parser.parse_args()
    table: list[Outcome] = []
    if set(options.part) - {"soak"}:
        warm_up()
    with tempfile.TemporaryDirectory(prefix="molgen-faults-") as folder:
        for part in options.part:
            place = Path(folder) / part
            place.mkdir()
            table += outcomes(part, options, place)
    print("| what | tried | failed | |\n|---|---|---|---|")
    for row in table:
        print(f"| {row.what} | {row.tried:,} | {row.failed:,} | {row.note} |")
    sys.exit(any(row.failed for row in table))


if __name__ == "__main__":
    main()

"""What one network evaluation costs here and in another checkout, in turn: does a change of the network slow it down?

git worktree add ../before COMMIT
python benchmarks/evaluation.py --beside ../before --rounds 3

The network of qm9-digress, untrained, at 9 and at 27 atoms, 4 evaluations at a time for some seconds. A checkout that
knows conditions is told a known part and twelve targets of each graph.
"""

import argparse
import contextlib
import dataclasses
import importlib
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

SIZES = ((9, 546), (27, 65))  # atoms, graphs in a batch
SECONDS = 5.0
TARGETS = 12


def _module(*names: str) -> ModuleType | None:
    """The first of these modules that the checkout has: earlier ones keep them under other names."""
    for name in names:
        with contextlib.suppress(ModuleNotFoundError):
            return importlib.import_module(name)
    return None


def measure() -> None:
    """Print milliseconds of one evaluation for each of SIZES, of the molgen that is on the path."""
    import torch

    place = _module("molgen.device", "molgen.precision").place
    checkpoints = _module("molgen.models.checkpoints", "molgen.checkpoints")
    conditions = _module("molgen.models.conditions", "molgen.conditions")
    model = checkpoints.load_checkpoint("qm9-digress")
    config, known = dataclasses.asdict(model.backend.config), model.statistics
    if conditions:
        statistics_of = _module("molgen.data.dataset", "molgen.data").TargetStatistics
        config["known_parts"] = True
        targets = tuple(statistics_of(f"target {number}", 0.0, 1.0, -1.0, 1.0) for number in range(TARGETS))
        known = dataclasses.replace(known, targets=targets)
    torch.manual_seed(0)
    backend = checkpoints.build_backend("digress", config, model.vocabulary, known)
    backend.eval().requires_grad_(False)
    place(backend, "cpu")
    for size, count in SIZES:
        options = {"steps": 4, "sampler": "ancestral", "generator": torch.Generator().manual_seed(0)}
        if conditions:
            condition = conditions.Condition.nothing(size, count, TARGETS)
            condition.targets[:] = 0.5
            condition.known_nodes[:, :3] = True
            options["condition"] = condition
        with torch.inference_mode():
            backend.sample(size, count, **options)
            done, started = 0, time.perf_counter()
            while time.perf_counter() - started < SECONDS:
                backend.sample(size, count, **options)
                done += 4
        print(1000 * (time.perf_counter() - started) / done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, help="another checkout of molgen")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.beside is None:
        parser.error("--beside names the other checkout")
    folders = {"before": options.beside.resolve(), "here": Path(__file__).resolve().parents[1]}
    times: dict[str, list[list[float]]] = {name: [] for name in folders}
    for _ in range(options.rounds):
        for name, folder in folders.items():
            program = "import sys; sys.path.insert(0, sys.argv.pop(1)); sys.argv = sys.argv[:1]; import runpy; "
            program += f"runpy.run_path({str(Path(__file__).resolve())!r}, run_name='evaluation')['measure']()"
            command = [sys.executable, "-c", program, str(folder)]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
            times[name].append([float(line) for line in done.stdout.split()])
    print("| atoms | before, ms | here, ms | ratio |\n|---|---|---|---|")
    for position, (size, _) in enumerate(SIZES):
        columns = {name: [row[position] for row in rows] for name, rows in times.items()}
        ratios = [here / before for before, here in zip(columns["before"], columns["here"], strict=True)]
        medians = [f"{statistics.median(columns[name]):.0f}" for name in folders]
        print(f"| {size} | {' | '.join(medians)} | {statistics.median(ratios):.2f} |")


if __name__ == "__main__":
    main()

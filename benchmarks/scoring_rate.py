"""Conversion and scoring rates on one core and on two, in one run.

    python benchmarks/scoring_rate.py

A Markdown table goes to standard output. Two cores are two processes with half of the molecules each (for ChemNet, two
threads); the time is the slower one's, without starting up and without making a step's input.
"""

import os
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
from rdkit import Chem

from molgen.data.readers import read_molecules
from molgen.evaluation.draws import sample
from molgen.evaluation.fcd import chemnet_activations, fcd_distance
from molgen.evaluation.verdicts import judge_one
from molgen.files import shipped_folder
from molgen.molecules.encoding import GraphDecoder, atom_classes, mol_to_graph
from molgen.molecules.parsing import clean, parse_smiles
from molgen.molecules.properties import PROPERTIES, properties
from molgen.molecules.vocabulary import Vocabulary

CORES = (1, 2)


def steps(smiles: Sequence[str]) -> dict[str, tuple[Callable[[Any], object], Sequence[Any]]]:
    """What is timed: a function of one molecule, and its inputs."""
    parsed = [parse_smiles(text) for text in smiles]
    cleaned = [clean(mol).mol for mol in parsed]
    vocabulary = Vocabulary(tuple(sorted({atom for mol in cleaned for atom in atom_classes(mol)})))
    index, decoder = vocabulary.index, GraphDecoder(vocabulary)
    graphs = [mol_to_graph(mol, index) for mol in cleaned]
    return {
        "parse": (parse_smiles, smiles),
        "clean and canonicalise": (clean, parsed),
        "molecule to graph": (lambda mol: mol_to_graph(mol, index), cleaned),
        "SMILES to graph, all three": (lambda text: mol_to_graph(clean(parse_smiles(text)).mol, index), smiles),
        "graph to canonical SMILES": (lambda graph: decoder.decode(*graph), graphs),
        "judge": (judge_one, smiles),
        **{f"property {name}": (function, parsed) for name, function in PROPERTIES.items()},
        "all properties": (properties, [Chem.Mol(mol) for mol in parsed]),  # copies: RDKit keeps what it has computed
    }


def time_steps(smiles: Sequence[str]) -> dict[str, float]:
    """Seconds that each step takes for all of the molecules, in this process."""
    seconds = {}
    for name, (function, inputs) in steps(smiles).items():
        function(inputs[0])  # whatever is loaded at the first use
        started = time.perf_counter()
        for item in inputs:
            function(item)
        seconds[name] = time.perf_counter() - started
    return seconds


def chemnet_rate(smiles: Sequence[str], threads: int) -> float:
    """Molecules per second through ChemNet."""
    import torch

    torch.set_num_threads(threads)
    chemnet_activations(smiles[:8])
    started = time.perf_counter()
    chemnet_activations(smiles)
    return len(smiles) / (time.perf_counter() - started)


def distance_seconds(smiles: Sequence[str]) -> float:
    """Seconds from activations to the FCD, which do not depend on the number of molecules by much."""
    activations = chemnet_activations(smiles)
    started = time.perf_counter()
    fcd_distance(activations[::2], activations[1::2])
    return time.perf_counter() - started


@click.command()
@click.option("--file", type=click.Path(path_type=Path), help="Molecules to time; QM9 where not given.")
@click.option("--num", type=click.IntRange(min=100), default=4_000, show_default=True, help="How many of them.")
def main(file: Path | None, num: int) -> None:
    """Time conversion and scoring."""
    # Rows of a file are often sorted: a draw stands for all of it.
    smiles = sample([row.text for row in read_molecules(file or shipped_folder("datasets") / "qm9.smi.gz")], num)
    rates: dict[str, list[float]] = {}
    for cores in CORES:
        parts = [smiles[part::cores] for part in range(cores)]
        with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
            timed = list(pool.map(time_steps, parts))
        for name in timed[0]:
            rates.setdefault(name, []).append(len(smiles) / max(seconds[name] for seconds in timed))
        rates.setdefault("ChemNet", []).append(chemnet_rate(smiles[: num // 4], cores))
    click.echo(
        f"{len(smiles):,} molecules of {file.name if file else 'QM9'}; {platform.machine()}, {os.cpu_count()} cores"
    )
    click.echo(f"rdkit {version('rdkit')}, torch {version('torch')}, Python {platform.python_version()}")
    click.echo("\n| molecules per second | " + " | ".join(f"{cores} core{'s' * (cores > 1)}" for cores in CORES) + " |")
    click.echo("|---|" + "---:|" * len(CORES))
    for name, values in rates.items():
        click.echo(f"| {name} | " + " | ".join(f"{value:,.0f}" for value in values) + " |")
    click.echo(f"\nFrom activations to one FCD: {distance_seconds(smiles[: num // 4]):.2f} s.")


if __name__ == "__main__":
    main()

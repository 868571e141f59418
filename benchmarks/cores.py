"""Cores: parts of held-out molecules extended. How many come back valid, kept, and as the very molecule?

python benchmarks/cores.py --model moses-digress --split test_scaffolds --num 10000 --samples 1
python benchmarks/cores.py --model moses-digress --task linkers --num 1000 --samples 100 --size given
python benchmarks/cores.py --model moses-digress --task r-groups --num 1000

Each of --num molecules gives a known part. scaffolds: its scaffold (Bemis and Murcko, as RDKit makes it), whose atoms
with a hydrogen may grow; molecules without a ring, and those that are their own scaffold, are left out before the draw.
linkers: what is left when it is cut at two single bonds outside rings and the piece between them, of at least two
atoms, is taken away; both ends have four atoms or more and grow at the cut alone. r-groups: the larger part after a cut
at one such bond, which grows there alone; at least two atoms are taken away. The cuts are drawn among all that fit.

The size is drawn as for any core, or is that of the molecule (--size given). Valid: as drawn, one connected molecule;
of all samples. Kept: the known atoms and bonds are there as given, and no bond more at atoms that may not grow; of all
samples. Hit@k: the share of parts for which the molecule that it came from is among the first k samples.
"""

import argparse
import itertools
import platform
import time
from collections.abc import Sequence

import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold

from molgen.data.prepared import prepare
from molgen.device import place
from molgen.errors import InputError
from molgen.generation.cores import Core, parse_core
from molgen.generation.faults import DRAFTS, choice
from molgen.generation.sampling import ENTRIES_PER_BATCH
from molgen.generation.wanted import Sizes, Wanted
from molgen.models.checkpoints import load_checkpoint
from molgen.models.conditions import Condition
from molgen.molecules.encoding import GraphDecoder
from molgen.molecules.graph import GraphBatch, pair_count
from molgen.molecules.vocabulary import Vocabulary

ACYCLIC = Chem.MolFromSmarts("[!#1]-!@[!#1]")


def scaffold(mol: Chem.Mol, _random: np.random.Generator) -> str | None:
    """The scaffold of a molecule that is more than that."""
    found = MurckoScaffold.GetScaffoldForMol(mol)
    return Chem.MolToSmiles(found) if 0 < found.GetNumAtoms() < mol.GetNumAtoms() else None


def ends(mol: Chem.Mol, random: np.random.Generator) -> str | None:
    """Two ends of a molecule without the linker between them."""
    pairs = list(itertools.combinations(cuts(mol), 2))
    for number in random.permutation(len(pairs)):
        pieces = sorted(pieces_of(mol, pairs[number]), key=lambda piece: piece.GetNumAtoms() - heavy(piece))
        if len(pieces) == 3 and heavy(pieces[2]) >= 2 and min(map(heavy, pieces[:2])) >= 4:
            return ".".join(map(Chem.MolToSmiles, pieces[:2]))
    return None


def without_r_group(mol: Chem.Mol, random: np.random.Generator) -> str | None:
    """The larger part of a molecule that is cut in two."""
    for bond in random.permutation(cuts(mol)):
        small, large = sorted(pieces_of(mol, [int(bond)]), key=heavy)
        if heavy(small) >= 2:
            return Chem.MolToSmiles(large)
    return None


def cuts(mol: Chem.Mol) -> list[int]:
    """The single bonds outside rings."""
    return [mol.GetBondBetweenAtoms(*atoms).GetIdx() for atoms in mol.GetSubstructMatches(ACYCLIC)]


def pieces_of(mol: Chem.Mol, bonds: Sequence[int]) -> tuple[Chem.Mol, ...]:
    """What is left after cuts, with an attachment point at each end of a cut."""
    cut = Chem.FragmentOnBonds(mol, bonds, dummyLabels=[(0, 0)] * len(bonds))
    for atom in cut.GetAtoms():
        if not atom.GetAtomicNum():
            atom.SetAtomMapNum(1)
    return Chem.GetMolFrags(cut, asMols=True)


def heavy(piece: Chem.Mol) -> int:
    """Atoms of a piece without its attachment points."""
    return sum(atom.GetAtomicNum() > 1 for atom in piece.GetAtoms())


TASKS = {"scaffolds": scaffold, "linkers": ends, "r-groups": without_r_group}


def tasks(
    kind: str, smiles: list[str], count: int, vocabulary: Vocabulary, sizes: tuple[int, ...], seed: int
) -> list[tuple[str, Core]]:
    """Held-out molecules in random order with their known parts, as many as asked for or as there are."""
    found, random = [], np.random.default_rng(seed + 2)
    for position in np.random.default_rng(seed).permutation(len(smiles)):
        mol = Chem.MolFromSmiles(smiles[position])
        part = TASKS[kind](mol, random)
        if part is None or mol.GetNumAtoms() >= len(sizes):
            continue
        try:
            found.append((smiles[position], parse_core(part, vocabulary)))
        except InputError:  # no atom of it has a hydrogen
            continue
        if len(found) == count:
            break
    return found


def stacked(conditions: list[Condition]) -> Condition:
    """One condition of many graphs of one size."""
    graph = GraphBatch(
        torch.cat([one.graph.nodes for one in conditions]), torch.cat([one.graph.pairs for one in conditions])
    )
    return Condition(
        graph,
        torch.cat([one.known_nodes for one in conditions]),
        torch.cat([one.known_pairs for one in conditions]),
        torch.cat([one.targets for one in conditions]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="moses-digress")
    parser.add_argument("--data", default="moses")
    parser.add_argument("--split", default="test_scaffolds")
    parser.add_argument("--task", choices=list(TASKS), default="scaffolds")
    parser.add_argument("--num", type=int, default=10_000, help="known parts")
    parser.add_argument("--samples", type=int, default=1, help="molecules drawn for each")
    parser.add_argument("--size", choices=["drawn", "given"], default="drawn")
    parser.add_argument("--sampler")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--drafts", type=int, default=DRAFTS, help="1: no choice")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    model, prepared = load_checkpoint(options.model), prepare(options.data)
    place(model.backend, "cpu")
    sampler = options.sampler or model.backend.samplers[0]
    steps = options.steps or model.backend.default_steps
    sizes = model.statistics.sizes
    chosen = tasks(options.task, prepared.smiles(options.split), options.num, model.vocabulary, sizes, options.seed)
    drafts = choice(model, Wanted(), options.drafts)
    random = np.random.default_rng(options.seed + 1)
    drawn_sizes = []
    for smiles, core in chosen:
        if options.size == "given":
            drawn_sizes += [Chem.MolFromSmiles(smiles).GetNumAtoms()] * options.samples
        else:
            weights = Wanted(core, sizes=Sizes(core.size + 1, len(sizes) - 1)).size_weights(model.statistics)
            drawn_sizes += random.choice(len(weights), size=options.samples, p=weights).tolist()
    of = np.repeat(np.arange(len(chosen)), options.samples)
    order = np.array(drawn_sizes)
    decoder = GraphDecoder(model.vocabulary)
    drawn, kept = [""] * len(of), np.zeros(len(of), bool)
    generator = torch.Generator().manual_seed(options.seed)
    started = time.perf_counter()
    with torch.inference_mode():
        for size in np.unique(order).tolist():
            positions = np.flatnonzero(order == size)
            limit = max(1, ENTRIES_PER_BATCH // (pair_count(size) + size))
            for part in np.array_split(positions, -(-len(positions) // limit)):
                nothing = torch.full((1, len(model.backend.targets)), torch.nan)
                condition = stacked([chosen[of[k]][1].condition(size, 1, nothing) for k in part])
                batch = model.backend.sample(
                    size,
                    len(part),
                    steps=steps,
                    sampler=sampler,
                    generator=generator,
                    condition=condition,
                    drafts=drafts,
                )
                kept[part] = condition.held_by(batch).numpy()
                for k, nodes, pairs in zip(part, batch.nodes.numpy(), batch.pairs.numpy(), strict=True):
                    verdict = decoder.decode(nodes, pairs)
                    drawn[k] = verdict.smiles if verdict.valid else ""
    seconds = time.perf_counter() - started
    valid = np.array([bool(text) for text in drawn])
    hit = np.array([text == chosen[k][0] for k, text in zip(of, drawn, strict=True)]).reshape(len(chosen), -1)
    figures = {
        "model": model.name,
        "split": options.split,
        "known parts": f"{len(chosen)} {options.task}",
        "samples each": options.samples,
        "size": options.size,
        "sampler": sampler,
        "evaluations": steps,
        "valid %": 100 * valid.mean(),
        "kept %": 100 * kept.mean(),
        "valid and kept %": 100 * (valid & kept).mean(),
        "distinct of valid %": 100 * len({text for text in drawn if text}) / max(1, valid.sum()),
        **{f"hit@{k} %": 100 * hit[:, :k].any(1).mean() for k in (1, 5, 100) if k <= options.samples},
        "molecules/s": len(of) / seconds,
    }
    shown = [f"{value:.2f}" if isinstance(value, float) else str(value) for value in figures.values()]
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, seed {options.seed}\n")
    print(f"| {' | '.join(figures)} |\n{'|---' * len(figures)}|\n| {' | '.join(shown)} |")


if __name__ == "__main__":
    main()

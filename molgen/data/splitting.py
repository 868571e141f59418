"""The molecules of a set divided into train, valid and test, by their canonical SMILES alone."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from molgen.data.dataset import GraphDataset
from molgen.data.importing import Imported
from molgen.errors import InputError
from molgen.molecules.graph import GraphBatch

HELD_OUT = 10_000  # most molecules in valid and in test


class Split(NamedTuple):
    """One split; positions: of each of its graphs, in the order of the graphs, among the imported molecules."""

    name: str
    graphs: GraphDataset
    positions: list[int]


def split_rows(smiles: list[str], test: int, valid: int) -> np.ndarray:
    """Which split each distinct canonical SMILES belongs to: uint8 [k], 0 train, 1 valid, 2 test.

    Depends on the set of SMILES alone, not on their order: sorted, then permuted with seed 0; first test, then valid.
    """
    order = np.array(sorted(range(len(smiles)), key=smiles.__getitem__), np.int64)
    order = order[np.random.default_rng(0).permutation(len(smiles))]
    split = np.zeros(len(smiles), np.uint8)
    split[order[:test]] = 2
    split[order[test : test + valid]] = 1
    return split


def divide(found: Imported, part: str, public: bool) -> Iterator[Split]:
    """The splits of the molecules of one part of a set (see molgen.data.public.Parts).

    The parts "test" and "test_scaffolds" stay whole, "train" gives train and valid, "" gives train, valid and test.
    Held out are HELD_OUT of a public set, otherwise at most as many and a tenth, at least one. A molecule with an atom
    class that train would lack goes to train. Raises InputError where there are too few molecules.
    """
    total = len(found.smiles)
    if part in ("test", "test_scaffolds"):
        yield _select(found, part, np.ones(total, bool))
        return
    if total < 3:
        raise InputError(f"only {total} usable molecules; train, valid and test need one each")
    held = HELD_OUT if public else min(HELD_OUT, max(1, total // 10))
    split = split_rows(found.smiles, 0 if part == "train" else held, held)
    names = ("train", "valid") if part == "train" else ("train", "valid", "test")
    _complete_train(found, split, len(names))
    for code, name in enumerate(names):
        yield _select(found, name, split == code)


def _complete_train(found: Imported, split: np.ndarray, codes: int) -> None:
    """Move to train, in place, what holds an atom class that train lacks: its share there would be 0."""
    present = np.zeros(len(found.vocabulary.atoms), bool)
    for positions, nodes, _ in found.by_size.values():
        present[np.unique(nodes[split[positions] == 0])] = True
    if not present.all():
        for positions, nodes, _ in found.by_size.values():
            split[positions[~present[nodes].all(1)]] = 0
    if set(split.tolist()) < set(range(codes)):
        raise InputError("too few molecules: those held out have atom types that no other molecule has")


def _select(found: Imported, name: str, chosen: np.ndarray) -> Split:
    """The molecules of a bool [molecules] as a split."""
    by_size: dict[int, GraphBatch] = {}
    order: list[int] = []
    for size, (positions, nodes, pairs) in found.by_size.items():
        rows = chosen[positions]
        if rows.any():
            by_size[size] = GraphBatch(torch.from_numpy(nodes[rows]), torch.from_numpy(pairs[rows]))
            order += positions[rows].tolist()
    return Split(name, GraphDataset(found.vocabulary, by_size), order)

"""What is wrong with a drawn graph, by rules that real molecules keep: valences, one piece, familiar parts."""

from __future__ import annotations

from itertools import compress
from typing import NamedTuple

import numpy as np
import torch
from rdkit import Chem
from torch import Tensor

from molgen.generation.wanted import Wanted
from molgen.models.checkpoints import Model
from molgen.models.drafts import Drafts
from molgen.molecules.encoding import GraphDecoder, implied_hydrogens
from molgen.molecules.graph import GraphBatch
from molgen.molecules.hashing import contains, smiles_hashes
from molgen.molecules.parsing import atoms_of
from molgen.molecules.substructures import ring_systems, surroundings, unseen_ring_systems
from molgen.molecules.vocabulary import Vocabulary

MOST_VALENCE = 8  # no atom has more
DRAFTS = 8  # of a molecule at a step, and at the end, unless another number is asked for
MOST_DRAFTS = 100
INVALID = 1_000  # what makes a graph no molecule weighs more than all parts that are not familiar


def choice(
    model: Model, wanted: Wanted, drafts: int | None = DRAFTS, *, known_rings: bool | None = None
) -> Drafts | None:
    """What a model chooses among drafts by, None where it makes a single one.

    known_rings: whether a part that is not familiar, a ring system or the surroundings of an atom, is a fault; None: as
    the model was made.
    """
    if drafts is None or drafts == 1 or not model.backend.chooses:
        return None
    if known_rings is None:
        known_rings = model.backend.config.known_rings
    return Drafts(drafts, Faults(model.vocabulary, familiar(model, wanted) if known_rings else Familiar()))


class Familiar(NamedTuple):
    """Sorted hashes of the parts of molecules that are familiar, uint64 [k]; None where all are.

    ring_systems, surroundings: as `molgen.molecules.substructures` names them.
    """

    ring_systems: np.ndarray | None = None
    surroundings: np.ndarray | None = None


def familiar(model: Model, wanted: Wanted) -> Familiar:
    """The parts of the training molecules, as far as the model has kept them, and those of a core or lead."""
    rings: list[str] = []
    around: list[str] = []
    for given in (wanted.core, wanted.lead):
        if given is not None:
            mol = GraphDecoder(model.vocabulary).to_mol(given.nodes, given.pairs)
            Chem.SanitizeMol(mol)
            rings += ring_systems(mol)
            around += surroundings(mol)

    def joined(known: np.ndarray | None, more: list[str]) -> np.ndarray | None:
        return known if known is None or not more else np.union1d(known, smiles_hashes(more))

    return Familiar(joined(model.ring_systems, rings), joined(model.surroundings, around))


class Faults:
    """Weighs the faults of graphs; familiar: parts that are none."""

    def __init__(self, vocabulary: Vocabulary, familiar: Familiar) -> None:
        valences = [
            [valence for valence in range(MOST_VALENCE + 1) if implied_hydrogens(atom, valence) is not None]
            for atom in vocabulary.atoms
        ]
        self._most = torch.tensor([max(possible) for possible in valences])
        self._decoder = GraphDecoder(vocabulary)
        self._familiar = familiar
        self._seen: dict[str, bool] = {}  # surroundings, and whether they are familiar

    def __call__(self, graphs: GraphBatch, given: Tensor | None = None) -> Tensor:
        """Of each graph, int64 [b], 0 for none. given: atoms whose surroundings do not count, bool [b, n].

        INVALID for each bond order that is too much for an atom, and each piece beyond the first; where there is none
        of these, INVALID for what RDKit refuses or has a radical, or 1 for each ring system that is not familiar, and
        each atom whose surroundings are not.
        """
        bonds = graphs.bonds()
        excess = (bonds.sum(-1) - self._most.to(bonds.device)[graphs.nodes]).clamp(min=0).sum(-1)
        faults = INVALID * (excess + _pieces(bonds > 0) - 1)
        clean = (faults == 0).nonzero().flatten()
        arrays = graphs[clean].to("cpu")
        drawn = np.ones(arrays.nodes.shape, bool) if given is None else ~given[clean].cpu().numpy()
        for row, nodes, pairs, new in zip(
            clean.tolist(), arrays.nodes.numpy(), arrays.pairs.numpy(), drawn, strict=True
        ):
            faults[row] = self._of_molecule(nodes, pairs, new)
        return faults

    def _of_molecule(self, nodes: np.ndarray, pairs: np.ndarray, new: np.ndarray) -> int:
        mol = self._decoder.to_mol(nodes, pairs)
        try:
            Chem.SanitizeMol(mol)
            if any(atom.GetNumRadicalElectrons() for atom in atoms_of(mol)):
                return INVALID
            rings, around = self._familiar
            faults = 0 if rings is None else unseen_ring_systems(mol, rings)
            if around is not None:
                faults += sum(not self._is_familiar(text, around) for text in compress(surroundings(mol), new))
            return faults
        except (ValueError, RuntimeError):
            return INVALID

    def _is_familiar(self, text: str, known: np.ndarray) -> bool:
        if text not in self._seen:
            self._seen[text] = bool(contains(known, smiles_hashes([text]))[0])
        return self._seen[text]


def _pieces(bonded: Tensor) -> Tensor:
    """Number of connected pieces of graphs, int64 [b]; bonded: bool [b, n, n]."""
    size = bonded.shape[-1]
    reached = (bonded | torch.eye(size, dtype=torch.bool, device=bonded.device)).float()
    for _ in range(max(0, size - 2).bit_length()):  # paths twice as long each time
        reached = ((reached @ reached) > 0).float()
    return (1 / reached.sum(-1)).sum(-1).round().long()

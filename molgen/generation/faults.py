"""What is wrong with a drawn graph, by rules that real molecules keep: valences, one piece, known ring systems."""

from __future__ import annotations

import numpy as np
import torch
from rdkit import Chem
from torch import Tensor

from molgen.generation.wanted import Wanted
from molgen.models.checkpoints import Model
from molgen.models.drafts import Drafts
from molgen.molecules.encoding import GraphDecoder, implied_hydrogens
from molgen.molecules.graph import GraphBatch
from molgen.molecules.hashing import smiles_hashes
from molgen.molecules.parsing import atoms_of
from molgen.molecules.substructures import ring_systems, unseen_ring_systems
from molgen.molecules.vocabulary import Vocabulary

MOST_VALENCE = 8  # no atom has more
DRAFTS = 8  # of a molecule at a step, unless another number is asked for
MOST_DRAFTS = 100
INVALID = 10  # what makes a graph no molecule weighs more than any ring system


def choice(
    model: Model, wanted: Wanted, drafts: int | None = DRAFTS, *, known_rings: bool | None = None
) -> Drafts | None:
    """What a model chooses among drafts by, None where it makes a single one.

    known_rings: whether a ring system that is not familiar is a fault; None: as the model was made.
    """
    if drafts is None or drafts == 1 or not model.backend.chooses:
        return None
    if known_rings is None:
        known_rings = model.backend.prefers_known_rings
    known = familiar_rings(model, wanted) if known_rings and model.ring_systems is not None else None
    return Drafts(drafts, Faults(model.vocabulary, known))


def familiar_rings(model: Model, wanted: Wanted) -> np.ndarray:
    """Sorted hashes of the ring systems of the training molecules, and of a core or lead, uint64 [k]."""
    assert model.ring_systems is not None
    found: list[str] = []
    for given in (wanted.core, wanted.lead):
        if given is not None:
            mol = GraphDecoder(model.vocabulary).to_mol(given.nodes, given.pairs)
            Chem.SanitizeMol(mol)
            found += ring_systems(mol)
    return np.union1d(model.ring_systems, smiles_hashes(found)) if found else model.ring_systems


class Faults:
    """Weighs the faults of graphs; known_rings: sorted hashes of ring systems that are none, None where all are."""

    def __init__(self, vocabulary: Vocabulary, known_rings: np.ndarray | None) -> None:
        valences = [
            [valence for valence in range(MOST_VALENCE + 1) if implied_hydrogens(atom, valence) is not None]
            for atom in vocabulary.atoms
        ]
        self._most = torch.tensor([max(possible) for possible in valences])
        self._decoder = GraphDecoder(vocabulary)
        self._known_rings = known_rings

    def __call__(self, graphs: GraphBatch) -> Tensor:
        """Of each graph, int64 [b], 0 for none.

        INVALID for each bond order that is too much for an atom, and each piece beyond the first; where there is none
        of these, INVALID for what RDKit refuses or has a radical, or 1 for each ring system that is not known.
        """
        bonds = graphs.bonds()
        excess = (bonds.sum(-1) - self._most.to(bonds.device)[graphs.nodes]).clamp(min=0).sum(-1)
        faults = INVALID * (excess + _pieces(bonds > 0) - 1)
        clean = (faults == 0).nonzero().flatten()
        arrays = graphs[clean].to("cpu")
        for row, nodes, pairs in zip(clean.tolist(), arrays.nodes.numpy(), arrays.pairs.numpy(), strict=True):
            faults[row] = self._of_molecule(nodes, pairs)
        return faults

    def _of_molecule(self, nodes: np.ndarray, pairs: np.ndarray) -> int:
        mol = self._decoder.to_mol(nodes, pairs)
        try:
            Chem.SanitizeMol(mol)
            if any(atom.GetNumRadicalElectrons() for atom in atoms_of(mol)):
                return INVALID
            return 0 if self._known_rings is None else unseen_ring_systems(mol, self._known_rings)
        except (ValueError, RuntimeError):
            return INVALID


def _pieces(bonded: Tensor) -> Tensor:
    """Number of connected pieces of graphs, int64 [b]; bonded: bool [b, n, n]."""
    size = bonded.shape[-1]
    reached = (bonded | torch.eye(size, dtype=torch.bool, device=bonded.device)).float()
    for _ in range(max(0, size - 2).bit_length()):  # paths twice as long each time
        reached = ((reached @ reached) > 0).float()
    return (1 / reached.sum(-1)).sum(-1).round().long()

"""Analogues of a molecule, the lead: it is noised part of the way and denoised again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from rdkit import Chem, DataStructs

from molgen.errors import InputError
from molgen.generation.cores import Core
from molgen.models.base import Start
from molgen.molecules.encoding import GraphDecoder, mol_to_graph
from molgen.molecules.fingerprints import bit_vector, fingerprint
from molgen.molecules.graph import GraphBatch, pair_indices, square
from molgen.molecules.parsing import SEVERAL, Rejected, clean, parse_smiles
from molgen.molecules.standardise import clean_standardised
from molgen.molecules.substructures import blocks
from molgen.molecules.vocabulary import Vocabulary

NOISES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85)  # that are tried, as shares of the way to pure noise
MOST_MATCHES = 1_000  # of a core in a lead that are looked at


class Window(NamedTuple):
    """The Tanimoto similarity (Morgan, radius 2) to the lead that molecules should have, both ends among it."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g}:{self.high:g}"


@dataclass(frozen=True, eq=False)
class Lead:
    """A molecule to make analogues of.

    smiles: canonical; nodes: int64 [n], pairs: int64 [n(n-1)/2], its atoms and bonds as classes, those of a core that
    is kept first; packed: its fingerprint; block: int64 [n], see `molgen.molecules.substructures.blocks`. noise: how
    far it is noised, a share of the way, once that is known.
    """

    smiles: str
    nodes: np.ndarray
    pairs: np.ndarray
    packed: bytes
    block: np.ndarray
    noise: float | None = None

    @property
    def size(self) -> int:
        """Number of heavy atoms n."""
        return len(self.nodes)

    @cached_property
    def bonds(self) -> np.ndarray:
        """Classes of the bonds, int64 [n, n]."""
        return square(self.nodes, self.pairs)

    def in_order(self, order: np.ndarray) -> Lead:
        """The same molecule, or a part of it, with atom k of the result being atom order[k]."""
        first, second = (index.numpy() for index in pair_indices(len(order)))
        pairs = self.bonds[np.ix_(order, order)][first, second]
        return replace(self, nodes=self.nodes[order], pairs=pairs, block=self.block[order])

    def start(self, count: int) -> Start:
        """What `count` graphs start from. The noise has to be known."""
        assert self.noise is not None
        rows = (torch.from_numpy(values).expand(count, -1) for values in (self.nodes, self.pairs))
        return Start(GraphBatch(*rows), self.noise)

    def similarity(self, mols: Sequence[Chem.Mol]) -> np.ndarray:
        """The Tanimoto similarity of sanitised molecules to the lead, float64 [m]."""
        others = [bit_vector(fingerprint(mol)) for mol in mols]
        return np.array(DataStructs.BulkTanimotoSimilarity(bit_vector(self.packed), others), float)


def parse_lead(text: str, vocabulary: Vocabulary) -> Lead:
    """A lead from SMILES. Raises InputError for what cannot be read or has atoms that the model does not know."""
    try:
        cleaned = clean(parse_smiles(text))
        nodes, pairs = mol_to_graph(cleaned.mol, vocabulary.index)
    except Rejected as reason:
        raise unusable(text, reason) from None
    packed = fingerprint(Chem.MolFromSmiles(cleaned.smiles))
    return Lead(cleaned.smiles, nodes.astype(np.int64), pairs.astype(np.int64), packed, blocks(cleaned.mol))


def parent_of(text: str) -> str:
    """The canonical SMILES of a molecule's parent, see `molgen.molecules.standardise`. Raises InputError."""
    try:
        return clean_standardised(parse_smiles(text))[0].smiles
    except Rejected as reason:
        raise unusable(text, reason) from None


def unusable(text: str, reason: Rejected) -> InputError:
    """What is said of a lead that cannot be used."""
    said = f"the molecule {text!r} cannot be used: {reason}"
    if str(reason) != SEVERAL:
        return InputError(said)
    return InputError(f"{said}; a salt can be standardised", "standardise")


def parse_window(text: str) -> Window:
    """A window from text such as "0.5:0.8". Raises InputError."""
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        low, high = 1.0, 0.0
    if not 0 <= low <= high <= 1:
        raise InputError(f"similarity {text!r} should be two numbers from 0 to 1 that go upwards, such as 0.5:0.8")
    return Window(low, high)


def with_core(lead: Lead, core: Core, vocabulary: Vocabulary) -> tuple[Lead, Core]:
    """The lead with the atoms of the core first, and the core with its double bonds where the lead has them.

    Raises InputError where the lead does not contain the core, or only with bonds at atoms of it that may not grow.
    """
    decoder = GraphDecoder(vocabulary)
    whole, part = decoder.to_mol(lead.nodes, lead.pairs), decoder.to_mol(core.nodes, core.pairs)
    for mol in (whole, part):
        Chem.SanitizeMol(mol)
    matches = whole.GetSubstructMatches(part, uniquify=False, maxMatches=MOST_MATCHES)
    if not matches:
        raise InputError(f"the molecule {lead.smiles} does not contain the core {core.smiles}")
    for match in matches:
        piece_of = dict(zip(match, core.piece.tolist(), strict=True))
        bonds_beyond = [
            any(piece_of.get(other.GetIdx()) != piece for other in whole.GetAtomWithIdx(atom).GetNeighbors())
            for atom, piece in piece_of.items()
        ]
        if not (np.array(bonds_beyond) & core.closed).any():
            break
    else:
        raise InputError(
            f"in the molecule {lead.smiles} atoms of the core {core.smiles} carry more than the attachment points allow"
        )
    order = [*match, *(atom for atom in range(lead.size) if atom not in match)]
    lead = lead.in_order(np.array(order))
    inside = tuple(index.numpy() for index in pair_indices(core.size))
    same = core.piece[inside[0]] == core.piece[inside[1]]
    kept = replace(core, nodes=lead.nodes[: core.size], pairs=np.where(same, lead.bonds[inside], 0))
    return lead, kept

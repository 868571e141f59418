"""Parts of molecules that a chemist wants kept: SMILES with or without attachment points -> what is known of graphs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from rdkit import Chem

from molgen.errors import InputError
from molgen.models.conditions import Condition
from molgen.molecules.encoding import mol_to_graph
from molgen.molecules.graph import GraphBatch, pair_count, pair_indices, square
from molgen.molecules.parsing import Rejected, clean, parse_smiles
from molgen.molecules.substructures import blocks
from molgen.molecules.vocabulary import Vocabulary

OPEN = "open"  # property of an atom that an attachment point hung on


@dataclass(frozen=True)
class Core:
    """One or several pieces that every molecule contains.

    smiles: as given; nodes: int64 [k], pairs: int64 [k(k-1)/2], classes of the atoms and bonds; piece: int64 [k], the
    piece that an atom belongs to; closed: bool [k], atoms that get no further bond; block: int64 [k], see
    `molgen.molecules.substructures.blocks`.
    """

    smiles: str
    nodes: np.ndarray
    pairs: np.ndarray
    piece: np.ndarray
    closed: np.ndarray
    block: np.ndarray

    @property
    def size(self) -> int:
        """Number of heavy atoms k."""
        return len(self.nodes)

    @cached_property
    def bonds(self) -> np.ndarray:
        """Classes of the bonds, int64 [k, k]."""
        return square(self.nodes, self.pairs)

    def condition(self, size: int, count: int, targets: torch.Tensor) -> Condition:
        """What is known of `count` graphs of `size` nodes whose first k are the core; targets: float [count, t].

        Within a piece all pairs are known; between pieces they are open where both atoms are.
        Raises InputError where the core has more atoms than the graphs.
        """
        if self.size > size:
            raise InputError(f"the core {self.smiles} has {self.size} heavy atoms, more than the {size} of a molecule")
        first, second = (index.numpy() for index in pair_indices(size))
        inside = second < self.size
        piece, closed = np.full(size, -1), np.zeros(size, bool)
        piece[: self.size], closed[: self.size] = self.piece, self.closed
        known = (inside & (piece[first] == piece[second])) | closed[first] | closed[second]
        nodes, pairs = np.zeros(size, np.int64), np.zeros(pair_count(size), np.int64)
        nodes[: self.size], pairs[inside] = self.nodes, self.pairs
        device = targets.device

        def rows(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(values).to(device).expand(count, -1)

        graph = GraphBatch(rows(nodes), rows(pairs))
        return Condition(graph, rows(np.arange(size) < self.size), rows(known), targets)


def parse_core(text: str, vocabulary: Vocabulary) -> Core:
    """A core from SMILES. Attachment points, such as [*:1] or *, leave their neighbours alone open.

    Where a piece has none, each of its atoms with a hydrogen is open. Several pieces are separated by dots.
    Raises InputError for what cannot be read, has an atom that the model does not know, an attachment point that is
    not on one atom by a single bond, or no atom that may grow.
    """
    mol = _without_marks(text)
    pieces = Chem.GetMolFrags(mol)
    try:
        graphs = [mol_to_graph(clean(piece).mol, vocabulary.index) for piece in Chem.GetMolFrags(mol, asMols=True)]
    except Rejected as reason:
        raise InputError(f"core {text!r} cannot be used: {reason}") from None
    except (ValueError, RuntimeError):
        raise InputError(f"core {text!r} cannot be used: refused by RDKit") from None
    atoms = [atom for piece in pieces for atom in piece]
    if len(atoms) != sum(len(nodes) for nodes, _ in graphs):
        raise InputError(f"core {text!r} has a hydrogen that cannot be left out; write it without hydrogens")
    growing = set(_growing(mol))
    closed = np.array([atom not in growing for atom in atoms])
    if not all(set(piece) & growing for piece in pieces):
        where = "has no atom" if len(pieces) == 1 else "has a piece without an atom"
        raise InputError(f"core {text!r} {where} that may grow: none has a hydrogen or an attachment point")
    size = len(atoms)
    bonds = np.zeros((size, size), np.int64)
    piece_of, start = np.zeros(size, np.int64), 0
    for number, (nodes, pairs) in enumerate(graphs):
        end = start + len(nodes)
        bonds[start:end, start:end] = square(nodes, pairs)
        piece_of[start:end] = number
        start = end
    first, second = (index.numpy() for index in pair_indices(size))
    nodes = np.concatenate([nodes for nodes, _ in graphs]).astype(np.int64)
    return Core(text, nodes, bonds[first, second], piece_of, closed, blocks(mol)[atoms])


class Sites(NamedTuple):
    """A core without its attachment points, and what may grow on it.

    smiles: of the core alone, whose atoms count here; possible: those with a hydrogen; growing: those that may grow.
    """

    smiles: str
    possible: list[int]
    growing: list[int]


def growth_sites(text: str) -> Sites:
    """Which atoms of a core may grow, as `parse_core` reads it. Raises InputError for what cannot be read."""
    mol = _without_marks(text)
    smiles = Chem.MolToSmiles(
        mol, canonical=False
    )  # in the order given: of atoms that are alike, the same one is meant
    order: list[int] = list(mol.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"])
    growing = _growing(mol)
    possible = [place for place, atom in enumerate(order) if mol.GetAtomWithIdx(atom).GetTotalNumHs()]
    return Sites(smiles, possible, [place for place, atom in enumerate(order) if atom in growing])


def with_growth(smiles: str, growing: Collection[int]) -> str:
    """A core with attachment points on the atoms that may grow: the way back from `growth_sites`.

    smiles: of `Sites`; growing: places of its atoms. A piece of which none is named, or all that can grow, gets no
    point, which means all.
    """
    sites = growth_sites(smiles)
    editable = Chem.RWMol(parse_smiles(sites.smiles))
    number = 0
    for piece in Chem.GetMolFrags(editable):
        possible = set(piece) & set(sites.possible)
        named = sorted(possible & set(growing))
        for place in named if len(named) < len(possible) else ():
            number += 1
            atom, mark = editable.GetAtomWithIdx(place), Chem.Atom(0)
            mark.SetAtomMapNum(number)
            if atom.GetNumExplicitHs():
                atom.SetNumExplicitHs(atom.GetNumExplicitHs() - 1)
            editable.AddBond(place, editable.AddAtom(mark), Chem.BondType.SINGLE)
    Chem.SanitizeMol(editable)
    return Chem.MolToSmiles(editable, canonical=False)


def _without_marks(text: str) -> Chem.Mol:
    """The molecule that a core is, hydrogens in place of attachment points; atoms that had one have the property OPEN.

    Stereochemistry and isotopes are left out: with them RDKit would not take off every hydrogen. Raises InputError.
    """
    try:
        mol = Chem.RWMol(parse_smiles(text))
    except Rejected as reason:
        raise InputError(f"core {text!r} cannot be used: {reason}") from None
    for mark in [atom for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0]:
        bonds = mark.GetBonds()
        if len(bonds) != 1 or bonds[0].GetBondType() != Chem.BondType.SINGLE:
            raise InputError(f"core {text!r}: an attachment point should hang on one atom by a single bond")
        other = bonds[0].GetOtherAtom(mark)
        if other.GetAtomicNum() == 0:
            raise InputError(f"core {text!r}: an attachment point hangs on another one")
        other.SetBoolProp(OPEN, True)
    for atom in list(mol.GetAtoms()):  # an attachment point holds the place of a hydrogen
        if atom.GetAtomicNum() == 0:
            mol.ReplaceAtom(atom.GetIdx(), Chem.Atom(1))
    Chem.RemoveStereochemistry(mol)
    for atom in mol.GetAtoms():
        atom.SetIsotope(0)
    try:
        Chem.SanitizeMol(mol)
        return Chem.RemoveHs(mol)
    except (ValueError, RuntimeError):
        raise InputError(f"core {text!r} cannot be used: refused by RDKit") from None


def _growing(mol: Chem.Mol) -> list[int]:
    """The atoms that may grow: in each piece those that had an attachment point, or else those with a hydrogen."""
    growing: list[int] = []
    for piece in Chem.GetMolFrags(mol):
        with_hydrogen = [atom for atom in piece if mol.GetAtomWithIdx(atom).GetTotalNumHs()]
        marked = [atom for atom in with_hydrogen if mol.GetAtomWithIdx(atom).HasProp(OPEN)]
        growing += marked or with_hydrogen
    return growing

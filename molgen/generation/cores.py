"""Parts of molecules that a chemist wants kept: SMILES with or without attachment points -> what is known of graphs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from rdkit import Chem

from molgen.errors import InputError
from molgen.models.conditions import Condition
from molgen.molecules.encoding import mol_to_graph
from molgen.molecules.graph import GraphBatch, pair_count, pair_indices
from molgen.molecules.parsing import Rejected, clean, parse_smiles
from molgen.molecules.vocabulary import Vocabulary


@dataclass(frozen=True)
class Core:
    """One or several pieces that every molecule contains.

    smiles: as given; nodes: int64 [k], pairs: int64 [k(k-1)/2], classes of the atoms and bonds; piece: int64 [k], the
    piece that an atom belongs to; closed: bool [k], atoms that get no further bond.
    """

    smiles: str
    nodes: np.ndarray
    pairs: np.ndarray
    piece: np.ndarray
    closed: np.ndarray

    @property
    def size(self) -> int:
        """Number of heavy atoms k."""
        return len(self.nodes)

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
    try:
        mol = parse_smiles(text)
    except Rejected as reason:
        raise InputError(f"core {text!r} cannot be used: {reason}") from None
    marks = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0]
    open_atoms = set()
    for mark in marks:
        bonds = mol.GetAtomWithIdx(mark).GetBonds()
        if len(bonds) != 1 or bonds[0].GetBondType() != Chem.BondType.SINGLE:
            raise InputError(f"core {text!r}: an attachment point should hang on one atom by a single bond")
        open_atoms.add(bonds[0].GetOtherAtomIdx(mark))
    if open_atoms & set(marks):
        raise InputError(f"core {text!r}: an attachment point hangs on another one")
    # an attachment point holds the place of a hydrogen
    editable = Chem.RWMol(mol)
    for atom in editable.GetAtoms():
        atom.SetIntProp("place", atom.GetIdx())
    for mark in marks:
        editable.ReplaceAtom(mark, Chem.Atom(1))
    try:
        Chem.SanitizeMol(editable)
        mol = Chem.RemoveHs(editable)
        places = [atom.GetIntProp("place") for atom in mol.GetAtoms()]
        pieces = Chem.GetMolFrags(mol)
        graphs = []
        for piece in Chem.GetMolFrags(mol, asMols=True):
            graphs.append(mol_to_graph(clean(piece).mol, vocabulary.index))
    except Rejected as reason:
        raise InputError(f"core {text!r} cannot be used: {reason}") from None
    except (ValueError, RuntimeError):
        raise InputError(f"core {text!r} cannot be used: refused by RDKit") from None
    hydrogens = np.array([mol.GetAtomWithIdx(atom).GetTotalNumHs() for piece in pieces for atom in piece])
    given = [places[atom] for piece in pieces for atom in piece]
    closed = hydrogens == 0
    chosen = np.isin(given, list(open_atoms))
    lengths = [len(piece) for piece in pieces]
    marked = np.repeat([bool(chosen[part].any()) for part in _parts(lengths)], lengths)
    closed |= marked & ~chosen
    if closed.all():
        raise InputError(f"core {text!r} has no atom that may grow: none has a hydrogen or an attachment point")
    size = len(given)
    square = np.zeros((size, size), np.int64)
    piece_of, start = np.zeros(size, np.int64), 0
    for number, (nodes, pairs) in enumerate(graphs):
        first, second = (index.numpy() + start for index in pair_indices(len(nodes)))
        square[first, second] = pairs
        piece_of[start : start + len(nodes)] = number
        start += len(nodes)
    first, second = (index.numpy() for index in pair_indices(size))
    nodes = np.concatenate([nodes for nodes, _ in graphs]).astype(np.int64)
    return Core(text, nodes, square[first, second], piece_of, closed)


def _parts(lengths: list[int]) -> list[slice]:
    ends = np.cumsum(lengths)
    return [slice(int(end) - length, int(end)) for end, length in zip(ends, lengths, strict=True)]

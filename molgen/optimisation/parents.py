"""A molecule that is to be changed, and the pieces of it that stay or go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from rdkit import Chem

from molgen.generation.leads import Lead

WHOLE_RINGS = 0.7  # of the pieces: ring systems are drawn anew or kept as a whole


class Piece(NamedTuple):
    """Atoms that stay: classes int64 [k], bonds among them int64 [k, k], and which may bind to others, bool [k].

    block: int64 [k], see `molgen.molecules.substructures.blocks`.
    """

    nodes: np.ndarray
    bonds: np.ndarray
    is_open: np.ndarray
    block: np.ndarray


@dataclass(frozen=True, eq=False)
class Parent:
    """A molecule of n atoms to be changed.

    core_size: how many of its first atoms belong to the core, and stay; closed: bool [n], atoms that get no further
    bond; hydrogens: int64 [n]; ring_systems: int64 [n], the number of the ring system that an atom is in, -1 for none.
    """

    number: int
    lead: Lead
    core_size: int
    closed: np.ndarray
    hydrogens: np.ndarray
    ring_systems: np.ndarray

    @property
    def bonds(self) -> np.ndarray:
        """Bond classes, int64 [n, n]."""
        return self.lead.bonds

    def piece(self, atoms: np.ndarray, is_open: np.ndarray) -> Piece:
        """Some of its atoms, bool [n], of which some are open, bool [n]."""
        return Piece(self.lead.nodes[atoms], self.bonds[np.ix_(atoms, atoms)], is_open[atoms], self.lead.block[atoms])

    def cut(self, atoms: np.ndarray) -> np.ndarray:
        """Which of some atoms are bound to others, bool [n]."""
        return np.asarray(atoms & (self.bonds[:, ~atoms] > 0).any(1))

    def grown_piece(self, count: int, free: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """A random connected piece of up to `count` of the free atoms, bool [n].

        Mostly ring systems go as a whole, and the piece has more atoms where one does.
        """
        whole = random.random() < WHOLE_RINGS
        piece = np.zeros(self.lead.size, bool)
        reached = free.copy()
        while piece.sum() < count and reached.any():
            atom = random.choice(np.flatnonzero(reached))
            piece[atom] = True
            if whole and self.ring_systems[atom] >= 0:
                piece |= free & (self.ring_systems == self.ring_systems[atom])
            reached = free & ~piece & (self.bonds[piece] > 0).any(0)
        return piece


def ring_system_numbers(mol: Chem.Mol) -> np.ndarray:
    """The number of the ring system (rings that share atoms) of each atom of a sanitised molecule, -1 for none."""
    system = np.full(mol.GetNumAtoms(), -1)
    for number, ring in enumerate(mol.GetRingInfo().AtomRings()):
        atoms = np.array(ring)
        joined = np.isin(system, system[atoms][system[atoms] >= 0])
        system[joined], system[atoms] = number, number
    return system

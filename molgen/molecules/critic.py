"""A critic tells by the parts of a molecule whether it is a training molecule or one that a model drew.

Its odds, where both are as many, are the ratio of the two densities, as far as the parts can tell it: parts that a
model draws too often lower them, those that it draws too seldom raise them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from rdkit import Chem

from molgen.errors import InputError
from molgen.molecules.hashing import smiles_hashes
from molgen.molecules.substructures import ring_systems, surroundings

MOST = 20.0  # of a weight, either way


class Critic(NamedTuple):
    """Log odds of a molecule: one term for its size, and the weight of each part as often as it is there.

    sizes: by number of heavy atoms, float32 [n + 1]; parts: hashes of the texts of parts (`parts_of`), ascending,
    uint64 [k], and their weights, float32 [k]; parts that are not among them weigh nothing.
    """

    sizes: np.ndarray
    parts: np.ndarray
    weights: np.ndarray

    def checked(self, sizes: int) -> Critic:
        """The same. Raises InputError for other types or shapes, parts out of order, and numbers out of bounds."""
        if self.parts.dtype != np.uint64 or self.parts.ndim != 1:
            raise InputError(f"parts of a critic should be uint64 in one row, got {self.parts.dtype}")
        if bool((self.parts[1:] <= self.parts[:-1]).any()):
            raise InputError("parts of a critic should be in ascending order")
        for name, values, length in (("sizes", self.sizes, sizes), ("weights", self.weights, len(self.parts))):
            if values.dtype != np.float32 or values.shape != (length,):
                raise InputError(f"{name} of a critic should be float32 [{length}]")
            if not bool((np.abs(values) <= MOST).all()):  # not of NaN either
                raise InputError(f"{name} of a critic should be numbers from -{MOST:g} to {MOST:g}")
        return self

    def log_odds(self, mol: Chem.Mol) -> float:
        """Of a sanitised molecule."""
        hashes = smiles_hashes(parts_of(mol))
        total = float(self.sizes[mol.GetNumHeavyAtoms()])
        if not len(self.parts):
            return total
        places = np.searchsorted(self.parts, hashes).clip(max=len(self.parts) - 1)
        return total + float(self.weights[places][self.parts[places] == hashes].sum())


def parts_of(mol: Chem.Mol) -> list[str]:
    """The parts that a critic knows a sanitised molecule by: surroundings of atoms, and ring systems, each repeated."""
    return [*surroundings(mol), *ring_systems(mol)]

"""A critic tells by the parts of a molecule whether it is a training molecule or one that a model drew.

With as many of either, its odds are the ratio of the two densities, as far as the parts can tell it: parts that a
model draws too often lower them, those that it draws too seldom raise them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from molgen.errors import InputError

MOST = 20.0  # of a weight, either way


class Critic(NamedTuple):
    """Log odds of a molecule: one term for its size, and the weight of each part as often as it is there.

    sizes: by number of heavy atoms, float32 [n + 1]; parts: hashes of parts (`molgen.molecules.substructures.parts`),
    ascending, uint64 [k], and their weights, float32 [k]; parts that are not among them weigh nothing.
    """

    sizes: np.ndarray
    parts: np.ndarray
    weights: np.ndarray

    def checked(self, sizes: int) -> Critic:
        """The same. sizes: n + 1, of the model that it belongs to.

        Raises InputError for other types or shapes, parts out of order, and numbers out of bounds.
        """
        if self.parts.dtype != np.uint64 or self.parts.ndim != 1:
            raise InputError("parts of a critic should be uint64 in one row")
        if bool((self.parts[1:] <= self.parts[:-1]).any()):
            raise InputError("parts of a critic should be in ascending order")
        for name, values, length in (("sizes", self.sizes, sizes), ("weights", self.weights, len(self.parts))):
            if values.dtype != np.float32 or values.shape != (length,):
                raise InputError(f"{name} of a critic should be float32 [{length}]")
            if not bool((np.abs(values) <= MOST).all()):  # not of NaN either
                raise InputError(f"{name} of a critic should be numbers from -{MOST:g} to {MOST:g}")
        return self

    def log_odds(self, size: int, parts: np.ndarray) -> float:
        """Of a molecule of `size` heavy atoms, 0 to n, with these parts, uint64 [m], each as often as it is there."""
        total = float(self.sizes[size])
        if not len(self.parts):
            return total
        places = np.searchsorted(self.parts, parts).clip(max=len(self.parts) - 1)
        return total + float(self.weights[places][self.parts[places] == parts].sum())

"""What the molecules of a run should be like, and how many atoms they then have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from molgen.backends.base import Backend
from molgen.conditions import Condition
from molgen.cores import Core
from molgen.data import Statistics
from molgen.errors import InputError


@dataclass(frozen=True)
class Wanted:
    """core: what every molecule contains; targets: values of properties, in their units; guidance: their weight."""

    core: Core | None = None
    targets: Mapping[str, float] = field(default_factory=dict)
    guidance: float = 0.0

    def size_weights(self, statistics: Statistics) -> np.ndarray:
        """How likely each number of heavy atoms from 0 is, float64 [sizes]: as in training under these targets.

        A core leaves the sizes that have room for at least one atom more. Raises InputError where there is none.
        """
        weights = statistics.size_weights(self.targets)
        if self.core is not None:
            weights[: self.core.size + 1] = 0.0
            if not weights.sum():
                raise InputError(
                    f"the core {self.core.smiles} has {self.core.size} heavy atoms; the model makes molecules of up to "
                    f"{len(weights) - 1}"
                )
        return weights / weights.sum()

    def condition(self, backend: Backend, size: int, count: int) -> Condition:
        """The same on `count` graphs of `size` nodes. Raises InputError for a target that the model does not know."""
        device = next(backend.parameters()).device
        condition = Condition.nothing(size, count, len(backend.targets), device)
        for name, value in self.targets.items():
            if name not in backend.targets:
                raise InputError(f"unknown target {name!r}; this model knows {', '.join(backend.targets) or 'none'}")
            condition.targets[:, backend.targets.index(name)] = value
        return condition if self.core is None else self.core.condition(size, count, condition.targets)

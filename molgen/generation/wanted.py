"""What the molecules of a run should be like, and how many atoms they then have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from molgen.data.dataset import Statistics
from molgen.errors import InputError
from molgen.generation.cores import Core, parse_core
from molgen.models.base import Backend
from molgen.models.conditions import Condition
from molgen.molecules.vocabulary import Vocabulary


@dataclass(frozen=True)
class Wanted:
    """core: what every molecule contains; targets: values of properties, in their units; guidance: their weight."""

    core: Core | None = None
    targets: Mapping[str, float] = field(default_factory=dict)
    guidance: float = 0.0

    def warnings(self, statistics: Statistics) -> list[str]:
        """What lies outside the training molecules, in words."""
        return [
            f"{target.name}={self.targets[target.name]:g} is asked for, and 90 % of the training molecules have "
            f"{target.low:g} to {target.high:g}: expect few hits"
            for target in statistics.targets
            if target.name in self.targets and not target.low <= self.targets[target.name] <= target.high
        ]

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


def parse_wanted(
    core: str | None, targets: Sequence[str], guidance: float, backend: Backend, vocabulary: Vocabulary
) -> Wanted | None:
    """What is wanted of a model, from text: a core as SMILES and targets such as "logp=2.5"; None where nothing is.

    Raises InputError for what cannot be read, what the model was not trained to be told, and guidance without targets.
    """
    if core is None and not targets:
        if guidance:
            raise InputError(f"guidance {guidance:g} goes with targets, and none are given")
        return None
    if core is not None and not backend.config.known_parts:
        raise InputError("this model was not trained to keep a core; molgen models tells which are")
    values: dict[str, float] = {}
    for text in targets:
        name, _, number = (part.strip() for part in text.partition("="))
        try:
            values[name] = float(number)
        except ValueError:
            raise InputError(f"target {text!r} should be a property and a number, such as logp=2.5") from None
        if name not in backend.targets:
            known = ", ".join(backend.targets) or "none: it was not trained with properties"
            raise InputError(f"unknown target {name!r}; this model knows {known}")
        if not np.isfinite(values[name]):
            raise InputError(f"target {text!r} should be a finite number")
    if not (np.isfinite(guidance) and guidance >= 0) or (guidance and not values):
        raise InputError(f"guidance should be 0 or more and goes with targets, got {guidance:g}")
    return Wanted(None if core is None else parse_core(core, vocabulary), values, guidance)

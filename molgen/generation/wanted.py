"""What the molecules of a run should be like, and how many atoms they then have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from molgen.data.dataset import Statistics
from molgen.errors import InputError
from molgen.generation.cores import Core, parse_core
from molgen.models.base import Backend
from molgen.models.checkpoints import Model
from molgen.models.conditions import Condition
from molgen.models.registry import families
from molgen.molecules.composition import Request, atoms_request, formula_request


@dataclass(frozen=True)
class Wanted:
    """What every molecule of a run should be like; without arguments, anything that the model makes.

    core: what it contains; targets: values of properties, in their units; guidance: their weight; request: its atoms.
    """

    core: Core | None = None
    targets: Mapping[str, float] = field(default_factory=dict)
    guidance: float = 0.0
    request: Request | None = None

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

        A request settles it; a core leaves the sizes that have room for at least one atom more. Raises InputError where
        there is none.
        """
        if self.request is not None:
            settled = np.zeros(len(statistics.sizes))
            settled[self.request.size] = 1.0
            return settled
        weights = statistics.size_weights(self.targets)
        if self.core is not None:
            weights[: self.core.size + 1] = 0.0
            if not weights.sum():
                raise InputError(
                    f"the core {self.core.smiles} has {self.core.size} heavy atoms; the model makes molecules of up to "
                    f"{len(weights) - 1}"
                )
        return np.asarray(weights / weights.sum())

    def condition(self, backend: Backend, size: int, count: int) -> Condition | None:
        """Core and targets on `count` graphs of `size` nodes, None where there are neither.

        Raises InputError for a target that the model does not know.
        """
        if self.core is None and not self.targets:
            return None
        condition = Condition.nothing(size, count, len(backend.targets), backend.device)
        for name, value in self.targets.items():
            if name not in backend.targets:
                raise InputError(f"unknown target {name!r}; this model knows {', '.join(backend.targets) or 'none'}")
            condition.targets[:, backend.targets.index(name)] = value
        return condition if self.core is None else self.core.condition(size, count, condition.targets)


def parse_wanted(
    model: Model,
    *,
    formula: str | None = None,
    atoms: str | None = None,
    core: str | None = None,
    targets: Sequence[str] = (),
    guidance: float = 0.0,
) -> Wanted:
    """What is wanted of a model, from text.

    formula, atoms: see molgen.molecules.composition; core: SMILES; targets: such as "logp=2.5".
    Raises InputError for what cannot be read, what the model cannot do or was not trained to be told, and for what
    does not go together.
    """
    request = _parse_request(model, formula, atoms)
    if not (np.isfinite(guidance) and guidance >= 0):
        raise InputError(f"guidance should be 0 or more, got {guidance:g}")
    if guidance and not targets:
        raise InputError(f"guidance {guidance:g} goes with targets, and none are given")
    if core is not None and not model.backend.config.known_parts:
        raise InputError(f"model {model.name} was not trained to keep a core; choose another model")
    values = dict(_parse_target(text, model.backend) for text in targets)
    wanted = Wanted(None if core is None else parse_core(core, model.vocabulary), values, guidance, request)
    if wanted.core is not None:
        if request is not None:
            raise InputError("ask either for a core or for a formula or atoms, not for both")
        wanted.size_weights(model.statistics)  # is there room for it?
    return wanted


def _parse_request(model: Model, formula: str | None, atoms: str | None) -> Request | None:
    for kind, text in (("formula", formula), ("atoms", atoms)):
        if text is not None and kind not in model.backend.requests:
            takers = families(partial(_takes, kind))
            raise InputError(f"model {model.name} ({model.backend_name}) takes no {kind}; {takers} models do")
    if formula is not None and atoms is not None:
        raise InputError("ask either for a formula or for atoms, not for both")
    if formula is not None:
        return formula_request(formula, model.vocabulary, model.statistics.sizes)
    return None if atoms is None else atoms_request(atoms, model.vocabulary, model.statistics.sizes)


def _takes(kind: str, family: type[Backend]) -> bool:
    return kind in family.requests


def _parse_target(text: str, backend: Backend) -> tuple[str, float]:
    name, _, number = (part.strip() for part in text.partition("="))
    try:
        value = float(number)
    except ValueError:
        raise InputError(f"target {text!r} should be a property and a number, such as logp=2.5") from None
    if name not in backend.targets:
        known = ", ".join(backend.targets) or "none: it was not trained with properties"
        raise InputError(f"unknown target {name!r}; this model knows {known}")
    if not np.isfinite(value):
        raise InputError(f"target {text!r} should be a finite number")
    return name, value

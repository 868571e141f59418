"""What the molecules of a run should be like, and how many atoms they then have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from molgen.data.dataset import Statistics
from molgen.errors import InputError
from molgen.generation.cores import Core
from molgen.generation.excerpts import Excerpt, around_change, around_growth, least_shown
from molgen.generation.leads import Lead
from molgen.models.base import Backend
from molgen.models.conditions import Condition
from molgen.molecules.composition import Request

POINTS = 64  # of ranges of targets: each graph gets the values of one
USUAL = 2 / 3  # of the largest molecule: what grows on a large core is as much as on a core of this size
SHOWN = 0.9  # of the largest molecule, with what grows: the very largest are rare in training
CHANGED = 0.5  # of the largest molecule: how much of a large lead changes at once


class Span(NamedTuple):
    """The values that a property should have, in its unit; low and high are equal where one value is asked for.

    open_low, open_high: whether any lower or higher value is as good; the network is told those between low and high.
    """

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    @property
    def is_range(self) -> bool:
        """Whether more than one value is as good as another."""
        return self.low < self.high or self.open_low or self.open_high

    def off(self, values: pd.Series) -> pd.Series:
        """How far values are from what is asked for; 0 inside a range."""
        below = 0.0 * values if self.open_low else (self.low - values).clip(lower=0)
        above = 0.0 * values if self.open_high else (values - self.high).clip(lower=0)
        return below + above

    def __str__(self) -> str:
        if not self.is_range:
            return f"{self.low:.9g}"
        return f"{'' if self.open_low else f'{self.low:.9g}'}:{'' if self.open_high else f'{self.high:.9g}'}"


class Sizes(NamedTuple):
    """Numbers of heavy atoms that are wanted, both ends among them."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low}" if self.low == self.high else f"{self.low}:{self.high}"


@dataclass(frozen=True)
class Wanted:
    """What every molecule of a run should be like; without arguments, anything that the model makes.

    core: what it contains; targets: values of properties, in their units; guidance: their weight; request: its atoms;
    sizes: how many heavy atoms; lead: what it is an analogue of.
    """

    core: Core | None = None
    targets: Mapping[str, Span] = field(default_factory=dict)
    guidance: float = 0.0
    request: Request | None = None
    sizes: Sizes | None = None
    lead: Lead | None = None

    @property
    def is_free(self) -> bool:
        """Whether nothing is asked for, or sizes alone."""
        return replace(self, sizes=None) == Wanted()

    def is_large(self, statistics: Statistics) -> bool:
        """Whether a core or lead is too large for the model, which is then shown parts of it (`excerpts`).

        A range of sizes that begins within those of the model ends with them, unless the core takes most of the room.
        """
        largest = len(statistics.sizes) - 1
        if self.lead is not None:
            return self.lead.size > largest
        if self.core is None or self.request is not None:
            return False
        if self.core.size >= largest or self.sizes is None:
            return self.core.size >= largest
        return self.sizes.low > largest or (self.sizes.high > largest and self.core.size > USUAL * largest)

    def warnings(self, statistics: Statistics) -> list[str]:
        """What lies outside the training molecules, in words."""
        large = self.lead or self.core
        if large is not None and self.is_large(statistics):
            what = "molecule" if self.lead else "core"
            sizes = f", size {self.sizes} is asked for" if self.sizes else ""
            return [
                f"the {what} has {large.size} heavy atoms{sizes}, and the model makes molecules of up to "
                f"{len(statistics.sizes) - 1}: it is shown the part around what changes, and knows nothing of the rest"
            ]
        return [
            f"{target.name}={self.targets[target.name]} is asked for, and 90 % of the training molecules have "
            f"{target.low:g} to {target.high:g}: expect few hits"
            for target in statistics.targets
            if target.name in self.targets
            and not (target.low <= self.targets[target.name].high and self.targets[target.name].low <= target.high)
        ]

    @cached_property
    def points(self) -> list[dict[str, float]]:
        """Values of all targets together, evenly over their ranges; a single one where there is no range."""
        if all(span.low == span.high for span in self.targets.values()):
            return [{name: span.low for name, span in self.targets.items()}]
        # a stratum of each range for each point, in an order of its own
        random = np.random.default_rng(0)
        places = {name: (random.permutation(POINTS) + 0.5) / POINTS for name in self.targets}
        return [
            {name: span.low + (span.high - span.low) * float(places[name][k]) for name, span in self.targets.items()}
            for k in range(POINTS)
        ]

    def _by_point(self, statistics: Statistics) -> np.ndarray:
        """p(size | targets) under each point, float64 [points, sizes], where sizes that are not wanted have 0."""
        weights = np.stack([statistics.size_weights(point) for point in self.points])
        wanted = np.array(statistics.sizes) > 0
        if self.sizes is not None:
            numbers = np.arange(len(wanted))
            wanted &= (self.sizes.low <= numbers) & (numbers <= self.sizes.high)
            if not wanted.any():
                possible = np.flatnonzero(statistics.sizes)
                raise InputError(
                    f"size {self.sizes} is asked for; the model makes molecules of {possible[0]} to {possible[-1]} "
                    "heavy atoms"
                )
        if self.core is not None:
            wanted[: self.core.size + 1] = False
            if not wanted.any():
                most = f"at most {self.sizes.high} are asked for" if self.sizes is not None else ""
                raise InputError(
                    f"the core {self.core.smiles} has {self.core.size} heavy atoms; "
                    + (most or f"the model makes molecules of up to {len(wanted) - 1}")
                )
        weights = weights * wanted
        if not weights.sum():  # the targets are out of reach at these sizes
            weights = np.broadcast_to(np.array(statistics.sizes) * wanted, weights.shape)
        return np.asarray(weights / weights.sum())

    def size_weights(self, statistics: Statistics) -> np.ndarray:
        """How likely each number of heavy atoms from 0 is, float64 [sizes]: as in training under these targets.

        A request or a lead settles it; a core leaves the sizes that have room for at least one atom more. Raises
        InputError where there is none.
        """
        settled_by = self.request or self.lead
        if settled_by is not None:
            settled = np.zeros(max(len(statistics.sizes), settled_by.size + 1))
            settled[settled_by.size] = 1.0
            return settled
        if self.core is not None and self.is_large(statistics):
            return self._sizes_on(self.core, statistics)
        return np.asarray(self._by_point(statistics).sum(0))

    def _sizes_on(self, core: Core, statistics: Statistics) -> np.ndarray:
        """p(size) of molecules on a large core, float64 [sizes]: it gets as many atoms as one of USUAL size."""
        largest = len(statistics.sizes) - 1
        usual = min(core.size, round(USUAL * largest))
        room = largest - least_shown(core)
        new = np.arange(1, room + 1 if self.sizes else largest - usual + 1)
        weights = np.zeros(core.size + largest + 1)
        weights[core.size + new] = np.array(statistics.sizes)[np.minimum(usual + new, largest)] * (new <= room)
        if self.sizes is not None:
            weights[: self.sizes.low] = weights[self.sizes.high + 1 :] = 0
        if not weights.any():
            asked = f", and size {self.sizes} is asked for" if self.sizes else ""
            raise InputError(
                f"the core {core.smiles} has {core.size} heavy atoms, to which the model can add up to {max(room, 0)}"
                f"{asked}"
            )
        return np.asarray(weights / weights.sum())

    def shown(self, statistics: Statistics, size: int, random: np.random.Generator) -> tuple[Wanted, Excerpt | None]:
        """What the model is shown of this for molecules of `size` heavy atoms, and what has to be restored then.

        Nearly always all of it; of a large core or lead a part, drawn with each call.
        """
        largest = len(statistics.sizes) - 1
        if not self.is_large(statistics):
            return self, None
        if self.lead is not None:
            lead, excerpt = around_change(self.lead, self.core, round(CHANGED * largest), largest, random)
            return replace(self, core=excerpt.part, lead=lead), excerpt
        assert self.core is not None
        new = size - self.core.size
        if size <= largest:
            return self, None
        most = max(round(SHOWN * largest) - new, least_shown(self.core))
        excerpt = around_growth(self.core, most, random)
        return replace(self, core=excerpt.part), excerpt

    def condition(
        self, backend: Backend, size: int, count: int, random: np.random.Generator | None = None
    ) -> Condition | None:
        """Core and targets on `count` graphs of `size` nodes, None where there are neither.

        random: chooses among the values of ranges, those that go with the size more often; if omitted, all get the
        same. Raises InputError for a target that the model does not know.
        """
        if self.core is None and not self.targets:
            return None
        condition = Condition.nothing(size, count, len(backend.targets), backend.device)
        for name in self.targets:
            if name not in backend.targets:
                raise InputError(f"unknown target {name!r}; this model knows {', '.join(backend.targets) or 'none'}")
        if self.targets:
            chosen = np.zeros(count, np.int64)
            if random is not None and len(self.points) > 1:
                settled = self.request is not None or self.lead is not None
                weights = np.ones(POINTS) if settled else self._by_point(backend.statistics)[:, size]
                chosen = random.choice(len(weights), size=count, p=weights / weights.sum())
            for name in self.targets:
                values = torch.tensor([self.points[k][name] for k in chosen.tolist()])
                condition.targets[:, backend.targets.index(name)] = values.to(condition.targets)
        return condition if self.core is None else self.core.condition(size, count, condition.targets)

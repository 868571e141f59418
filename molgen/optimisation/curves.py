"""Desirability curves: from the value of a component to a number from 0 (useless) to 1 (as wanted).

NaN, a missing value, stays NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from molgen.errors import InputError

ENDS = 100  # odds of a sigmoid at its ends: 100 to 1 and 1 to 100
ROUNDING = 1e-4  # by which a share of votes, added up in float32, may miss 0 or 1


class Curve(Protocol):
    """What a curve offers. aim: the value that is wanted, None where there is no such value."""

    @property
    def aim(self) -> float | None: ...

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The desirability, float64 [m], of values float64 [m]."""
        ...


@dataclass(frozen=True)
class Range:
    """1 from low to high; outside it has halved at a distance of `soft`, and falls like a Gaussian."""

    low: float
    high: float
    soft: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise InputError(f"low should be at most high, got {self.low:g} and {self.high:g}")
        if not self.soft > 0:
            raise InputError(f"soft should be above 0, got {self.soft:g}")

    @property
    def aim(self) -> float:
        """The middle."""
        return (self.low + self.high) / 2

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """See `Curve`."""
        off = np.clip(self.low - values, 0, None) + np.clip(values - self.high, 0, None)
        return _halving(off / self.soft)


@dataclass(frozen=True)
class Target:
    """1 at value, has halved at a distance of `soft`, and falls like a Gaussian."""

    value: float
    soft: float

    def __post_init__(self) -> None:
        if not self.soft > 0:
            raise InputError(f"soft should be above 0, got {self.soft:g}")

    @property
    def aim(self) -> float:
        """The value."""
        return self.value

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """See `Curve`."""
        return _halving((values - self.value) / self.soft)


@dataclass(frozen=True)
class Sigmoid:
    """A logistic curve that is 0.01 at `zero`, 0.5 half-way and 0.99 at `one`; it falls where `one` is the smaller."""

    zero: float
    one: float

    def __post_init__(self) -> None:
        if self.zero == self.one:
            raise InputError(f"zero and one should differ, both are {self.zero:g}")

    @property
    def aim(self) -> float:
        """Where it is nearly 1."""
        return self.one

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """See `Curve`."""
        place = (values - (self.zero + self.one) / 2) / (self.one - self.zero)
        # of exp, which overflows far out
        return 0.5 * (1 + np.tanh(place * math.log(ENDS - 1)))


@dataclass(frozen=True)
class AsItIs:
    """Of a value that goes from 0 to 1 by itself."""

    aim: ClassVar[None] = None

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """See `Curve`. Raises InputError for values below 0 or above 1 by more than rounding."""
        outside = values[(values < -ROUNDING) | (values > 1 + ROUNDING)]
        if len(outside):
            raise InputError(f"a value without a curve should be from 0 to 1, got {outside[0]:.9g}: give it a curve")
        return np.asarray(np.clip(values, 0, 1))


@dataclass(frozen=True)
class Opposite:
    """1 minus a value that goes from 0 to 1 by itself."""

    aim: ClassVar[None] = None

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """See `Curve`."""
        return 1 - values


@dataclass(frozen=True)
class HalvedByEach:
    """Of a number of faults: 1 of none, and half as much for each."""

    aim: ClassVar[None] = None

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """See `Curve`."""
        return np.asarray(0.5**values)


CURVES: dict[str, tuple[type[Range] | type[Target] | type[Sigmoid], tuple[str, ...], tuple[str, ...]]] = {
    # its class, the numbers that it needs, and those that may be left out
    "range": (Range, ("low", "high"), ("soft",)),
    "target": (Target, ("value", "soft"), ()),
    "sigmoid": (Sigmoid, ("zero", "one"), ()),
}


def parse_curve(kind: str, table: object) -> Curve:
    """A curve of CURVES from what stands after its name, such as {low = 1, high = 3}.

    soft of a range: a quarter of its width if omitted. Raises InputError that names the number at fault.
    """
    made, needed, optional = CURVES[kind]
    example = ", ".join(f"{name} = ..." for name in needed)
    if not isinstance(table, Mapping):
        raise InputError(f"{kind} should be written {kind} = {{{example}}}, got {table!r}")
    for name in table:
        if name not in (*needed, *optional):
            raise InputError(f"{kind} has no {name!r}; it takes {', '.join((*needed, *optional))}")
    for name in needed:
        if name not in table:
            raise InputError(f"{kind} needs {name}: {kind} = {{{example}}}")
    numbers = {name: _number(f"{kind}.{name}", value) for name, value in table.items()}
    if kind == "range" and "soft" not in numbers:
        width = numbers["high"] - numbers["low"]
        if width == 0:
            raise InputError("range: low and high are equal; use target, or give soft")
        numbers["soft"] = abs(width) / 4
    try:
        return made(**numbers)
    except InputError as error:
        raise InputError(f"{kind}: {error}") from None


def _number(label: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{label} should be a finite number, got {value!r}")
    return float(value)


def _halving(distance: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 ** (distance**2))

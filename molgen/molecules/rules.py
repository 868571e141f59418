"""Rules of thumb for drug-like molecules: ranges of a few properties, as their authors published them."""

import math
from collections.abc import Mapping
from typing import NamedTuple


class Rule(NamedTuple):
    """Ranges (low, high) of properties by name, None where open, and how many of them a molecule may miss."""

    ranges: Mapping[str, tuple[float | None, float | None]]
    misses: int = 0

    def kept(self, numbers: Mapping[str, float]) -> bool | None:
        """Whether a molecule with these properties keeps the rule; None where one that it needs is NaN."""
        if any(math.isnan(numbers[name]) for name in self.ranges):
            return None
        return sum(not within(numbers[name], *bounds) for name, bounds in self.ranges.items()) <= self.misses


def within(value: float, low: float | None, high: float | None) -> bool:
    """Whether low <= value <= high, each where it is given."""
    return (low is None or value >= low) and (high is None or value <= high)


RULES: dict[str, Rule] = {
    # Lipinski et al. 1997
    "lipinski": Rule({"mw": (None, 500), "logp": (None, 5), "hbd": (None, 5), "hba": (None, 10)}, misses=1),
    # Veber et al. 2002
    "veber": Rule({"rotatable_bonds": (None, 10), "tpsa": (None, 140)}),
    # Ghose et al. 1999
    "ghose": Rule({"mw": (160, 480), "logp": (-0.4, 5.6), "molar_refractivity": (40, 130), "atoms": (20, 70)}),
    # Teague et al. 1999
    "lead_like": Rule({"mw": (200, 350), "logp": (-1, 3.5), "rotatable_bonds": (None, 7)}),
    # Congreve et al. 2003
    "rule_of_three": Rule(
        {"mw": (None, 300), "logp": (None, 3), "hbd": (None, 3), "hba": (None, 3), "rotatable_bonds": (None, 3)}
    ),
}

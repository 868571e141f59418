"""The bins of a histogram."""

import math
from collections.abc import Sequence

import numpy as np


def usual_range(sets: Sequence[np.ndarray]) -> tuple[float, float]:
    """From the lowest to the highest member of any set, float [k], without the outermost 1 % of each; NaN and empty
    sets left out, 0 to 1 where nothing is left.

    The ends are members of a set: beside a large one a small one is not cut off.
    """
    there = [finite for values in sets if len(finite := values[np.isfinite(values)])]
    if not there:
        return 0.0, 1.0
    low = min(np.percentile(values, 0.5, method="lower") for values in there)
    high = max(np.percentile(values, 99.5, method="higher") for values in there)
    return float(low), float(high)


def bin_edges(low: float, high: float, count: int, *, whole: bool) -> np.ndarray:
    """Edges of up to `count` equal bins from low to high, float64; of whole numbers each bin holds equally many."""
    if not whole:
        return np.linspace(low, high if high > low else low + 1, count + 1)
    low, high = math.floor(low), math.ceil(high)
    width = math.ceil((high - low + 1) / count)
    return np.arange(low, high + width + 1, width) - 0.5

"""The bins of a histogram."""

import math

import numpy as np


def bin_edges(low: float, high: float, count: int, *, whole: bool) -> np.ndarray:
    """Edges of up to `count` equal bins from low to high, float64; of whole numbers each bin holds equally many."""
    if not whole:
        return np.linspace(low, high if high > low else low + 1, count + 1)
    low, high = math.floor(low), math.ceil(high)
    width = math.ceil((high - low + 1) / count)
    return np.arange(low, high + width + 1, width) - 0.5

"""Pictures of reports, by what is drawn."""

import numpy as np
import pytest
from matplotlib.axes import Axes

from molgen.evaluation.bins import bin_edges, usual_range
from molgen.evaluation.plots import histogram_png


@pytest.mark.parametrize(("low", "high", "width"), [(0, 7, 1), (3, 3, 1), (0, 39, 1), (0, 40, 2), (5, 104, 3)])
def test_every_bin_of_whole_numbers_holds_as_many_of_them(low, high, width):
    edges = bin_edges(low, high, 40, whole=True)
    assert len(edges) <= 41 and (np.diff(edges) == width).all()
    counts, _ = np.histogram(np.arange(low, high + 1), edges)
    assert counts.sum() == high + 1 - low and set(counts[:-1]) <= {width}


def test_a_histogram_of_whole_numbers_has_bins_of_whole_numbers(monkeypatch):
    edges = []
    original = Axes.hist
    monkeypatch.setattr(
        Axes, "hist", lambda self, x, bins, **rest: edges.append(bins) or original(self, x, bins, **rest)
    )
    histogram_png("rings", {"mine": np.array([0.0, 1, 3])}, np.array([2.0, 3, 4]), whole=True)
    assert edges[0] == [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5]


@pytest.mark.filterwarnings("error")
def test_a_small_set_beside_a_large_reference_is_drawn_whole(monkeypatch):
    drawn = []
    original = Axes.hist
    monkeypatch.setattr(
        Axes, "hist", lambda self, values, edges, **rest: drawn.append(original(self, values, edges, **rest))
    )
    reference = np.random.default_rng(0).normal(0, 1, 10_000)
    small, missing = np.array([7.0, 9.0]), np.array([np.nan])
    assert histogram_png("x", {"small": small, "nothing": missing}, reference).startswith(b"\x89PNG")
    (of_reference, edges, _), (of_small, same, _) = drawn
    width = np.diff(edges)
    assert (of_small * width).sum() == pytest.approx(1.0)
    assert (of_small[[np.searchsorted(edges, 7.0) - 1, -1]] > 0).all()
    assert (of_reference * width).sum() == pytest.approx(1.0)
    assert edges[-1] == same[-1] == 9.0


def test_a_small_set_is_not_cut_off_beside_a_large_one():
    large = np.linspace(0.2, 0.87, 100_000)
    low, high = usual_range([large, np.array([0.94, np.nan])])
    assert low == pytest.approx(0.2, abs=0.01) and high == 0.94
    assert usual_range([np.array([np.nan]), np.array([])]) == (0.0, 1.0)

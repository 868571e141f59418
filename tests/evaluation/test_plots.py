"""Pictures of reports, by what is drawn."""

import numpy as np
import pytest
from matplotlib.axes import Axes

from molgen.evaluation.plots import histogram_png


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

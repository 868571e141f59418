"""Figures as JSON and as the text of a cell."""

import json

import numpy as np
import pytest

from molgen.evaluation.fcd import Fcd
from molgen.evaluation.figures import Count, Distance, MeanFigure, ShareFigure, Value, text_of


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (1_234, "1,234"),
        (Count(1_234), "1,234"),
        (ShareFigure.of(3, 3), "100.0% [43.9%, 100.0%], 3 of 3"),
        (ShareFigure.of(0, 0), "-"),
        (MeanFigure.of(np.array([2.0, np.nan, 2.0])), "2 [2, 2]"),
        (MeanFigure.of(np.array([np.nan])), "-"),
        (Value(0.51234, 40), "0.512 (40 molecules)"),
        (Value(None, 1), "- (1 molecules)"),
        (Distance.of(Fcd(1.5, 40, "qm9 test", 10_000, 0.25, "qm9 train")), "1.500 (40 molecules), floor 0.250"),
        (Distance.of(Fcd(None, 1, "qm9 test", 10_000, None, "qm9 train")), "- (1 molecules)"),
    ],
)
def test_the_text_of_a_cell(figure, text):
    assert text_of(figure) == text


def test_figures_as_json():
    share = json.loads(json.dumps(ShareFigure.of(1, 2).to_json()))
    assert share == {"share": 0.5, "count": 1, "total": 2, "interval": pytest.approx([0.0945, 0.9055], abs=1e-4)}
    assert ShareFigure.of(0, 0).to_json() == {"share": None, "count": 0, "total": 0, "interval": None}
    assert MeanFigure.of(np.array([])).to_json() == {"mean": None, "interval": None, "molecules": 0}
    distance = Distance.of(Fcd(1.5, 40, "qm9 test", 10_000, 0.25, "qm9 train"))
    assert distance.to_json() == {"value": 1.5, "molecules": 40, "against": "10,000 of qm9 test", "floor": 0.25}

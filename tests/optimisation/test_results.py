"""What is told of a search: the best, a collapse, the curve and the area under it."""

from pathlib import Path

import numpy as np
import pytest

from molgen.optimisation.log import Log
from molgen.optimisation.objective import parse_objective
from molgen.optimisation.results import auc_top10, curve
from molgen.optimisation.scorers import Place
from molgen.optimisation.search import Search, SearchSettings
from tests.optimisation.trees import model

RINGS = ["C1CCCCC1" + "C" * count for count in range(1, 31)] + ["c1ccccc1C", "CCO", "CCN", "CCC"]


def ringed(folder: Path, log: Log, batch: int = 10) -> Search:
    made = parse_objective('[[component]]\nproperty = "qed"', "o.toml", Place(model(), folder))
    return Search(model(), made, SearchSettings("plain", 4, 0, "cpu", batch=batch, per_scaffold=3), log)


def test_parents_are_diverse_and_a_collapse_is_told(tmp_path):
    with Log(tmp_path / "log") as log:
        log.ask(0, [(text, "fresh", ()) for text in RINGS])
        scores = np.linspace(1, 0, len(RINGS))
        scores[2] = np.nan
        made = ringed(tmp_path, log)
        best = made.best(scores, 100, per_scaffold=3)
        # of cyclohexanes the three with the highest scores; no limit to those without rings
        assert [row.number for row in best] == [1, 2, 4, 31, 32, 33, 34]
        assert [row.number for row in made.best(scores, 4)] == [1, 2, 4, 5]
        assert made.collapse(scores) is None  # too few to tell
        log.ask(1, [("C1CCCCC1" + "C" * count, "grow", (1,)) for count in range(31, 80)])
        assert made.collapse(np.linspace(1, 0, len(log))) == ("C1CCCCC1", 79, 83)


def test_the_area_under_the_best_ten_is_that_of_pmo():
    # by hand: one score of 0.5 each call, 250 calls of 1,000: triangle, plateau, and the rest at the last value
    assert auc_top10(np.full(250, 0.5), 1000) == pytest.approx((100 * 0.25 + 150 * 0.5 + 750 * 0.5) / 1000)
    assert auc_top10(np.full(50, 1.0), 50) == pytest.approx(0.5)
    assert auc_top10(np.full(5, np.nan), 10) == 0
    rising = np.arange(200) / 200
    at_100, at_200 = rising[90:100].mean(), rising[190:200].mean()
    assert auc_top10(rising, 200) == pytest.approx((100 * at_100 / 2 + 100 * (at_100 + at_200) / 2) / 200)


def test_the_curve_counts_missing_scores_as_calls():
    scores = np.array([0.1, np.nan, 0.3, 0.2, *[np.nan] * 6, 0.9])
    table = curve(scores)
    assert table["calls"].tolist() == [10, 11]
    assert table["best"].tolist() == [0.3, 0.9]
    assert table["best_10"].tolist() == [0.2, pytest.approx(0.375)]

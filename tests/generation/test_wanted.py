import numpy as np
import pandas as pd
import pytest
import torch

from molgen.data.dataset import GraphDataset, Statistics, told_statistics
from molgen.errors import InputError
from molgen.generation.cores import parse_core
from molgen.generation.runs import Tally
from molgen.generation.wanted import Sizes, Span, Wanted
from molgen.molecules.graph import GraphBatch


@pytest.fixture(scope="module")
def told(vocabulary) -> Statistics:
    """Graphs of 3 to 8 nodes: the weight is some ten times the size, the other property has nothing to do with it."""
    random = np.random.default_rng(0)
    by_size, targets = {}, {}
    for size in range(3, 9):
        by_size[size] = GraphBatch(
            torch.zeros(200, size, dtype=torch.uint8), torch.zeros(200, size * (size - 1) // 2, dtype=torch.uint8)
        )
        columns = [10.0 * size + random.normal(size=200), random.normal(size=200), np.full(200, 7.0)]
        targets[size] = torch.tensor(np.stack(columns, 1), dtype=torch.float32)
    graphs = GraphDataset(vocabulary, by_size, targets)
    return told_statistics(graphs.statistics(), graphs, ("weight", "noise", "same"))


def test_the_statistics_of_properties(told):
    assert [target.name for target in told.targets] == ["weight", "noise"]  # one is the same for all
    weight = told.targets[0]
    assert weight.mean == pytest.approx(55, abs=0.5) and weight.low == pytest.approx(30, abs=2)
    assert Statistics.from_json(told.to_json()) == told


def test_the_size_follows_from_what_is_asked(told):
    assert Wanted().size_weights(told) == pytest.approx(np.array(told.sizes) / sum(told.sizes))
    assert Wanted(targets={"weight": Span(60, 60)}).size_weights(told).argmax() == 6
    assert Wanted(targets={"weight": Span(60, 60)}).size_weights(told)[6] > 0.95
    assert Wanted(targets={"noise": Span(1, 1)}).size_weights(told)[3:].max() < 0.3
    with pytest.raises(InputError, match="unknown target 'mass'; this model knows weight, noise"):
        Wanted(targets={"mass": Span(1, 1)}).size_weights(told)


def test_a_core_needs_room_to_grow(told, vocabulary):
    weights = Wanted(core=parse_core("c1ccoc1", vocabulary)).size_weights(told)
    assert weights[:6].sum() == 0 and weights[6:].sum() == pytest.approx(1)
    large = Wanted(core=parse_core("CCCCCCCC", vocabulary)).size_weights(told)  # as much as on one of five atoms
    assert large[:9].sum() == 0 and large[9:12] == pytest.approx(weights[6:9])
    naphthalene = "c1ccc2ccccc2c1"
    with pytest.raises(
        InputError, match=f"the core {naphthalene} has 10 heavy atoms, to which the model can add up to 0"
    ):
        Wanted(core=parse_core(naphthalene, vocabulary)).size_weights(told)


def test_a_range_asks_for_all_of_its_values_with_the_sizes_that_go_with_them(told):
    wanted = Wanted(targets={"weight": Span(40, 60)})
    values = sorted(point["weight"] for point in wanted.points)
    assert values[0] == pytest.approx(40, abs=0.2) and values[-1] == pytest.approx(60, abs=0.2)
    assert np.diff(values) == pytest.approx(20 / len(values))
    weights = wanted.size_weights(told)
    assert weights[4:7] == pytest.approx([0.25, 0.5, 0.25], abs=0.05)  # half of the values are nearest to 50

    class Model:  # all that a condition asks of a backend
        targets, statistics, device = ("weight", "noise"), told, "cpu"

    drawn = wanted.condition(Model(), 4, 500, np.random.default_rng(0)).targets
    assert drawn[:, 1].isnan().all()
    assert 40 <= drawn[:, 0].min() < drawn[:, 0].max() < 48  # those of four atoms: about 40


def test_sizes_are_kept_to(told, vocabulary):
    weights = Wanted(sizes=Sizes(5, 6)).size_weights(told)
    assert weights[5:7] == pytest.approx([0.5, 0.5]) and weights.sum() == pytest.approx(1)
    far = Wanted(sizes=Sizes(3, 4), targets={"weight": Span(80, 80)}).size_weights(told)
    assert far[3:5].sum() == pytest.approx(1)
    with pytest.raises(InputError, match="size 20:30 is asked for; the model makes molecules of 3 to 8 heavy atoms"):
        Wanted(sizes=Sizes(20, 30)).size_weights(told)
    with pytest.raises(InputError, match="the core c1ccoc1 has 5 heavy atoms; at most 5 are asked for"):
        Wanted(core=parse_core("c1ccoc1", vocabulary), sizes=Sizes(3, 5)).size_weights(told)


def test_what_a_range_obtained_is_told_by_its_share_inside():
    tally = Tally(None, {"logp": Span(2, 3), "mw": Span(100, 100)})
    table = {"smiles": ["C", "CC", "CCC", ""], "reason": ["", "", "", "no"], "novel": True, "sample": range(4)}
    tally.add(pd.DataFrame(table | {"logp": [1.5, 2.0, 2.5, np.nan], "mw": [90.0, 100.0, 120.0, np.nan]}))
    assert tally.asked() == {
        "logp": {"asked": "2:3", "mean": 2.0, "spread": 0.4082, "error": 0.1667, "inside": 0.6667},
        "mw": {"asked": 100.0, "mean": 103.3333, "spread": 12.4722, "error": 10.0},
    }


def test_a_range_with_an_open_end_is_met_by_all_beyond():
    values = pd.Series([1.0, 3.0, 9.0])
    upward, downward = Span(2, 4, open_high=True), Span(2, 2, open_low=True)
    assert upward.off(values).tolist() == [1, 0, 0] and str(upward) == "2:"
    assert downward.off(values).tolist() == [0, 1, 7] and str(downward) == ":2" and downward.is_range
    assert str(Span(250.123456, 250.123456)) == "250.123456" and not Span(2, 2).is_range

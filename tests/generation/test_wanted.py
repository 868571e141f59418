import numpy as np
import pytest
import torch

from molgen.data.dataset import GraphDataset, Statistics, told_statistics
from molgen.errors import InputError
from molgen.generation.cores import parse_core
from molgen.generation.wanted import Wanted
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
    assert Wanted(targets={"weight": 60.0}).size_weights(told).argmax() == 6
    assert Wanted(targets={"weight": 60.0}).size_weights(told)[6] > 0.95
    assert Wanted(targets={"noise": 1.0}).size_weights(told)[3:].max() < 0.3
    with pytest.raises(InputError, match="unknown target 'mass'; this model knows weight, noise"):
        Wanted(targets={"mass": 1.0}).size_weights(told)


def test_a_core_needs_room_to_grow(told, vocabulary):
    weights = Wanted(core=parse_core("c1ccoc1", vocabulary)).size_weights(told)
    assert weights[:6].sum() == 0 and weights[6:].sum() == pytest.approx(1)
    with pytest.raises(InputError, match="the core CCCCCCCC has 8 heavy atoms; the model makes molecules of up to 8"):
        Wanted(core=parse_core("CCCCCCCC", vocabulary)).size_weights(told)

"""The cross-entropy of graphs, by hand."""

import math

import pytest
import torch

from molgen.models.conditions import Condition
from molgen.models.losses import cross_entropy
from molgen.molecules.graph import GraphBatch


def test_the_cross_entropy_is_a_mean_over_nodes_and_one_over_pairs():
    """Two nodes of probability 1/2 and 1/4, their pair of probability 1/8; what is known costs nothing."""
    batch = GraphBatch(torch.tensor([[0, 1]]), torch.tensor([[3]]))
    log_nodes = torch.tensor([[[0.5, 0.5], [0.75, 0.25]]]).log()
    log_pairs = torch.tensor([[[0.5, 0.25, 0.125, 0.125]]]).log()
    expected = (math.log(2) + math.log(4)) / 2 + 5 * math.log(8)
    assert float(cross_entropy(log_nodes, log_pairs, batch, None, 5.0)) == pytest.approx(expected)
    condition = Condition.nothing(2, 1, 0)
    condition.known_nodes[0, 1] = condition.known_pairs[0, 0] = True
    assert float(cross_entropy(log_nodes, log_pairs, batch, condition, 5.0)) == pytest.approx(math.log(2) / 2)


def test_a_single_node_has_no_pairs():
    batch = GraphBatch(torch.tensor([[0]]), torch.zeros(1, 0, dtype=torch.int64))
    loss = cross_entropy(torch.tensor([[[0.5, 0.5]]]).log(), torch.zeros(1, 0, 4), batch, None, 5.0)
    assert float(loss) == pytest.approx(math.log(2))

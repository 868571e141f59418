"""EDGE: the process that removes and returns bonds, the node part, and degrees given against degrees obtained."""

import itertools

import pytest
import torch

from molgen.backends.edge import EDGE, EDGEConfig, _accepted, _log_arrangements
from molgen.backends.edge.network import part_of, tokens_of
from molgen.backends.edge.process import (
    HOPS,
    NodePart,
    Partial,
    active_pairs,
    active_probability,
    allowed_orders,
    alpha_bar,
    bonds_of,
    hop_distances,
    return_probability,
    unbonded,
)
from molgen.errors import InputError
from molgen.graph import GraphBatch
from tests.conftest import TINY


@pytest.fixture
def model(vocabulary, dataset) -> EDGE:
    torch.manual_seed(0)
    return EDGE(EDGEConfig(**TINY["edge"]), vocabulary, dataset.statistics()).eval()


def whole(batch: GraphBatch) -> Partial:
    return Partial(NodePart.of(batch), *bonds_of(batch))


def test_bonds_as_a_list_and_back(dataset):
    for batch in dataset.by_size.values():
        batch = batch.to(torch.int64)
        state = whole(batch)
        assert torch.equal(state.graphs().pairs, batch.pairs)
        degree, valence = state.missing()
        assert not degree.any() and not valence.any()


def test_node_parts_and_tokens(dataset):
    part = NodePart.of(dataset.by_size[6].to(torch.int64))
    again = part_of(tokens_of(part))
    for name in ("atoms", "degree", "valence"):
        assert torch.equal(getattr(again, name), getattr(part, name))


def test_the_way_there_in_steps_is_the_way_there_at_once():
    """Bonds removed step by step are left as often as alpha-bar says; steps from the reverse probabilities alone."""
    times = torch.linspace(0, 1, 9)
    left = torch.ones(())
    for then, now in itertools.pairwise(times):
        # of the bonds there at `then`, those are still there at `now` that do not come back from now to then
        keep = 1 - return_probability(alpha_bar(now), alpha_bar(then)) * (1 - alpha_bar(now)) / alpha_bar(then)
        left = left * keep
        assert float(left) == pytest.approx(float(alpha_bar(now)), abs=1e-6)
    assert float(return_probability(alpha_bar(times[1]), alpha_bar(times[0]))) == 1.0


def test_the_active_nodes_follow_bayes():
    """Node with two bonds, both missing at alpha-bar 0.2; alpha-bar 0.6 before.

    A bond missing at t was there at s with (0.6 - 0.2) / (1 - 0.2) = 1/2; neither was: 1/4.
    """
    p = return_probability(torch.tensor(0.2), torch.tensor(0.6))
    assert float(p) == pytest.approx(0.5)
    assert float(active_probability(torch.tensor(2), p)) == pytest.approx(0.75)
    draws = torch.rand(100_000, 2, generator=torch.Generator().manual_seed(0))
    there_then, there_now = draws < 0.6, draws < 0.2
    lacking = ~there_now.any(1)
    active = (there_then & ~there_now).any(1)[lacking]
    assert float(active.float().mean()) == pytest.approx(0.75, abs=5 * (0.75 * 0.25 / int(lacking.sum())) ** 0.5)


def test_active_pairs_are_all_pairs_within_a_graph():
    active = torch.tensor([1, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 1], dtype=torch.bool)  # 3 graphs of 4 nodes
    first, second = active_pairs(active, 4)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 2), (0, 3), (2, 3), (8, 11)]
    assert len(active_pairs(torch.zeros(12, dtype=torch.bool), 4)[0]) == 0


def test_pairs_with_a_bond_are_no_candidates(dataset):
    batch = dataset.by_size[6].to(torch.int64)
    state = whole(batch)
    first, second = active_pairs(torch.ones(state.nodes, dtype=torch.bool), 6)
    assert torch.equal(unbonded(state, first, second), batch.pairs.flatten() == 0)


def test_what_is_missing_decides_what_is_allowed():
    degree, valence = torch.tensor([1, 2, 2, 0]), torch.tensor([2, 3, 6, 0])
    allowed = allowed_orders(degree, valence, torch.tensor([0, 0, 1, 0]), torch.tensor([1, 2, 2, 3]))
    assert allowed.tolist() == [
        [True, False, True, False],  # the last bond of node 0 is double; node 1 then lacks a single one
        [True, False, False, False],  # node 2 needs two triple ones
        [True, False, False, False],  # as before, and node 1 takes no triple one
        [True, False, False, False],  # node 3 lacks nothing
    ]


def test_distances_in_the_unfinished_graph():
    bonds = torch.tensor([[1, 0, 0, 0, 1, 0, 0, 1, 0, 0]])  # 0-1-2-3, and 4 alone
    state = whole(GraphBatch(torch.zeros(1, 5, dtype=torch.int64), bonds))
    active = torch.ones(5, dtype=torch.bool)
    distances = hop_distances(state, active, *active_pairs(active, 5))
    assert distances.tolist() == [1, 2, 3, HOPS + 1, 1, 2, HOPS + 1, 1, HOPS + 1, HOPS + 1]


def test_drawn_bonds_that_do_not_fit_together_are_not_all_taken():
    part = NodePart(*(torch.tensor([values]) for values in ([0, 0, 0], [1, 1, 2], [1, 1, 2])))
    nothing = torch.zeros(0, dtype=torch.int64)
    empty = Partial(part, nothing, nothing, nothing)
    drawn = (torch.tensor([0, 0, 1]), torch.tensor([1, 2, 2]), torch.ones(3, dtype=torch.int64))
    assert _accepted(empty, *drawn, torch.tensor([0.1, 0.9, 0.5])).graphs().pairs.tolist() == [[0, 1, 1]]
    assert _accepted(empty, *drawn, torch.tensor([0.9, 0.1, 0.5])).graphs().pairs.tolist() == [[1, 0, 0]]


def test_degrees_and_valences_are_never_exceeded_and_mostly_obtained(model, dataset):
    """Also of an untrained model: what is missing at the end is what no pair could take."""
    short = total = 0
    for size, batch in dataset.by_size.items():
        part = NodePart.of(batch.to(torch.int64))
        drawn = model.sample(
            size, len(batch), steps=64, sampler="ancestral", generator=torch.Generator().manual_seed(0), node_part=part
        )
        got = NodePart.of(drawn)
        assert torch.equal(got.atoms, part.atoms)
        assert (got.degree <= part.degree).all() and (got.valence <= part.valence).all()
        short += int((got.degree < part.degree).any(1).sum())
        total += len(batch)
    assert short <= total // 3


def test_every_training_graph_can_be_reached(model, dataset):
    """The class of every returning bond has a finite -log p, wherever the time stands."""
    for seed in range(5):
        for batch in dataset.by_size.values():
            assert model.loss(batch.to(torch.int64), torch.Generator().manual_seed(seed)).isfinite().all()


@torch.no_grad()
def test_the_node_part_model_is_a_distribution(vocabulary, dataset):
    """Over the 2-node multisets of all tokens: probabilities of ordered pairs sum to one."""
    model = EDGE(EDGEConfig(**TINY["edge"]), vocabulary, dataset.statistics()).node_part
    hidden, previous = model.start(1)
    hidden, first = model.step(hidden, previous, 2)
    assert float(first.exp().sum()) == pytest.approx(1.0, abs=1e-4)
    token = torch.tensor([40])
    _, second = model.step(hidden, token, 1)
    assert float(second.exp().sum()) == pytest.approx(1.0, abs=1e-4)
    assert float(second[0, :40].exp().sum()) == 0.0


def test_arrangements_are_counted():
    counts = _log_arrangements(torch.tensor([[1, 1, 2, 3], [5, 5, 5, 5], [1, 2, 3, 4]])).exp()
    assert counts.tolist() == pytest.approx([12.0, 1.0, 24.0])


@pytest.mark.parametrize(
    ("settings", "message"), [({"layers": 0}, "layers should be at least 1"), ({"width": 30}, "multiple of heads")]
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        EDGEConfig(**settings)

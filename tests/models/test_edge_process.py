"""EDGE: the process that removes and returns bonds, the structure of unfinished graphs, and degrees."""

import itertools
from dataclasses import replace

import pytest
import torch

from molgen.models.edge.degrees import graphical, part_of, tokens_of
from molgen.models.edge.process import (
    NodePart,
    active_probability,
    allowed_orders,
    alpha_bar,
    candidate_pairs,
    return_probability,
    unbonded,
)
from molgen.models.edge.structure import HOPS, Pieces, hop_distances, ring_counts
from tests.models.edge_graphs import unfinished, whole


def test_bonds_as_a_list_and_back(dataset):
    for batch in dataset.by_size.values():
        batch = batch.to(torch.int64)
        state = whole(batch)
        assert torch.equal(state.graphs().pairs, batch.pairs)
        degree, valence = state.missing()
        assert not degree.any() and not valence.any()


def test_a_choice_of_graphs_is_numbered_anew(dataset):
    batch = dataset.by_size[6].to(torch.int64)
    chosen = torch.arange(len(batch)) % 2 == 1
    assert torch.equal(whole(batch).of_graphs(chosen).graphs().pairs, batch.pairs[chosen])


def test_chosen_graphs_are_put_back_in_their_places(dataset):
    batch = dataset.by_size[6].to(torch.int64)[[0, 1, 2, 3]]
    state = whole(batch)
    chosen = torch.tensor([False, True, False, True])
    empty = replace(state.of_graphs(chosen), first=state.first[:0], second=state.first[:0], order=state.first[:0])
    assert torch.equal(state.with_graphs(chosen, empty).graphs().pairs, batch.pairs * ~chosen[:, None])
    again = state.with_graphs(chosen, empty).with_graphs(chosen, state.of_graphs(chosen))
    assert torch.equal(again.graphs().pairs, batch.pairs)


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

    A bond missing at t was there at s with (0.6 - 0.2) / (1 - 0.2) = 1/2, and is active at this end with 1/2 of that;
    neither is: (3/4)^2.
    """
    p = return_probability(torch.tensor(0.2), torch.tensor(0.6))
    assert float(p) == pytest.approx(0.5)
    assert float(active_probability(torch.tensor(2), p)) == pytest.approx(7 / 16)
    generator = torch.Generator().manual_seed(0)
    draws = torch.rand(100_000, 2, generator=generator)
    this_end = torch.rand(100_000, 2, generator=generator) < 0.5
    there_then, there_now = draws < 0.6, draws < 0.2
    lacking = ~there_now.any(1)
    active = (there_then & ~there_now & this_end).any(1)[lacking]
    assert float(active.float().mean()) == pytest.approx(7 / 16, abs=5 * (0.25 / int(lacking.sum())) ** 0.5)


def test_candidates_are_the_pairs_of_an_active_and_an_open_node():
    # 3 graphs of 4 nodes; a capital stands for an active node, a small letter for one that is only open
    letters = "ab.CDe..f..."
    active = torch.tensor([letter.isupper() for letter in letters])
    open_nodes = torch.tensor([letter != "." for letter in letters])
    first, second = candidate_pairs(active, open_nodes, 4)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(3, 0), (3, 1), (4, 5)]
    first, second = candidate_pairs(open_nodes, open_nodes, 4)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 1), (0, 3), (1, 3), (4, 5)]
    assert len(candidate_pairs(torch.zeros(12, dtype=torch.bool), open_nodes, 4)[0]) == 0


def test_pairs_with_a_bond_are_no_candidates(dataset):
    batch = dataset.by_size[6].to(torch.int64)
    state = whole(batch)
    every = torch.ones(state.nodes, dtype=torch.bool)
    first, second = candidate_pairs(every, every, 6)
    assert torch.equal(unbonded(state, first, second), batch.pairs.flatten() == 0)
    assert torch.equal(unbonded(state, second, first), batch.pairs.flatten() == 0)


def test_what_is_missing_decides_what_is_allowed():
    degree, valence = torch.tensor([1, 2, 2, 0]), torch.tensor([2, 3, 6, 0])
    allowed = allowed_orders(degree, valence, torch.tensor([0, 0, 1, 0]), torch.tensor([1, 2, 2, 3]))
    assert allowed.tolist() == [
        [False, True, False],  # the last bond of node 0 is double; node 1 then lacks a single one
        [False, False, False],  # node 2 needs two triple ones
        [False, False, False],  # as before, and node 1 takes no triple one
        [False, False, False],  # node 3 lacks nothing
    ]


def test_distances_in_the_unfinished_graph():
    state = unfinished(5, [(0, 1), (1, 2), (2, 3)], [1, 2, 2, 1, 0])  # 0-1-2-3, and 4 alone
    every = torch.ones(5, dtype=torch.bool)
    distances = hop_distances(state, *candidate_pairs(every, every, 5))
    assert distances.tolist() == [1, 2, 3, HOPS + 1, 1, 2, HOPS + 1, 1, HOPS + 1, HOPS + 1]


def test_rings_through_each_bond():
    """A triangle and a square that share the bond 0-1, and a tail: 2-0-1, 0-1-3-4, 4-5."""
    bonds = [(0, 1), (1, 2), (0, 2), (1, 3), (3, 4), (0, 4), (4, 5)]
    state = unfinished(6, bonds, [3, 3, 2, 2, 3, 1])
    edges, _ = state.edges()
    rings = ring_counts(edges[0], edges[1], 6)
    assert torch.equal(rings[:7], rings[7:])  # the same in both directions
    # the fused ring of five is 2-1-3-4-0
    expected = [(1, 1, 0), (1, 0, 1), (1, 0, 1), (0, 1, 1), (0, 1, 1), (0, 1, 1), (0, 0, 0)]
    assert [tuple(row) for row in rings[:7, :3].int().tolist()] == expected


def test_a_piece_is_not_closed_before_its_time():
    state = unfinished(5, [(0, 1), (2, 3)], [2, 2, 2, 2, 2])  # a ring of five, two bonds of it there
    pieces = Pieces.of(state, state.missing()[0])
    assert pieces.label.tolist() == [0, 0, 2, 2, 4]
    assert pieces.size.tolist() == [2, 2, 2, 2, 1]
    assert pieces.open_ends.tolist() == [2, 2, 2, 2, 2]
    assert (int(pieces.count), int(pieces.all_open)) == (3, 6)
    assert pieces.joinable(torch.tensor([0, 1]), torch.tensor([2, 4])).all()
    state = unfinished(6, [(0, 1), (1, 2), (3, 4), (4, 5)], [2, 2, 2, 2, 2, 2])  # two chains of three
    pieces = Pieces.of(state, state.missing()[0])
    assert pieces.joinable(torch.tensor([0, 0]), torch.tensor([2, 3])).tolist() == [False, True]
    state = unfinished(4, [(0, 1), (1, 2)], [2, 3, 2, 1])  # closing the triangle leaves node 1 to take node 3
    pieces = Pieces.of(state, state.missing()[0])
    assert pieces.joinable(torch.tensor([0, 1]), torch.tensor([2, 3])).tolist() == [True, True]
    state = unfinished(4, [(0, 1), (1, 2)], [2, 2, 3, 1])  # nothing to spare for a ring, were node 2 to lack but one
    pieces = Pieces.of(state, torch.tensor([1, 0, 1, 0]))
    assert not pieces.joinable(torch.tensor([0]), torch.tensor([2]))


def test_node_parts_and_tokens(dataset):
    part = NodePart.of(dataset.by_size[6].to(torch.int64))
    again = part_of(tokens_of(part))
    for name in ("atoms", "degree", "valence"):
        assert torch.equal(getattr(again, name), getattr(part, name))


def test_node_parts_of_connected_graphs():
    def part(degree, valence):
        return NodePart(torch.zeros(1, len(degree), dtype=torch.int64), torch.tensor([degree]), torch.tensor([valence]))

    assert graphical(part([1, 2, 1], [1, 2, 1]))
    assert not graphical(part([1, 2, 2], [1, 2, 2]))  # an odd sum
    assert not graphical(part([1, 1, 1, 1], [1, 1, 1, 1]))  # two pieces
    assert not graphical(part([1, 2, 1], [1, 2, 2]))

"""EDGE: the process that removes and returns bonds, the node part, and degrees given against degrees obtained."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from molgen.cli.train import start_from
from molgen.errors import InputError
from molgen.models.checkpoints import load_checkpoint
from molgen.models.conditions import Condition, draw_condition
from molgen.models.edge.model import EDGE, EDGEConfig, _accepted, _log_arrangements
from molgen.models.edge.network import log_shares
from molgen.models.edge.node_part import draw_given, feasible, graphical, part_of, tokens_of
from molgen.models.edge.process import (
    Given,
    NodePart,
    Partial,
    active_probability,
    allowed_orders,
    alpha_bar,
    bonds_of,
    candidate_pairs,
    pair_places,
    return_probability,
    unbonded,
)
from molgen.models.edge.structure import HOPS, Pieces, hop_distances, ring_counts
from molgen.molecules.composition import atoms_request, formula_request
from molgen.molecules.encoding import implied_hydrogens
from molgen.molecules.graph import GraphBatch
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


def unfinished(size: int, bonds: list[tuple[int, int]], degree: list[int]) -> Partial:
    """One graph with single bonds, whose nodes should end with these degrees."""
    first, second = torch.tensor(bonds, dtype=torch.int64).reshape(-1, 2).unbind(1)
    part = NodePart(torch.zeros(1, size, dtype=torch.int64), torch.tensor([degree]), torch.tensor([degree]))
    return Partial(part, first, second, torch.ones_like(first))


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


def test_shares_of_a_node_sum_to_one():
    first, second = torch.tensor([0, 0, 1]), torch.tensor([1, 2, 2])
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    logits[2] = -torch.inf
    of_first, of_second = log_shares(logits, first, second, 4)
    assert float(of_first[:2].exp().sum()) == pytest.approx(1.0)  # node 0: to 1 and to 2
    assert float(of_second[0].exp().sum()) == pytest.approx(1.0)  # node 1: to 0, as 2 cannot be
    assert (of_second[2] == -torch.inf).all()


def test_a_choice_of_graphs_is_numbered_anew(dataset):
    batch = dataset.by_size[6].to(torch.int64)
    chosen = torch.arange(len(batch)) % 2 == 1
    assert torch.equal(whole(batch).of_graphs(chosen).graphs().pairs, batch.pairs[chosen])


def test_drawn_bonds_that_do_not_fit_together_are_not_all_taken():
    empty = unfinished(4, [], [1, 2, 2, 1])
    drawn = (torch.tensor([0, 0, 2]), torch.tensor([1, 2, 3]), torch.ones(3, dtype=torch.int64))
    # pairs 01 02 03 12 13 23: node 0 takes one bond
    assert _accepted(empty, *drawn, torch.tensor([0.9, 0.1, 0.5])).graphs().pairs.tolist() == [[1, 0, 0, 0, 0, 1]]
    # and 0-2-3 would leave node 1 alone
    assert _accepted(empty, *drawn, torch.tensor([0.1, 0.9, 0.5])).graphs().pairs.tolist() == [[0, 1, 0, 0, 0, 0]]
    # 0-3 would be a piece of its own
    closing = (torch.tensor([3, 0]), torch.tensor([0, 1]), torch.ones(2, dtype=torch.int64))
    assert _accepted(empty, *closing, torch.tensor([0.9, 0.1])).graphs().pairs.tolist() == [[1, 0, 0, 0, 0, 0]]


@torch.no_grad()
def test_the_network_does_not_depend_on_the_order_of_nodes(model, dataset):
    batch = dataset.by_size[6].to(torch.int64)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(3))
    logits = []
    for graphs, places in ((batch, order), (batch.permute(order), torch.arange(6))):
        first, second, bond = bonds_of(graphs)
        kept = bond == 2  # all but the double bonds are missing, in both
        state = Partial(NodePart.of(graphs), first[kept], second[kept], bond[kept])
        one, other = torch.cartesian_prod(places, places)[:, 0], torch.cartesian_prod(places, places)[:, 1]
        one, other = (torch.cat([ends + 6 * graph for graph in range(len(graphs))]) for ends in (one, other))
        logits.append(model.network(state, one, other))
    assert torch.equal(logits[0].isfinite(), logits[1].isfinite())
    assert torch.allclose(logits[0].nan_to_num(neginf=0.0), logits[1].nan_to_num(neginf=0.0), atol=1e-2)


@torch.no_grad()
def test_the_bound_of_a_graph_of_one_bond_is_its_probability(model, vocabulary):
    """Two carbons: one bond, sure to come back, so that only the node part counts."""
    carbon = [str(atom) for atom in vocabulary.atoms].index("C")
    ethane = GraphBatch(torch.full((1, 2), carbon), torch.ones(1, 1, dtype=torch.int64))
    bound = model.likelihood(ethane, draws=8, generator=torch.Generator().manual_seed(0))
    tokens = tokens_of(NodePart.of(ethane))
    assert float(bound.nats) == pytest.approx(-float(model.node_part.log_probability(tokens)), rel=1e-4)


def test_node_parts_of_connected_graphs():
    def part(degree, valence):
        return NodePart(torch.zeros(1, len(degree), dtype=torch.int64), torch.tensor([degree]), torch.tensor([valence]))

    assert graphical(part([1, 2, 1], [1, 2, 1]))
    assert not graphical(part([1, 2, 2], [1, 2, 2]))  # an odd sum
    assert not graphical(part([1, 1, 1, 1], [1, 1, 1, 1]))  # two pieces
    assert not graphical(part([1, 2, 1], [1, 2, 2]))


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


@torch.no_grad()
def test_node_parts_under_a_condition_have_their_conditional_probability(vocabulary, dataset):
    """Two nodes, one of each of two groups, whose tokens sum to a multiple of 3: against all such pairs."""
    torch.manual_seed(1)
    model = EDGE(EDGEConfig(**TINY["edge"]), vocabulary, dataset.statistics()).node_part
    with torch.no_grad():
        model.out[2].weight.mul_(8)  # far from uniform
    group = torch.full((model.count,), -1)
    group[10:20], group[15:40:5] = 0, 1
    wanted = torch.tensor([1, 1])

    def fits(tokens):
        return tokens.sum(1) % 3 == 0

    pairs = torch.cartesian_prod(torch.arange(model.count), torch.arange(model.count))
    good = (pairs[:, 0] <= pairs[:, 1]) & fits(pairs)
    good &= group[pairs].sort(dim=1).values.eq(torch.tensor([0, 1])).all(1)
    pairs = pairs[good]
    exact = model.log_probability(pairs).softmax(0)
    drawn = tokens_of(draw_given(model, 4000, group, wanted, fits, torch.Generator().manual_seed(0)))
    keys = pairs[:, 0] * model.count + pairs[:, 1]
    found = drawn[:, 0] * model.count + drawn[:, 1]
    assert torch.isin(found, keys).all()
    shares = torch.stack([(found == key).double().mean() for key in keys])
    assert torch.allclose(shares, exact.double(), atol=0.03)
    assert exact.max() > 0.1


def test_a_condition_that_nothing_meets_is_told(vocabulary, dataset):
    model = EDGE(EDGEConfig(**TINY["edge"]), vocabulary, dataset.statistics()).node_part
    group = torch.zeros(model.count, dtype=torch.int64)
    none = draw_given(
        model, 3, group, torch.tensor([2]), lambda tokens: torch.zeros(len(tokens), dtype=torch.bool), None
    )
    assert none is None


def test_a_request_decides_the_node_part(model, vocabulary):
    sizes = (0, 1, 1, 1, 1, 1, 1, 1, 1)
    formula = formula_request("C5H9NO", vocabulary, sizes)
    part = model._requested(formula, 200, torch.Generator().manual_seed(0))
    for atoms, degrees, valences in zip(part.atoms, part.degree, part.valence, strict=True):
        classes = [vocabulary.atoms[number] for number in atoms.tolist()]
        assert sorted(atom.element for atom in classes) == list(formula.elements)
        assert sum(atom.charge for atom in classes) == 0
        hydrogens = [implied_hydrogens(atom, valence) for atom, valence in zip(classes, valences.tolist(), strict=True)]
        assert None not in hydrogens and sum(hydrogens) == 9
        assert degrees.sum() % 2 == 0 and degrees.sum() >= 12
    ring = atoms_request("C2 C2 C2 C3 O1", vocabulary, sizes)
    part = model._requested(ring, 50, torch.Generator().manual_seed(0))
    for atoms, degrees in zip(part.atoms, part.degree, strict=True):
        got = [(vocabulary.atoms[atom].element, degree) for atom, degree in zip(atoms, degrees.tolist(), strict=True)]
        assert sorted(got) == list(zip(ring.elements, ring.degrees, strict=True))


def everything_but_targets(batch: GraphBatch, seed: int, targets: int = 0) -> Condition:
    nothing = torch.full((len(batch), targets), torch.nan)
    return draw_condition(
        batch, nothing, (), known_share=1.0, target_share=0.0, generator=torch.Generator().manual_seed(seed)
    )


def test_known_bonds_are_always_there_and_closed_pairs_are_never_proposed(model, dataset, monkeypatch):
    """In training and in sampling, as the network of bonds sees it."""
    batch = dataset.by_size[6].to(torch.int64)[[0, 1] * 20]
    condition = everything_but_targets(batch, 0)
    network, seen = model.network.forward, []

    def watched(state, first, second):
        seen.append(state)
        given = state.given
        assert not given.closed[first // 6, pair_places(first, second, 6)].any()
        return network(state, first, second)

    monkeypatch.setattr(model.network, "forward", watched)
    bonds = condition.known_pairs & (batch.pairs > 0)
    for seed in range(5):
        seen.clear()
        loss = model.loss(batch, torch.Generator().manual_seed(seed), condition)
        assert loss.isfinite().all()
        [state] = seen
        pairs = state.graphs().pairs
        assert torch.equal(pairs[bonds], batch.pairs[bonds])
        assert not pairs[~bonds].all() and (pairs[~bonds] <= batch.pairs[~bonds]).all()
    # in sampling at every step; the network sees the graphs alone that have an active node
    steps = []
    options = {"steps": 16, "sampler": "ancestral", "generator": torch.Generator().manual_seed(0)}
    drawn = model.sample(6, 40, condition=condition, callback=lambda *call: steps.append(call[2]().pairs), **options)
    assert len(steps) == 16
    for pairs in steps:
        assert torch.equal(pairs[bonds], batch.pairs[bonds])
    assert condition.held_by(drawn).all()


def test_closed_atoms_get_no_further_bond(model, dataset):
    batch = dataset.by_size[6].to(torch.int64)[[0, 1] * 10]
    known = torch.tensor([True, True, False, False, False, False]).expand(20, -1)
    # the first node is closed: all its pairs are known, with and without bonds
    condition = replace(Condition.nothing(6, 20, 0), graph=batch, known_nodes=known)
    condition.known_pairs[:, :5] = True
    part = model.node_part.sample_known(condition, torch.Generator().manual_seed(0))
    real = NodePart.of(batch)
    for name in ("atoms", "degree", "valence"):
        assert torch.equal(getattr(part, name)[:, 0], getattr(real, name)[:, 0])
    drawn = model.sample(
        6, 20, steps=16, sampler="ancestral", generator=torch.Generator().manual_seed(0), condition=condition
    )
    assert condition.held_by(drawn).all()
    assert torch.equal(NodePart.of(drawn).degree[:, 0], real.degree[:, 0])


@torch.no_grad()
def test_the_networks_do_not_depend_on_the_order_of_nodes_under_a_condition(model, dataset):
    batch = dataset.by_size[6].to(torch.int64)[[0, 1] * 8]
    condition = everything_but_targets(batch, 1)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(3))
    logits, nodes = [], []
    for graphs, given, places in (
        (batch, condition, order), (batch.permute(order), condition.permute(order), torch.arange(6))
    ):  # fmt: skip
        # of the bonds, the known ones are there
        first, second, bond = bonds_of(graphs)
        kept = given.known_pairs[graphs.pairs > 0]
        state = Partial(NodePart.of(graphs), first[kept], second[kept], bond[kept], Given.of(given, None))
        one, other = torch.combinations(places).unbind(1)
        one, other = (torch.cat([ends + 6 * graph for graph in range(len(graphs))]) for ends in (one, other))
        logits.append(model.network(state, one, other).masked_fill(~unbonded(state, one, other)[:, None], 0.0))
        tokens, known = model.node_part.arranged(NodePart.of(graphs), given)
        nodes.append(model.node_part.log_probability(tokens, None, known))
    assert torch.allclose(logits[0].nan_to_num(neginf=0.0), logits[1].nan_to_num(neginf=0.0), atol=1e-2)
    assert torch.allclose(nodes[0], nodes[1], atol=1e-2)
    free = model.node_part.log_probability(model.node_part.arranged(NodePart.of(batch), None)[0])
    assert not torch.allclose(nodes[0], free, atol=0.1)


def small_condition(classes: list[int | None], pairs: list[int | None]) -> Condition:
    """On one graph; None where nothing is known."""
    graph = GraphBatch(
        torch.tensor([[entry or 0 for entry in classes]]), torch.tensor([[entry or 0 for entry in pairs]])
    )
    known_nodes, known_pairs = (torch.tensor([[entry is not None for entry in row]]) for row in (classes, pairs))
    return Condition(graph, known_nodes, known_pairs, torch.zeros(1, 0))


# three nodes, pairs 01 02 12, and which groups of nodes look alike
BRUTE = {
    "a known bond and a closed pair": (small_condition([0, 0, None], [1, 0, None]), ()),
    "atoms alone": (small_condition([0, 0, 2], [None] * 3), ((0, 1),)),
    "an unknown rest": (small_condition([2, None, None], [None] * 3), ((1, 2),)),
    "a bond of an unknown atom": (small_condition([None, 1, None], [2, None, None]), ()),
}


@pytest.mark.parametrize("case", list(BRUTE))
@torch.no_grad()
def test_the_node_part_under_what_is_known_against_all_node_parts(case, vocabulary, dataset):
    """Every token of every node in turn: probabilities sum to one, and those of feasible parts are how often they come.

    The feasible ones are at least those of all graphs of three nodes.
    """
    torch.manual_seed(1)
    model = EDGE(EDGEConfig(**TINY["edge"]), vocabulary, dataset.statistics()).node_part
    model.out[2].weight.mul_(20)  # far from uniform
    one, alike = BRUTE[case]
    every_token = part_of(torch.arange(model.count))
    graph, bonds = one.graph, one.graph.pairs.masked_fill(~one.known_pairs, 0)[0]
    ends = bonds[torch.tensor([[0, 1], [0, 2], [1, 2]])]  # of each node
    choices = []
    for node in range(3):
        degrees, valences = (ends[node] > 0).sum(), ends[node].sum()
        atoms, left, rest = every_token.atoms, every_token.degree - degrees, every_token.valence - valences
        fine = (left >= 0) & (left <= 2) & (rest >= left) & (rest <= 3 * left)
        fine &= (atoms == graph.nodes[0, node]) | ~one.known_nodes[0, node]
        choices.append(fine.nonzero()[:, 0].tolist())
    tokens = torch.tensor(list(itertools.product(*choices)))
    every = part_of(tokens)
    condition = one[torch.zeros(len(tokens), dtype=torch.int64)]
    arranged, known = model.arranged(every, condition)
    log_p = model.log_probability(arranged, None, known)
    for first, second in alike:  # both orders have the same arranged tokens
        log_p -= torch.where(tokens[:, first] == tokens[:, second], 0.0, torch.tensor(2.0).log())
    assert float(log_p.exp().sum()) == pytest.approx(1.0, abs=2e-2)

    fine = feasible(every, condition)
    pairs = torch.cartesian_prod(*[torch.arange(4)] * 3)
    pairs = pairs[(pairs > 0).sum(1) >= 2]
    pairs = pairs[((pairs == graph.pairs) | ~one.known_pairs).all(1)]
    nodes = torch.where(one.known_nodes, graph.nodes, 3).expand(len(pairs), -1)
    real = tokens_of(NodePart.of(GraphBatch(nodes, pairs)))
    number = torch.tensor([model.count**2, model.count, 1])
    keys = tokens @ number
    assert torch.isin(real @ number, keys[fine]).all()

    keys, exact = keys[fine], log_p[fine].double().softmax(0)
    count = 10_000
    drawn = model.sample_known(one[torch.zeros(count, dtype=torch.int64)], torch.Generator().manual_seed(0))
    found = tokens_of(drawn) @ number
    assert torch.isin(found, keys).all()
    shares = torch.bincount(torch.searchsorted(keys, found), minlength=len(keys)) / count
    assert ((shares - exact).abs() <= 5 * (exact * (1 - exact) / count).sqrt() + 1e-3).all()
    # and each node by itself, so that many rare parts together count as well
    for node in range(3):
        exact_node = torch.zeros(model.count, dtype=torch.float64).index_add(0, tokens[fine][:, node], exact)
        share = torch.bincount(tokens_of(drawn)[:, node], minlength=model.count) / count
        # a little more than the sampling error: products in bfloat16 depend on the batch
        assert ((share - exact_node).abs() <= 5 * (exact_node * (1 - exact_node) / count).sqrt() + 3e-3).all()
    assert exact.max() > 0.02


def test_known_atoms_have_their_bonds_where_tokens_end(model):
    """Seven bonds at one atom, and no token has so many: they stay."""
    star = small_condition([0] * 8, [1] * 7 + [0] * 21)
    drawn = model.sample(8, 1, steps=4, sampler="ancestral", generator=None, condition=star)
    assert star.held_by(drawn).all()


def test_what_no_graph_has_ends_without_some_bonds(model):
    """Two closed pieces cannot become one: what is known holds all the same."""
    pieces = small_condition([0, 0, 0, None], [1, 0, 0, 0, 0, None])
    drawn = model.sample(4, 1, steps=4, sampler="ancestral", generator=None, condition=pieces)
    assert pieces.held_by(drawn).all()


def test_a_node_part_goes_without_a_condition(model, dataset):
    part = NodePart.of(dataset.by_size[6].to(torch.int64))
    options = {"steps": 4, "sampler": "ancestral", "generator": None, "node_part": part}
    with pytest.raises(InputError, match="neither a request nor a condition"):
        model.sample(6, len(part.atoms), condition=Condition.nothing(6, len(part.atoms), 0), **options)


def test_a_formula_as_known_atoms_with_its_hydrogens(vocabulary, statistics):
    torch.manual_seed(0)
    model = EDGE(EDGEConfig(**TINY["edge"]), vocabulary, statistics).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    formula = formula_request("C4H8O2", vocabulary, (0, 1, 1, 1, 1, 1, 1))
    condition = model.told(formula, None, 8)
    assert condition.targets[:, 0].eq(8).all() and condition.known_nodes.all()
    options = {"steps": 8, "sampler": "ancestral"}
    for guidance in (0.0, 2.0):
        drawn = model.sample(
            6, 8, generator=torch.Generator().manual_seed(0), condition=condition, guidance=guidance, **options
        )
        assert torch.equal(drawn.nodes, condition.graph.nodes)
    # as a request the atoms are exact, and the hydrogens told to the networks
    free = model.sample(6, 8, generator=torch.Generator().manual_seed(0), request=formula, **options)
    for nodes in free.nodes.tolist():
        assert sorted(vocabulary.atoms[node].element for node in nodes) == list(formula.elements)


@torch.no_grad()
def test_guidance_moves_away_from_what_is_likely_anyway(vocabulary, statistics):
    """One node: its token has the probabilities p(x | told) (p(x | told) / p(x))^w."""
    torch.manual_seed(0)
    model = EDGE(EDGEConfig(**TINY["edge"]), vocabulary, statistics)
    for parameter in model.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    count, weight = 20_000, 2.0
    nothing = Condition.nothing(1, count, 2)
    told = model._encoded(replace(nothing, targets=torch.full((count, 2), 1.5)))[1]
    log_p = []
    for vector in (told[:1], None):
        hidden, previous = model.node_part.start(1)
        log_p.append(model.node_part.step(hidden, previous, 1, vector)[1][0].double())
    exact = (log_p[0] + weight * (log_p[0] - log_p[1])).softmax(0)
    # sample() also leaves out what cannot be one molecule, so the tokens as they are drawn
    tokens = model.node_part._draw(count, 1, torch.Generator().manual_seed(0), told, None, weight)
    shares = torch.bincount(tokens[:, 0], minlength=len(exact)) / count
    assert ((shares - exact).abs() <= 5 * (exact * (1 - exact) / count).sqrt() + 2e-3).all()
    assert (exact - log_p[0].exp()).abs().max() > 0.02


def test_the_condition_of_a_graph_does_not_touch_the_others(model, dataset):
    """Of a batch with and without known parts, the loss of the graphs without is that of no condition."""
    batch = dataset.by_size[6].to(torch.int64)[[0, 1] * 4]
    condition = everything_but_targets(batch, 2)
    free = torch.arange(8) % 2 == 0
    condition.known_nodes[free] = False
    condition.known_pairs[free] = False
    losses = [model.loss(batch, torch.Generator().manual_seed(0), told) for told in (None, condition)]
    assert torch.allclose(losses[0][free], losses[1][free], atol=1e-2)
    assert not torch.allclose(losses[0][~free], losses[1][~free], atol=1e-2)


def test_weights_of_a_model_without_conditions_go_on(vocabulary, dataset, statistics):
    """As `train --init` takes them over: told nothing, the new model is the old one."""
    torch.manual_seed(0)
    old = EDGE(EDGEConfig(**TINY["edge"], known_parts=False), vocabulary, dataset.statistics())
    new = EDGE(EDGEConfig(**TINY["edge"]), vocabulary, statistics)
    first = SimpleNamespace(backend=old, vocabulary=vocabulary, name="old")
    assert start_from(new, first, SimpleNamespace(vocabulary=vocabulary)) == []
    batch = dataset.by_size[6].to(torch.int64)
    losses = [model.loss(batch, torch.Generator().manual_seed(0)) for model in (old, new)]
    assert torch.allclose(*losses, atol=1e-2)
    asked = replace(Condition.nothing(6, len(batch), 2), targets=torch.ones(len(batch), 2))
    assert torch.equal(losses[1], new.loss(batch, torch.Generator().manual_seed(0), asked))  # nothing learned yet


def test_the_shipped_model_is_as_it_was():
    """Made before there were conditions; nats of oxirane and acetonitrile as the program of then gave them."""
    model = load_checkpoint("qm9-edge")
    assert model.backend.network.targets is None and model.backend.node_part.left.weight.shape[1] == 1
    classes = {str(atom): number for number, atom in enumerate(model.vocabulary.atoms)}
    for atoms, pairs, nats in (("CCO", [1, 1, 1], 4.4005), ("CCN", [1, 0, 3], 4.8725)):
        graph = GraphBatch(torch.tensor([[classes[atom] for atom in atoms]]), torch.tensor([pairs]))
        bound = model.backend.likelihood(graph, draws=16, generator=torch.Generator().manual_seed(0))
        assert float(bound.nats) == pytest.approx(nats, rel=0.02)

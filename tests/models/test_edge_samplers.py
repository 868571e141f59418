"""EDGE: bonds that come back, degrees given against degrees obtained, and what is known."""

from dataclasses import replace

import pytest
import torch

from molgen.models.conditions import Condition
from molgen.models.edge.config import EDGEConfig
from molgen.models.edge.model import EDGE
from molgen.models.edge.node_part_sampling import sample_known_node_parts
from molgen.models.edge.process import NodePart, pair_places
from molgen.models.edge.samplers import accepted, ancestral, ancestral_to_the_end
from molgen.molecules.composition import formula_request
from tests.conftest import TINY
from tests.models.edge_graphs import everything_but_targets, small_condition, unfinished


@pytest.fixture
def model(vocabulary, dataset) -> EDGE:
    torch.manual_seed(0)
    return EDGE(EDGEConfig(**TINY["edge"]), vocabulary, dataset.statistics()).eval()


def test_drawn_bonds_that_do_not_fit_together_are_not_all_taken():
    empty = unfinished(4, [], [1, 2, 2, 1])
    drawn = (torch.tensor([0, 0, 2]), torch.tensor([1, 2, 3]), torch.ones(3, dtype=torch.int64))
    # pairs 01 02 03 12 13 23: node 0 takes one bond
    assert accepted(empty, *drawn, torch.tensor([0.9, 0.1, 0.5])).graphs().pairs.tolist() == [[1, 0, 0, 0, 0, 1]]
    # and 0-2-3 would leave node 1 alone
    assert accepted(empty, *drawn, torch.tensor([0.1, 0.9, 0.5])).graphs().pairs.tolist() == [[0, 1, 0, 0, 0, 0]]
    # 0-3 would be a piece of its own
    closing = (torch.tensor([3, 0]), torch.tensor([0, 1]), torch.ones(2, dtype=torch.int64))
    assert accepted(empty, *closing, torch.tensor([0.9, 0.1])).graphs().pairs.tolist() == [[1, 0, 0, 0, 0, 0]]


def test_degrees_and_valences_are_never_exceeded_and_obtained(model, dataset):
    """Also of an untrained model: graphs whose last bonds find no place are drawn again."""
    short = 0
    for batch in dataset.by_size.values():
        part = NodePart.of(batch.to(torch.int64))
        drawn = model.sample_bonds(part, steps=64, generator=torch.Generator().manual_seed(0))
        got = NodePart.of(drawn)
        assert torch.equal(got.atoms, part.atoms)
        assert (got.degree <= part.degree).all() and (got.valence <= part.valence).all()
        short += int((got.degree < part.degree).any(1).sum())
    assert short <= 1


def test_only_graphs_that_lack_bonds_are_drawn_again(model, dataset):
    batch = dataset.by_size[6].to(torch.int64)[[0, 1, 2] * 20]
    state = model._without_bonds(NodePart.of(batch))
    once, whole = (
        draw(model.network, state, 64, torch.Generator().manual_seed(0), 0.0, None)
        for draw in (ancestral, ancestral_to_the_end)
    )
    lacking = (once.missing()[0] > 0).view(60, 6).any(1)
    assert 0 < lacking.sum() < 30
    assert torch.equal(once.graphs().pairs[~lacking], whole.graphs().pairs[~lacking])
    assert (once.graphs().pairs[lacking] != whole.graphs().pairs[lacking]).any(1).all()
    assert (whole.missing()[0] > 0).view(60, 6).any(1).sum() <= 1


@pytest.mark.parametrize("sampler", ["ancestral", "revising"])
def test_known_bonds_are_always_there_and_closed_pairs_are_never_proposed(model, dataset, monkeypatch, sampler):
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
    options = {"steps": 16, "sampler": sampler, "generator": torch.Generator().manual_seed(0)}
    drawn = model.sample(6, 40, condition=condition, callback=lambda *call: steps.append(call[2]().pairs), **options)
    assert len(steps) == 16
    for pairs in steps:
        assert torch.equal(pairs[bonds], batch.pairs[bonds])
    assert condition.held_by(drawn).all()


def test_bonds_that_are_taken_back_leave_as_many_as_the_process_has(model, dataset):
    """At time t a share 1 - t of the bonds, whether some are taken back on the way or not."""
    chain = dataset.by_size[6].to(torch.int64)[:1]
    state = model._without_bonds(NodePart.of(chain[torch.zeros(600, dtype=torch.int64)]))
    whole = int(NodePart.of(chain).degree.sum()) / 2
    lost = []
    for taken_back in (0.0, 0.1):
        shares, before = [], torch.zeros(600, 15, dtype=torch.bool)

        def watch(done, steps, made, shares=shares):
            nonlocal before
            bonds = made().pairs > 0
            lost.append(int((before & ~bonds).sum()))
            before = bonds
            shares.append(float(bonds.sum(1).float().mean()) / whole)

        ancestral(model.network, state, 64, torch.Generator().manual_seed(0), 0.0, watch, taken_back=taken_back)
        # of 56 steps; that bonds do not fit together makes them a little fewer
        assert shares[13] == pytest.approx(0.25, abs=0.04) and shares[27] == pytest.approx(0.5, abs=0.05)
        assert (sum(lost) > 0) == (taken_back > 0)


def test_closed_atoms_get_no_further_bond(model, dataset):
    batch = dataset.by_size[6].to(torch.int64)[[0, 1] * 10]
    known = torch.tensor([True, True, False, False, False, False]).expand(20, -1)
    # the first node is closed: all its pairs are known, with and without bonds
    condition = replace(Condition.nothing(6, 20, 0), graph=batch, known_nodes=known)
    condition.known_pairs[:, :5] = True
    part = sample_known_node_parts(model.node_part, condition, torch.Generator().manual_seed(0))
    real = NodePart.of(batch)
    for name in ("atoms", "degree", "valence"):
        assert torch.equal(getattr(part, name)[:, 0], getattr(real, name)[:, 0])
    drawn = model.sample(
        6, 20, steps=16, sampler="ancestral", generator=torch.Generator().manual_seed(0), condition=condition
    )
    assert condition.held_by(drawn).all()
    assert torch.equal(NodePart.of(drawn).degree[:, 0], real.degree[:, 0])


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

"""EDGE with the process of its authors: active nodes, bonds among them alone, and a bound that holds."""

import itertools

import pytest
import torch

from molgen.errors import InputError
from molgen.models.edge.config import EDGEConfig
from molgen.models.edge.degrees import tokens_of
from molgen.models.edge.likelihood import log_arrangements
from molgen.models.edge.model import EDGE
from molgen.models.edge.process import NodePart, Partial, pair_keys, return_probability
from molgen.models.edge.published import active_pairs, levels, log_active, step_constant, step_nats
from molgen.molecules.graph import GraphBatch
from tests.conftest import TINY
from tests.models.edge_graphs import unfinished

STEPS = 24


@pytest.fixture
def model(vocabulary, dataset, monkeypatch) -> EDGE:
    """In float32, its outputs depend on its inputs."""
    monkeypatch.setattr("molgen.device.network_dtype", lambda device: torch.float32)
    torch.manual_seed(0)
    config = EDGEConfig(**TINY["edge"], process="published", timesteps=STEPS)
    model = EDGE(config, vocabulary, dataset.statistics()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


CHAIN = GraphBatch(torch.tensor([[0, 0, 2]]), torch.tensor([[1, 0, 2]]))  # C-C=O: bonds 01 and 12
PART = NodePart.of(CHAIN)


def partial(pairs: tuple[int, ...]) -> Partial:
    """Three nodes with the node part of the chain; pairs: classes of 01, 02, 12."""
    ends = [(0, 1), (0, 2), (1, 2)]
    there = [(*ends[k], order) for k, order in enumerate(pairs) if order]
    first, second, order = torch.tensor(there, dtype=torch.int64).reshape(-1, 3).unbind(1)
    return Partial(PART, first, second, order)


@torch.no_grad()
def exact_probabilities(model: EDGE) -> dict[tuple[int, ...], float]:
    """p(bonds | node part) of the sampler, by going through all states and all choices of active nodes."""
    left = levels(STEPS)
    chances = {(0, 0, 0): 1.0}
    for step in range(STEPS, 0, -1):
        p = float(return_probability(left[step], left[step - 1]))
        following: dict[tuple[int, ...], float] = {}
        for pairs, chance in chances.items():
            state = partial(pairs)
            missing = state.missing()[0].clamp(min=0)
            for flags in itertools.product([False, True], repeat=3):
                active = torch.tensor(flags)
                of_flags = 1.0
                for flag, lacks in zip(flags, missing.tolist(), strict=True):
                    none = (1 - p) ** lacks
                    of_flags *= 1 - none if flag else none
                if not of_flags:
                    continue
                first, second = active_pairs(state, active)
                shares = [[1.0]]
                if len(first):
                    time = torch.tensor([step / STEPS])
                    shares = model.network(state, first, second, active, time).double().softmax(-1).tolist()
                for drawn in itertools.product(range(4), repeat=len(first)):
                    new, share = list(pairs), chance * of_flags
                    for one, other, order, row in zip(first.tolist(), second.tolist(), drawn, shares, strict=False):
                        new[one + other - 1] = order
                        share *= row[order]
                    following[tuple(new)] = following.get(tuple(new), 0.0) + share
        chances = following
    assert sum(chances.values()) == pytest.approx(1, abs=1e-6)
    return chances


def returns(now: tuple[bool, ...], then: tuple[bool, ...], p: float) -> float:
    """q(bonds at t - 1 | bonds at t, graph)."""
    chance = 1.0
    for here, before in zip(now, then, strict=True):
        chance *= float(before) if here else p if before else 1 - p
    return chance


@torch.no_grad()
def test_the_bound_is_that_of_the_sampler(model):
    """Weighed by exp(-bound), the paths of bonds have in all the probability of the graph; their mean is above it.

    Both are gone through entirely: a path is which of the two bonds are there after each step.
    """
    left = levels(STEPS)
    subsets = list(itertools.product([False, True], repeat=2))
    weight = {(False, False): 1.0}  # of all paths that lead there
    share = {(False, False): 1.0}  # q of being there
    expected = 0.0
    for step in range(STEPS, 0, -1):
        p = return_probability(left[step], left[step - 1]).float()[None]
        weights, shares = dict.fromkeys(subsets, 0.0), dict.fromkeys(subsets, 0.0)
        for now, then in itertools.product(subsets, subsets):
            chance = returns(now, then, float(p))
            if not chance or now not in share:
                continue
            masks = torch.tensor(now), torch.tensor(then)
            time = torch.tensor([step / STEPS])
            nats = float(step_nats(model.network, CHAIN, *masks, time) + step_constant(CHAIN, *masks, p))
            expected += share[now] * chance * nats
            shares[then] += share[now] * chance
            weights[then] += weight[now] * chance * torch.tensor(-nats).exp().item()
        weight, share = weights, shares
    assert share[True, True] == pytest.approx(1)
    exact = exact_probabilities(model)[1, 0, 2]
    assert weight[True, True] == pytest.approx(exact, rel=1e-4)
    assert expected > -torch.tensor(exact).log().item()
    # and the estimate of the backend is that of the enumeration, node part aside
    bound = model.likelihood(CHAIN, draws=STEPS * 40, generator=torch.Generator().manual_seed(0))
    tokens = tokens_of(PART).sort(dim=1).values
    of_nodes = float(-model.node_part.log_probability(tokens) + log_arrangements(tokens))
    assert float(bound.nats) - of_nodes == pytest.approx(expected, abs=5 * float(bound.standard_error))


@torch.no_grad()
def test_what_is_drawn_is_as_likely_as_the_enumeration_says(model):
    count = 4000
    part = NodePart(*(entry.expand(count, -1) for entry in (PART.atoms, PART.degree, PART.valence)))
    drawn = model.sample_bonds(part, steps=STEPS, generator=torch.Generator().manual_seed(0))
    for goal, exact in exact_probabilities(model).items():
        share = (drawn.pairs == torch.tensor(goal)).all(1).float().mean().item()
        assert share == pytest.approx(exact, abs=5 * (exact * (1 - exact) / count) ** 0.5 + 1e-4)


def test_active_nodes_follow_bayes():
    """Both ends: a node that lacks two bonds, each of which comes back with 1/2, is active with 3/4."""
    p = torch.full((3,), 0.5)
    missing = torch.tensor([2, 1, 0])
    chance = log_active(torch.tensor([True, True, True]), missing, p).exp()
    assert chance.tolist() == pytest.approx([0.75, 0.5, 0.0])
    assert log_active(torch.zeros(3).bool(), missing, p).exp().tolist() == pytest.approx([0.25, 0.5, 1.0])
    # in the last step all comes back
    assert log_active(torch.tensor([True, True, False]), missing, torch.ones(3)).exp().tolist() == [1, 1, 1]


def test_bonds_are_proposed_between_active_nodes_alone(model, dataset, monkeypatch):
    """In training and in sampling: both ends are active, and there is no bond between them yet."""
    network, seen = model.network.forward, []

    def watched(state, first, second, active, time):
        seen.append(len(first))
        assert active[first].all() and active[second].all()
        assert not torch.isin(
            pair_keys(first, second, state.nodes), pair_keys(state.first, state.second, state.nodes)
        ).any()
        return network(state, first, second, active, time)

    monkeypatch.setattr(model.network, "forward", watched)
    for seed in range(5):
        model.loss(dataset.by_size[6].to(torch.int64), torch.Generator().manual_seed(seed))
    model.sample(6, 20, steps=STEPS, sampler="ancestral", generator=torch.Generator().manual_seed(0))
    assert sum(seen) > 100


def test_pairs_of_active_nodes_without_a_bond():
    state = unfinished(4, [(0, 1)], [2, 2, 1, 1])
    first, second = active_pairs(state, torch.tensor([True, True, True, False]))
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 2), (1, 2)]


def test_nothing_is_masked(model):
    """An untrained network gives the chain bonds that its node part does not have, and leaves out those that it has."""
    count = 500
    part = NodePart(*(entry.expand(count, -1) for entry in (PART.atoms, PART.degree, PART.valence)))
    drawn = NodePart.of(model.sample_bonds(part, steps=STEPS, generator=torch.Generator().manual_seed(0)))
    assert (drawn.degree > part.degree).any() and (drawn.degree < part.degree).any()
    assert (drawn.valence > part.valence).any()


def test_the_schedule_is_the_published_one():
    left = levels(64)
    beta = 1 - left[1:] / left[:-1]
    assert float(beta[0]) == pytest.approx(0.1 / 64) and float(beta[-2]) == pytest.approx(0.3076, abs=1e-4)
    assert (left.diff() < 0).all() and left[0] == 1 and left[-1] == 0 and left[-2] < 2e-5


def test_our_process_without_masks(vocabulary, dataset):
    """The sampler of that name: degrees and valences are exceeded."""
    torch.manual_seed(0)
    model = EDGE(EDGEConfig(**TINY["edge"]), vocabulary, dataset.statistics()).eval()
    assert model.samplers == ("ancestral", "revising", "unmasked")
    part = NodePart.of(dataset.by_size[6].to(torch.int64)[[0, 1] * 50])
    for sampler, exceeded in (("ancestral", False), ("unmasked", True)):
        generator = torch.Generator().manual_seed(0)
        drawn = NodePart.of(model.sample_bonds(part, steps=16, sampler=sampler, generator=generator))
        assert bool((drawn.degree > part.degree).any()) == exceeded
        assert bool((drawn.valence > part.valence).any()) == exceeded


def test_a_model_without_masks_is_trained_without_them(vocabulary, dataset):
    """The next bond is drawn from all that could come next, so that its -log p is larger than among what can be."""
    batch = dataset.by_size[6].to(torch.int64)
    losses = []
    for masks in (True, False):
        torch.manual_seed(0)
        model = EDGE(EDGEConfig(**TINY["edge"], masks=masks), vocabulary, dataset.statistics()).eval()
        losses.append(model.loss(batch, torch.Generator().manual_seed(0)))
    assert model.samplers == ("unmasked",) == tuple(model.sampler_help)
    assert (losses[1] >= losses[0]).all() and losses[1].sum() > losses[0].sum() + 0.1
    drawn = model.sample_bonds(NodePart.of(batch), steps=8, generator=torch.Generator().manual_seed(0))
    assert (NodePart.of(drawn).valence > NodePart.of(batch).valence).any()


def test_settings_of_the_published_process(vocabulary, dataset):
    with pytest.raises(InputError, match="unknown process 'both'; choose from one-ended, published"):
        EDGEConfig(process="both")
    with pytest.raises(InputError, match="timesteps should be at least 21, got 20"):
        EDGEConfig(timesteps=20)
    model = EDGE(EDGEConfig(**TINY["edge"], process="published"), vocabulary, dataset.statistics())
    assert (model.samplers, model.default_steps, model.max_steps) == (("ancestral",), 64, 64)

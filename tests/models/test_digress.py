"""DiGress: the identities that the published method rests on."""

import itertools

import pytest
import torch

from molgen.errors import InputError
from molgen.models.conditions import Condition
from molgen.models.digress import samplers
from molgen.models.digress.config import DiGressConfig
from molgen.models.digress.model import DiGress
from molgen.models.digress.process import corruption_likelihood, noised, posterior, transition
from molgen.models.drafts import Drafts
from molgen.models.noise import cosine_alpha_bar, sample_classes, stratum_uniforms
from molgen.molecules.graph import GraphBatch, from_square, to_square
from tests.conftest import TINY

MARGINALS = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)


def test_products_of_steps_are_the_jump():
    alpha_bar = cosine_alpha_bar(torch.linspace(0, 1, 21, dtype=torch.float64))
    product = torch.eye(3, dtype=torch.float64)
    for before, after in itertools.pairwise(alpha_bar):
        product = product @ transition((after / before)[None], MARGINALS)[0]
        assert torch.allclose(product, transition(after[None], MARGINALS)[0], atol=1e-12)


def test_transitions_are_distributions_that_keep_the_marginals():
    matrix = transition(torch.tensor([0.3], dtype=torch.float64), MARGINALS)[0]
    assert torch.allclose(matrix.sum(-1), torch.ones(3, dtype=torch.float64))
    assert torch.allclose(MARGINALS @ matrix, MARGINALS)


def test_no_noise_is_the_data_and_full_noise_the_marginals():
    classes = torch.randint(0, 3, (1, 200_000), generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    assert torch.equal(noised(classes, torch.ones(1), MARGINALS.float(), generator), classes)
    noise = noised(classes, torch.zeros(1), MARGINALS.float(), generator)
    shares = torch.bincount(noise[0], minlength=3) / noise.numel()
    assert torch.allclose(shares.double(), MARGINALS, atol=0.005)  # 5 standard errors
    assert abs(torch.corrcoef(torch.stack([noise[0], classes[0]]).float())[0, 1]) < 0.012


def test_noise_follows_the_transition_matrix():
    alpha_bar = torch.tensor([0.4])
    classes = torch.full((1, 200_000), 2)
    drawn = noised(classes, alpha_bar, MARGINALS.float(), torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn[0], minlength=3) / drawn.numel()
    assert torch.allclose(shares, transition(alpha_bar, MARGINALS.float())[0, 2], atol=0.005)


def test_the_posterior_is_bayes_by_hand():
    """Two classes, m = (3/4, 1/4), alpha_s = 1/2, alpha_t = 1/4, x = 1, z_t = 0.

    q(z_s=0|x) = 1/2 * 3/4 = 3/8, q(z_s=1|x) = 5/8; step alpha = 1/2: q(z_t=0|z_s=0) = 7/8, q(z_t=0|z_s=1) = 3/8;
    so q(z_s=0|z_t,x) = (3/8 * 7/8) / (3/8 * 7/8 + 5/8 * 3/8) = 21/36.
    """
    got = posterior(
        torch.tensor([[0]]),
        torch.tensor([[[0.0, 1.0]]], dtype=torch.float64),
        torch.tensor([0.25], dtype=torch.float64),
        torch.tensor([0.5], dtype=torch.float64),
        torch.tensor([0.75, 0.25], dtype=torch.float64),
    )
    assert got[0, 0].tolist() == pytest.approx([21 / 36, 15 / 36])


def test_the_posterior_of_a_mixture_is_bayes_with_matrices():
    alpha_s, alpha_t = torch.tensor([0.6], dtype=torch.float64), torch.tensor([0.2], dtype=torch.float64)
    clean = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    to_s, to_t = transition(alpha_s, MARGINALS)[0], transition(alpha_t, MARGINALS)[0]
    step = transition(alpha_t / alpha_s, MARGINALS)[0]
    for state in range(3):
        expected = sum(clean[x] * to_s[x] * step[:, state] / to_t[x, state] for x in range(3))
        got = posterior(torch.tensor([[state]]), clean[None, None], alpha_t, alpha_s, MARGINALS)[0, 0]
        assert torch.allclose(got, expected, atol=1e-12)
        assert got.sum().item() == pytest.approx(1)


def test_the_posterior_at_no_noise_is_the_prediction():
    clean = torch.tensor([[[0.5, 0.3, 0.2]]], dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)
    assert torch.allclose(posterior(torch.tensor([[1]]), clean, one * 0.3, one, MARGINALS), clean)


def test_corruption_likelihood_is_a_column_of_the_transition():
    alpha = torch.tensor([0.3], dtype=torch.float64)
    got = corruption_likelihood(torch.tensor([[0, 1, 2]]), alpha, MARGINALS)[0]
    assert torch.allclose(got, transition(alpha, MARGINALS)[0].T)


@pytest.mark.parametrize("name", list(samplers.SAMPLERS))
@pytest.mark.parametrize("steps", [1, 2, 50])
def test_levels_run_from_noise_to_data(name, steps):
    levels = samplers.SAMPLERS[name][1](steps)
    assert len(levels) == steps + 1
    assert levels[0] == pytest.approx(0, abs=1e-12)
    assert levels[-1] == pytest.approx(1, abs=1e-12)
    assert (levels.diff() > 0).all()


@pytest.mark.parametrize("name", list(samplers.SAMPLERS))
def test_a_perfect_prediction_is_reached(name):
    """When the prediction is the truth with certainty, every sampler ends there."""
    truth = torch.randint(0, 3, (4, 50), generator=torch.Generator().manual_seed(0))
    clean = torch.nn.functional.one_hot(truth, 3).float()
    move, levels = samplers.SAMPLERS[name]
    generator = torch.Generator().manual_seed(1)
    state = sample_classes(MARGINALS.float().expand(4, 50, 3), generator)
    assert not torch.equal(state, truth)
    for alpha_t, alpha_s in itertools.pairwise(levels(10).tolist()):
        state = move(state, clean, samplers.Step(alpha_t, alpha_s, MARGINALS.float(), generator))
    assert torch.equal(state, truth)


@pytest.mark.parametrize("name", list(samplers.SAMPLERS))
def test_samplers_keep_the_marginal_of_the_noise_process(name):
    """With the exact posterior p(x | z_t) of independent entries, z_s is distributed as q(z_s).

    The data are class 0 or 1 with shares (0.25, 0.75), noised with MARGINALS: the only sampler with an error of its
    own is flow, whose Euler steps are finite.
    """
    data = torch.tensor([0.25, 0.75, 0.0])
    marginals = MARGINALS.float()
    move, levels = samplers.SAMPLERS[name]
    generator = torch.Generator().manual_seed(0)
    state = sample_classes(marginals.expand(1, 100_000, 3), generator)
    for alpha_t, alpha_s in itertools.pairwise(levels(200).tolist()):
        likelihood = corruption_likelihood(state, torch.tensor([alpha_t]), marginals)
        clean = data * likelihood
        clean = clean / clean.sum(-1, keepdim=True)
        state = move(state, clean, samplers.Step(alpha_t, alpha_s, marginals, generator))
    shares = torch.bincount(state[0], minlength=3) / state.numel()
    assert torch.allclose(shares, data, atol=0.03 if name == "flow" else 0.01)


def test_flow_never_enters_a_class_of_no_mass():
    marginals = torch.tensor([0.7, 0.3, 0.0])
    clean = torch.tensor([1.0, 0.0, 0.0]).expand(1, 10_000, 3)
    state = torch.ones(1, 10_000, dtype=torch.int64)
    step = samplers.Step(0.3, 0.5, marginals, torch.Generator().manual_seed(0))
    assert (samplers.flow(state, clean, step) < 2).all()


def test_a_model_has_its_own_sampler_and_steps(vocabulary, dataset):
    own = DiGressConfig(**TINY["digress"], sampler="project-and-noise", sampling_steps=7)
    model = DiGress(own, vocabulary, dataset.statistics())
    assert model.samplers[0] == "project-and-noise"
    assert sorted(model.samplers) == sorted(samplers.SAMPLERS)
    assert model.default_steps == 7
    short = DiGressConfig(**{**TINY["digress"], "timesteps": 6}, sampling_steps=7)
    assert DiGress(short, vocabulary, dataset.statistics()).default_steps == 6
    with pytest.raises(InputError, match="unknown sampler 'none'; choose from ancestral"):
        DiGressConfig(sampler="none")


def test_the_last_time_of_the_bound_is_at_most_t(vocabulary, dataset, monkeypatch):
    """31 + the largest float below 1 rounds to 32, which would be a time after the last."""
    torch.manual_seed(0)
    model = DiGress(DiGressConfig(**TINY["digress"]), vocabulary, dataset.statistics())
    largest = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: largest.expand(*shape))
    batch = dataset.by_size[6].to(torch.int64)
    last = stratum_uniforms(len(batch), 31, 32, None, torch.device("cpu"))
    assert model._bound_estimate(batch, None)(last).isfinite().all()


@pytest.mark.parametrize("sampler", ["ancestral", "project-and-noise", "flow"])
def test_late_steps_choose_among_drafts(vocabulary, dataset, sampler, monkeypatch):
    torch.manual_seed(0)
    model = DiGress(DiGressConfig(**TINY["digress"]), vocabulary, dataset.statistics())
    monkeypatch.setattr(model, "_again", lambda drawing, graphs, rows: graphs)  # nothing is drawn again at the end
    asked: list[int] = []

    def bonds(batch, _):
        asked.append(len(batch))
        return (batch.pairs > 0).sum(1)

    def drawn(drafts):
        generator = torch.Generator().manual_seed(0)
        return model.sample(6, 40, steps=10, sampler=sampler, generator=generator, drafts=drafts)

    plain, chosen = drawn(None), drawn(Drafts(5, bonds))
    # the last steps alone; nearly all drafts have bonds, so that all are drawn anew
    assert 5 <= len(asked) < 5 * 10
    assert max(asked) == 40
    assert (chosen.pairs > 0).sum() < (plain.pairs > 0).sum()


def test_known_entries_are_in_every_draft(vocabulary, dataset):
    torch.manual_seed(0)
    config = DiGressConfig(**TINY["digress"], known_parts=True)
    model = DiGress(config, vocabulary, dataset.statistics())
    graph = GraphBatch(torch.full((8, 6), 2), torch.ones(8, 15, dtype=torch.int64))
    known = Condition(graph, torch.rand(8, 6) < 0.5, torch.rand(8, 15) < 0.5, torch.zeros(8, 0))

    def faults(batch, _):
        assert known.held_by(batch).all() or len(batch) < 8
        return batch.nodes.sum(1)

    sampled = model.sample(
        6, 8, steps=5, sampler="ancestral", generator=None, condition=known, drafts=Drafts(4, faults)
    )
    assert known.held_by(sampled).all()


def test_the_network_is_told_by_the_data_where_there_is_no_noise(vocabulary, dataset):
    torch.manual_seed(0)
    model = DiGress(DiGressConfig(**TINY["digress"]), vocabulary, dataset.statistics())
    batch = dataset.by_size[6].to(torch.int64)
    log_nodes, log_pairs = model.network(batch, torch.ones(len(batch)))
    assert torch.equal(log_nodes.argmax(-1), batch.nodes)
    assert torch.equal(log_pairs.argmax(-1), batch.pairs)
    assert log_nodes.exp().max(-1).values.min() > 0.999


def test_the_network_is_equivariant(vocabulary, statistics, monkeypatch):
    monkeypatch.setattr("molgen.device.network_dtype", lambda device: torch.float32)
    monkeypatch.setattr("molgen.models.digress.network.network_dtype", lambda device: torch.float32)
    torch.manual_seed(0)
    model = DiGress(DiGressConfig(**TINY["digress"]), vocabulary, statistics)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    batch = GraphBatch(torch.randint(0, 6, (3, 7)), torch.randint(0, 4, (3, 21)))
    order = torch.randperm(7)
    alpha_bar = torch.tensor([0.1, 0.5, 0.9])
    nodes, pairs = model.network(batch, alpha_bar)
    moved_nodes, moved_pairs = model.network(batch.permute(order), alpha_bar)
    assert torch.allclose(nodes[:, order], moved_nodes, atol=1e-4)
    assert torch.allclose(from_square(to_square(pairs, 7)[:, order][:, :, order]), moved_pairs, atol=1e-4)
    assert not torch.allclose(nodes, moved_nodes, atol=0.05)

    known = Condition(
        batch, torch.rand(3, 7) < 0.5, torch.rand(3, 21) < 0.5, torch.tensor([[3.0, 1.0], [torch.nan, 2.0], [9.0, 0.0]])
    )
    told_nodes, told_pairs = model.network(batch, alpha_bar, known)
    moved_nodes, moved_pairs = model.network(batch.permute(order), alpha_bar, known.permute(order))
    assert torch.allclose(told_nodes[:, order], moved_nodes, atol=1e-4)
    assert torch.allclose(from_square(to_square(told_pairs, 7)[:, order][:, :, order]), moved_pairs, atol=1e-4)
    assert not torch.allclose(told_nodes, nodes, atol=0.05)

"""EDP-GNN: noise, network and score."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot

from molgen.errors import InputError
from molgen.models.conditions import Condition, draw_condition
from molgen.models.edpgnn.config import EDPGNNConfig
from molgen.models.edpgnn.losses import LOSSES
from molgen.models.edpgnn.model import EDPGNN
from molgen.models.edpgnn.process import evidence, noised
from molgen.models.edpgnn.samplers import SAMPLERS
from molgen.molecules.composition import formula_request
from molgen.molecules.graph import GraphBatch, from_square, to_square
from tests.conftest import TINY


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def partly_known(dataset, count: int = 32) -> tuple[GraphBatch, Condition]:
    """Graphs of six atoms with random known parts and both targets."""
    batch = dataset.by_size[6].to(torch.int64)
    batch = batch[torch.arange(count) % len(batch)]
    targets = torch.tensor([[5.0, 0.5]]).expand(count, -1)
    names = ("hydrogens", "logp")
    condition = draw_condition(batch, targets, names, known_share=1.0, target_share=1.0, generator=generator())
    assert condition.known_nodes.any() and condition.known_pairs.any()
    return batch, condition


@pytest.fixture
def model(vocabulary, statistics) -> EDPGNN:
    torch.manual_seed(0)
    model = EDPGNN(EDPGNNConfig(**TINY["edpgnn"]), vocabulary, statistics)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def test_the_noise_is_symmetric_and_its_variance_right(model):
    batch = GraphBatch(torch.zeros(4000, 4, dtype=torch.int64), torch.zeros(4000, 6, dtype=torch.int64))
    nodes, pairs = model.channels(batch)
    sigma = torch.full((4000,), 0.7)
    noisy_nodes, noisy_pairs = noised(nodes, pairs, sigma, torch.Generator().manual_seed(0))
    for noise in (noisy_nodes - nodes, noisy_pairs - pairs):
        assert float(noise.mean()) == pytest.approx(0, abs=5 * 0.7 / math.sqrt(noise.numel()))
        assert float(noise.std()) == pytest.approx(0.7, rel=5 / math.sqrt(2 * noise.numel()))
    square = to_square(noisy_pairs, 4)
    assert torch.equal(square, square.transpose(1, 2))
    assert not square.diagonal(dim1=1, dim2=2).any()


def test_the_network_is_equivariant(model):
    order = torch.tensor([3, 0, 4, 1, 2])
    generator = torch.Generator().manual_seed(0)
    nodes = torch.randn(2, 5, 6, generator=generator)
    square = torch.randn(2, 5, 5, 4, generator=generator)
    square = square + square.transpose(1, 2)
    rows, columns = torch.triu_indices(5, 5, 1)
    sigma = torch.tensor([0.3, 2.0])
    log_nodes, log_pairs = model.network(nodes, square[:, rows, columns], sigma)
    moved = square[:, order][:, :, order]
    moved_nodes, moved_pairs = model.network(nodes[:, order], moved[:, rows, columns], sigma)
    assert torch.allclose(log_nodes[:, order].exp(), moved_nodes.exp(), atol=0.02)  # bfloat16 products
    expected = to_square(log_pairs.exp(), 5)[:, order][:, :, order][:, rows, columns]
    assert torch.allclose(expected, moved_pairs.exp(), atol=0.02)


def test_the_network_is_equivariant_under_a_condition(model, dataset, monkeypatch):
    monkeypatch.setattr("molgen.device.network_dtype", lambda device: torch.float32)
    monkeypatch.setattr("molgen.models.edpgnn.network.network_dtype", lambda device: torch.float32)
    batch, condition = partly_known(dataset)
    sigma = torch.logspace(-1, 1, len(batch))
    nodes, pairs = noised(*model.channels(batch), sigma, generator())
    order = torch.tensor([3, 0, 4, 1, 5, 2])

    def moved(values):
        return from_square(to_square(values, 6)[:, order][:, :, order])

    log_nodes, log_pairs = model.network(nodes, pairs, sigma, condition)
    moved_nodes, moved_pairs = model.network(nodes[:, order], moved(pairs), sigma, condition.permute(order))
    assert torch.allclose(log_nodes[:, order].exp(), moved_nodes.exp(), atol=1e-4)
    assert torch.allclose(moved(log_pairs.exp()), moved_pairs.exp(), atol=1e-4)
    free_nodes, free_pairs = model.network(nodes, pairs, sigma)
    unknown = ~condition.known_nodes
    assert not torch.allclose(log_nodes.exp()[unknown], free_nodes.exp()[unknown], atol=0.02)
    unknown = ~condition.known_pairs
    assert not torch.allclose(log_pairs.exp()[unknown], free_pairs.exp()[unknown], atol=0.02)


def test_known_channels_are_never_noised(model, dataset):
    """In training and in every sampler: the network sees them clean, of a certain class and flagged."""
    batch, condition = partly_known(dataset)
    nodes, pairs = model.channels(batch)
    seen = []
    for part, clean, known in (("node_in", nodes, condition.known_nodes), ("pair_in", pairs, condition.known_pairs)):
        classes = clean.shape[-1]

        def check(module, inputs, clean=clean, known=known, classes=classes):
            noisy, likely, flag = inputs[0][..., :classes], inputs[0][..., classes : 2 * classes], inputs[0][..., -1]
            assert torch.equal(flag, known.float())
            assert torch.allclose(likely[known], clean[known])
            # one-hot times a scale, which differs by graph
            assert torch.equal(noisy[known] > 0, clean[known] > 0) and not noisy[known][clean[known] == 0].any()
            assert not torch.equal(noisy[~known].argmax(-1), clean[~known].argmax(-1))
            seen.append(classes)

        getattr(model.network, part)[0].register_forward_pre_hook(check)
    model.loss(batch, generator(), condition)
    for sampler in SAMPLERS:
        drawn = model.sample(6, len(batch), steps=4, sampler=sampler, generator=generator(), condition=condition)
        assert condition.held_by(drawn).all()
    assert len(seen) == 2 * (1 + 4 * len(SAMPLERS))


def test_what_is_known_is_certain_at_every_step(model, dataset):
    batch, condition = partly_known(dataset)
    shown = []
    model.sample(
        6,
        len(batch),
        steps=5,
        sampler="heun",
        generator=generator(),
        condition=condition,
        guidance=2.0,
        callback=lambda done, of, graphs: shown.append(graphs()),
    )
    assert len(shown) == 5
    assert all(condition.held_by(graphs).all() for graphs in shown)


@pytest.mark.parametrize("loss", ["cross-entropy", "score"])
def test_known_entries_cost_nothing(vocabulary, statistics, dataset, loss):
    model = EDPGNN(EDPGNNConfig(**TINY["edpgnn"], loss=loss), vocabulary, statistics)
    batch, condition = partly_known(dataset)
    assert (model.loss(batch, generator(), condition) > 0).any()
    everything = replace(
        condition,
        known_nodes=torch.ones_like(condition.known_nodes),
        known_pairs=torch.ones_like(condition.known_pairs),
    )
    assert not model.loss(batch, generator(), everything).any()


def test_guidance_is_a_mixture_of_log_probabilities(model, dataset):
    batch, condition = partly_known(dataset)
    nodes, pairs = noised(*model.channels(batch), torch.ones(len(batch)), generator())
    level = torch.ones(len(batch))
    asked = model.network(nodes, pairs, level, condition)[0].double().exp()
    free = model.network(nodes, pairs, level, condition.without_targets())[0].double().exp()
    expected = asked**3 / free**2
    mixed = model._guided(nodes, pairs, 1.0, condition, 2.0)[0].double().exp()
    assert torch.allclose(mixed, expected / expected.sum(-1, keepdim=True), atol=1e-4)
    assert torch.equal(mixed[condition.known_nodes].argmax(-1), batch.nodes[condition.known_nodes])


def test_a_model_without_known_parts_takes_a_formula(vocabulary, dataset):
    """As before there were known parts: the atoms stand in for the nodes, and the evidence for them is their own."""
    torch.manual_seed(0)
    model = EDPGNN(EDPGNNConfig(**TINY["edpgnn"], known_parts=False), vocabulary, dataset.statistics())
    request = formula_request("C4H8O2", vocabulary, (0, 1, 1, 1, 1, 1, 1))
    nodes = torch.tensor(request.classes(vocabulary)).expand(3, -1)
    inputs = []
    model.network.node_in[0].register_forward_pre_hook(lambda module, given: inputs.append(given[0]))
    drawn = model.sample(6, 3, steps=2, sampler="stochastic", generator=generator(), request=request)
    assert torch.equal(drawn.nodes, nodes)
    channels, sigma = one_hot(nodes, 6).float(), torch.full((3,), 10.0)
    expected = evidence(channels, sigma, model.network.atom_marginals).softmax(-1)
    assert inputs[0].shape[-1] == 2 * 6 + model.network.features.node_width
    assert torch.allclose(inputs[0][..., 6:12], expected)


def test_the_evidence_is_bayes_by_hand():
    """Two classes, prior (3/4, 1/4), sigma 1/2, x = (1, 0).

    p(x | class 0) : p(x | class 1) = exp(0) : exp(-2 / (2 / 4)) = 1 : e^-4, times the prior 3 : e^-4.
    """
    logits = evidence(torch.tensor([[[1.0, 0.0]]]), torch.tensor([0.5]), torch.tensor([0.75, 0.25]))
    expected = torch.tensor([3.0, math.exp(-4.0)])
    assert torch.allclose(logits.softmax(-1)[0, 0], expected / expected.sum())


def test_an_untrained_network_gives_the_evidence_and_no_noise_gives_the_data(vocabulary, dataset):
    model = EDPGNN(EDPGNNConfig(**TINY["edpgnn"]), vocabulary, dataset.statistics())
    batch = dataset.by_size[6].to(torch.int64)
    nodes, pairs = model.channels(batch)
    for sigma in (0.1, 3.0):
        level = torch.full((len(batch),), sigma)
        noisy = noised(nodes, pairs, level, torch.Generator().manual_seed(0))
        log_nodes, log_pairs = model.network(*noisy, level)
        expected = evidence(noisy[1], level, model.network.bond_marginals).softmax(-1)
        assert torch.allclose(log_pairs.exp(), expected, atol=1e-5)
        if sigma == 0.1:
            assert torch.equal(log_nodes.argmax(-1), batch.nodes)
            assert torch.equal(log_pairs.argmax(-1), batch.pairs)


def test_the_score_loss_is_the_published_one():
    """sigma^2 / 2 |s + (x - x0) / sigma^2|^2 with s = (D - x) / sigma^2, per entry."""
    clean = torch.tensor([[[0.0, 1.0, 0.0]]])
    log_clean = torch.tensor([[[0.2, 0.5, 0.3]]]).log()
    sigma, x = 0.8, torch.tensor([[[0.1, 0.7, -0.4]]])
    score = (log_clean.exp() - x) / sigma**2
    expected = 0.5 * sigma**2 * (score + (x - clean) / sigma**2).square().sum()
    assert float(LOSSES["score"](clean, log_clean, torch.tensor([sigma]))) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": 0}, "layers should be at least 1, got 0"),
        ({"sigma_min": 0.0}, "sigma_min should be above 0"),
        ({"sigma_min": 20.0}, "sigma_min should be below sigma_max"),
        ({"width": 30}, "width should be a multiple of heads"),
        ({"bond_weight": math.inf}, "bond_weight should be at most 10,000, got inf"),
        ({"loss": "hinge"}, "unknown loss 'hinge'; choose from cross-entropy, score"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        EDPGNNConfig(**settings)

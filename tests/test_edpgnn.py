"""EDP-GNN: noise, network and score."""

import math

import pytest
import torch

from molgen.backends.edpgnn import EDPGNN, EDPGNNConfig
from molgen.backends.edpgnn.network import evidence
from molgen.errors import InputError
from molgen.graph import GraphBatch, to_square
from tests.conftest import TINY


@pytest.fixture
def model(vocabulary, dataset) -> EDPGNN:
    torch.manual_seed(0)
    model = EDPGNN(EDPGNNConfig(**TINY["edpgnn"]), vocabulary, dataset.statistics())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def test_the_noise_is_symmetric_and_its_variance_right(model):
    batch = GraphBatch(torch.zeros(4000, 4, dtype=torch.int64), torch.zeros(4000, 6, dtype=torch.int64))
    nodes, pairs = model.channels(batch)
    sigma = torch.full((4000,), 0.7)
    noisy_nodes, noisy_pairs = model._noised(nodes, pairs, sigma, torch.Generator().manual_seed(0))
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
        noisy = model._noised(nodes, pairs, level, torch.Generator().manual_seed(0))
        log_nodes, log_pairs = model.network(*noisy, level)
        expected = evidence(noisy[1], level, model.network.bond_marginals).softmax(-1)
        assert torch.allclose(log_pairs.exp(), expected, atol=1e-5)
        if sigma == 0.1:
            assert torch.equal(log_nodes.argmax(-1), batch.nodes)
            assert torch.equal(log_pairs.argmax(-1), batch.pairs)


def test_the_score_loss_is_the_published_one(vocabulary, dataset):
    """sigma^2 / 2 |s + (x - x0) / sigma^2|^2 with s = (D - x) / sigma^2, per entry."""
    model = EDPGNN(EDPGNNConfig(**TINY["edpgnn"], loss="score"), vocabulary, dataset.statistics())
    clean = torch.tensor([[[0.0, 1.0, 0.0]]])
    log_clean = torch.tensor([[[0.2, 0.5, 0.3]]]).log()
    sigma, x = 0.8, torch.tensor([[[0.1, 0.7, -0.4]]])
    score = (log_clean.exp() - x) / sigma**2
    expected = 0.5 * sigma**2 * (score + (x - clean) / sigma**2).square().sum()
    assert float(model._entry_loss(clean, log_clean, torch.tensor([sigma]))) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": 0}, "layers should be at least 1, got 0"),
        ({"sigma_min": 0.0}, "sigma_min should be above 0"),
        ({"sigma_min": 20.0}, "sigma_min should be below sigma_max"),
        ({"width": 30}, "width should be a multiple of heads"),
        ({"loss": "hinge"}, "unknown loss 'hinge'; choose from cross-entropy, score"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        EDPGNNConfig(**settings)

"""NVDiff: orbitals, autoencoder and denoiser of node vectors."""

import pytest
import torch

from molgen.backends.nvdiff import NVDiff, NVDiffConfig
from molgen.backends.nvdiff.network import BOND_STRENGTHS, ORBITALS, SetBlock, orbitals
from molgen.errors import InputError
from molgen.graph import GraphBatch, to_square
from tests.conftest import TINY


@pytest.fixture
def model(vocabulary, dataset) -> NVDiff:
    torch.manual_seed(0)
    model = NVDiff(NVDiffConfig(**TINY["nvdiff"]), vocabulary, dataset.statistics())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def test_the_orbitals_hold_the_graph(dataset):
    """The matrix of bond strengths is C diag(values) C^T, whose terms are the two halves of the features."""
    for size, batch in dataset.by_size.items():
        batch = batch.to(torch.int64)
        coefficients, scaled = orbitals(batch).split(ORBITALS, dim=-1)
        rebuilt = scaled @ coefficients.transpose(1, 2)
        strengths = torch.tensor(BOND_STRENGTHS)[to_square(batch.pairs, size)]
        off_diagonal = ~torch.eye(size, dtype=torch.bool)
        assert torch.allclose(rebuilt[:, off_diagonal], strengths[:, off_diagonal], atol=1e-5)


def test_the_orbitals_follow_the_order_of_nodes(dataset):
    batch = dataset.by_size[6].to(torch.int64)
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    assert torch.allclose(orbitals(batch.permute(order)), orbitals(batch)[:, order], atol=1e-5)


def test_more_nodes_than_orbitals():
    batch = GraphBatch(torch.zeros(1, 20, dtype=torch.int64), torch.zeros(1, 190, dtype=torch.int64))
    assert orbitals(batch).shape == (1, 20, 2 * ORBITALS)


def test_means_are_normalised_and_follow_the_order_of_nodes(model, dataset):
    batch = dataset.by_size[6].to(torch.int64)
    mean = model.encode(batch)
    assert mean.shape == (len(batch), 6, 8)
    assert torch.allclose(mean.mean(-1), torch.zeros(()), atol=1e-5)
    assert torch.allclose(mean.var(-1, unbiased=False), torch.ones(()), atol=1e-3)
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    assert torch.allclose(model.encode(batch.permute(order)), mean[:, order], atol=0.05)  # bfloat16 products


def test_decoder_and_denoiser_follow_the_order_of_nodes(model):
    z = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([3, 0, 4, 1, 2])
    sigma = torch.tensor([0.3, 5.0])
    assert torch.allclose(model.network(z, sigma)[:, order], model.network(z[:, order], sigma), atol=0.03)
    log_nodes, log_pairs = model.decoder(z)
    moved_nodes, moved_pairs = model.decoder(z[:, order])
    assert torch.allclose(log_nodes.exp()[:, order], moved_nodes.exp(), atol=0.03)
    square = to_square(log_pairs.exp(), 5)[:, order][:, :, order]
    assert torch.allclose(square, to_square(moved_pairs.exp(), 5), atol=0.03)


def test_little_noise_is_kept_and_much_is_ignored(vocabulary, dataset):
    """What the preconditioning promises of an untrained denoiser: x where sigma is small, 0 where it is large."""
    model = NVDiff(NVDiffConfig(**TINY["nvdiff"]), vocabulary, dataset.statistics())
    x = torch.randn(1, 4, 8)
    assert torch.allclose(model.network(x, torch.tensor([1e-3])), x, atol=1e-4)
    assert model.network(x, torch.tensor([1e3])).abs().max() < 1e-3


def test_attention_far_out_of_range_keeps_its_gradient():
    """All weights of a row next to nothing: their sum must not be squared on the way back."""
    torch.manual_seed(0)
    block = SetBlock(16, 2)
    with torch.no_grad():
        query = 4.2 * torch.eye(16)  # products near -50
        block.qkv.weight.copy_(torch.cat([query, -query, torch.randn(16, 16)]))
    h = torch.randn(64, 1, 16, requires_grad=True)
    block(h, torch.zeros(64, 16)).square().sum().backward()
    assert h.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in block.parameters())


def test_a_path_has_its_points(model, dataset):
    batch = dataset.by_size[6].to(torch.int64)
    first, second = batch[:1], batch[1:2]
    path = model.interpolate(first, second, 5, steps=20)
    assert (len(path), path.size) == (5, 6)
    same = model.interpolate(first, first, 3, steps=20)
    assert torch.equal(same.nodes[0], same.nodes[2])
    with pytest.raises(InputError, match="same number of heavy atoms"):
        model.interpolate(first, dataset.by_size[5].to(torch.int64)[:1], 5)


def test_an_embedding_does_not_depend_on_the_order_of_nodes(model, dataset):
    batch = dataset.by_size[6].to(torch.int64)
    vectors = model.embed(batch)
    assert vectors.shape == (len(batch), 32)
    assert torch.allclose(model.embed(batch.permute(torch.tensor([4, 2, 0, 5, 1, 3]))), vectors, atol=0.05)


def test_the_encoder_learns_from_the_prior_as_much_as_is_asked(vocabulary, dataset):
    batch = dataset.by_size[6].to(torch.int64)
    gradients = []
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        model = NVDiff(NVDiffConfig(**TINY["nvdiff"], prior_weight=weight), vocabulary, dataset.statistics())
        model.loss(batch, torch.Generator().manual_seed(0)).mean().backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.encoder.out.parameters()]))
        assert all(parameter.grad is not None for parameter in model.network.out.parameters())
    assert not torch.allclose(*gradients)


def test_without_reconstruction_only_the_denoiser_learns(vocabulary, dataset):
    torch.manual_seed(0)
    model = NVDiff(NVDiffConfig(**TINY["nvdiff"], reconstruction_weight=0.0), vocabulary, dataset.statistics())
    model.loss(dataset.by_size[6].to(torch.int64), torch.Generator().manual_seed(0)).mean().backward()
    learns = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learns == {"network"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent": 0}, "latent should be at least 1, got 0"),
        ({"sigma_max": 0.1}, "sigma_min should be below sigma_max"),
        ({"decoder_width": 50}, "decoder_width should be a multiple of heads"),
        ({"prior_weight": -1.0}, "prior_weight should be"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        NVDiffConfig(**settings)

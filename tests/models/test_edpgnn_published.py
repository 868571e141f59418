"""EDP-GNN as its authors have it: levels, loss, network and annealed Langevin dynamics."""

import math

import numpy as np
import pytest
import torch

from molgen.errors import InputError
from molgen.models.checkpoints import load_checkpoint, save_checkpoint
from molgen.models.edpgnn import published
from molgen.models.edpgnn.config import EDPGNNConfig
from molgen.models.edpgnn.model import EDPGNN
from molgen.models.edpgnn.process import channels, noised, start_divergence
from molgen.molecules.graph import from_square, to_square
from tests.conftest import TINY


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model(vocabulary, statistics, monkeypatch) -> EDPGNN:
    monkeypatch.setattr("molgen.device.network_dtype", lambda device: torch.float32)
    torch.manual_seed(0)
    return EDPGNN(EDPGNNConfig(**TINY["edpgnn"], process="published"), vocabulary, statistics).eval()


def test_the_six_levels_are_those_trained_in_equal_shares(model, dataset):
    batch = dataset.by_size[6].to(torch.int64)
    batch = batch[torch.arange(60) % len(batch)]
    seen = []
    model.network.register_forward_pre_hook(lambda module, given: seen.append(given[2]))
    model.loss(batch, generator())
    levels, counts = seen[0].unique(return_counts=True)
    assert torch.allclose(levels, torch.tensor([0.1, 0.2, 0.4, 0.6, 0.8, 1.6]))
    assert counts.tolist() == [10] * 6


def test_the_loss_is_denoising_score_matching(model, dataset):
    """sigma^2 / 2 |s + e / sigma|^2 of the network's score s, summed over the channels of an entry."""
    batch = dataset.by_size[6].to(torch.int64)
    seen = []
    model.network.register_forward_hook(lambda module, given, out: seen.append((given, out)))
    loss = model.loss(batch, generator())
    (noisy_nodes, noisy_pairs, sigma, _), denoised = seen[0]
    expected = 0.0
    parts = zip((noisy_nodes, noisy_pairs), model.channels(batch), denoised, (1.0, 5.0), strict=True)
    for noisy, clean, out, weight in parts:
        scale = sigma[:, None, None]
        score = (out - noisy) / scale**2
        noise = (noisy - clean) / scale
        expected = expected + weight * (0.5 * scale**2 * (score + noise / scale) ** 2).sum(-1).mean(1)
    assert torch.allclose(loss, expected, rtol=1e-3)


def test_the_network_is_equivariant(model):
    order = torch.tensor([3, 0, 4, 1, 2])
    nodes, square = torch.randn(2, 5, 6, generator=generator()), torch.randn(2, 5, 5, 4, generator=generator(1))
    pairs = from_square(square + square.transpose(1, 2))
    sigma = torch.tensor([0.2, 1.6])
    out_nodes, out_pairs = model.network(nodes, pairs, sigma)
    moved = from_square(to_square(pairs, 5)[:, order][:, :, order])
    moved_nodes, moved_pairs = model.network(nodes[:, order], moved, sigma)
    assert torch.allclose(out_nodes[:, order], moved_nodes, atol=1e-4)
    assert torch.allclose(from_square(to_square(out_pairs, 5)[:, order][:, :, order]), moved_pairs, atol=1e-4)


def test_each_level_has_gains_of_its_own(model):
    """And all layers reach the output."""
    nodes, pairs = torch.randn(2, 4, 6, generator=generator()), torch.randn(2, 6, 4, generator=generator(1))
    sigma = torch.tensor([1.6, 0.1])
    before = model.network(nodes, pairs, sigma)
    with torch.no_grad():
        for mlp in (model.network.node_out, model.network.pair_out):
            mlp.gains[0][5] += 1.0  # of the level 0.1
    for old, new in zip(before, model.network(nodes, pairs, sigma), strict=True):
        assert torch.equal(old[0], new[0]) and not torch.allclose(old[1], new[1], atol=1e-4)
    sum(part.square().sum() for part in model.network(nodes, pairs, sigma)).backward()
    for layer in model.network.layers:
        assert all(parameter.grad.abs().sum() > 0 for parameter in layer.to_channels.parameters())


def test_the_steps_are_those_of_the_authors(model):
    assert model.default_steps == 6 * 1000
    seen = []
    model.network.register_forward_pre_hook(lambda module, given: seen.append((given[0], round(float(given[2][0]), 4))))
    model.sample(3, 50, steps=12, sampler="langevin", generator=generator())
    assert [sigma for _, sigma in seen] == [s for s in (1.6, 0.8, 0.6, 0.4, 0.2, 0.1) for _ in range(2)]
    # |N(0, 1)|, and the noise of the first step: sqrt(2 * 0.05) * 1.6
    assert float(seen[0][0].mean()) == pytest.approx(math.sqrt(2 / math.pi), abs=0.1)
    assert float(seen[0][0].var()) == pytest.approx(1 - 2 / math.pi + 0.1 * 1.6**2, abs=0.1)


@pytest.mark.parametrize("sampler", list(published.SAMPLERS))
def test_the_exact_score_leads_to_the_graph(model, dataset, monkeypatch, sampler):
    """Of data that are one graph: each sampler draws it, and the bound is the divergence of the start."""
    batch = dataset.by_size[6].to(torch.int64)[:1]
    clean = model.channels(batch)

    def exact(nodes, pairs, sigma, told=None):
        return tuple(part.expand(len(nodes), -1, -1) for part in clean)

    monkeypatch.setattr(model.network, "forward", exact)
    drawn = model.sample(6, 20, steps=600, sampler=sampler, generator=generator())
    assert (drawn.nodes == batch.nodes).all() and (drawn.pairs == batch.pairs).all()
    marginals = model.network.atom_marginals, model.network.bond_marginals
    bound = model.likelihood(batch, draws=4, generator=generator()).nats
    assert torch.allclose(bound, start_divergence(*clean, *marginals, 1.6), atol=1e-3)


def test_known_entries_are_kept_by_every_sampler(model, dataset):
    from tests.models.test_edpgnn import partly_known

    batch, condition = partly_known(dataset)
    for sampler in model.samplers:
        drawn = model.sample(6, len(batch), steps=6, sampler=sampler, generator=generator(), condition=condition)
        assert condition.held_by(drawn).all()
    noisy = noised(*channels(batch, 6), torch.full((len(batch),), 1.6), generator())
    nodes, pairs = model.network(*noisy, torch.full((len(batch),), 1.6), condition)
    assert torch.equal(nodes[condition.known_nodes], model.channels(batch)[0][condition.known_nodes])
    assert torch.equal(pairs[condition.known_pairs], model.channels(batch)[1][condition.known_pairs])


def test_a_saved_model_comes_back_and_old_ones_are_ours(model, vocabulary, statistics, tmp_path):
    save_checkpoint(
        tmp_path / "model",
        backend_name="edpgnn",
        backend=model,
        weights=model.state_dict(),
        vocabulary=vocabulary,
        statistics=statistics,
        known=np.zeros(0, dtype=np.uint64),
        card={"name": "tiny"},
    )
    back = load_checkpoint(str(tmp_path / "model")).backend
    assert back.config == model.config and back.samplers == tuple(published.SAMPLERS)
    old = load_checkpoint("qm9-edpgnn").backend
    assert old.config.process == "continuous" and old.samplers[0] == "stochastic"


def test_atom_classes_can_grow(model, vocabulary):
    names = dict(model.named_parameters())
    grown = [name for name in model.atom_axes if name in names]
    assert len(grown) == 3
    for name in grown:
        axis, copies, entries = model.atom_axes[name]
        assert names[name].shape[axis] >= copies * entries * len(vocabulary.atoms)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"process": "discrete"}, "unknown process 'discrete'; choose from continuous, published"),
        ({"step_ratio": 0.0}, "step_ratio should be above 0"),
        ({"step_ratio": 2.0}, "step_ratio should be at most 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        EDPGNNConfig(**settings)

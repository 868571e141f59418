"""NVDiff: orbitals, autoencoder and denoiser of node vectors."""

from dataclasses import replace

import pytest
import torch

from molgen.data.dataset import group_by_size
from molgen.errors import InputError
from molgen.models.conditions import Condition, draw_condition
from molgen.models.nvdiff.config import NVDiffConfig
from molgen.models.nvdiff.model import NVDiff
from molgen.models.nvdiff.network import SetBlock
from molgen.models.nvdiff.orbitals import BOND_STRENGTHS, ORBITALS, orbitals
from molgen.molecules.encoding import mol_to_graph
from molgen.molecules.graph import GraphBatch, from_square, pair_indices, to_square
from molgen.molecules.parsing import clean, parse_smiles
from tests.conftest import TINY


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def piece(vocabulary) -> Condition:
    """The first four atoms of an oxime with an ether, one bond to a fifth, and nothing, of the same molecule."""
    graph = mol_to_graph(clean(parse_smiles("ON=CCOC")).mol, vocabulary.index)
    batch = next(iter(group_by_size(vocabulary, [graph]).by_size.values())).to(torch.int64)
    batch = batch[torch.tensor([0, 0])]
    nothing = Condition.nothing(6, 2, 2)
    known_nodes, known_pairs = nothing.known_nodes.clone(), nothing.known_pairs.clone()
    first, second = pair_indices(6)
    known_nodes[0, :4] = True
    known_pairs[0] = (second < 4) | ((first == 3) & (second == 4))
    return Condition(batch, known_nodes, known_pairs, nothing.targets)


@pytest.fixture
def model(vocabulary, statistics) -> NVDiff:
    torch.manual_seed(0)
    model = NVDiff(NVDiffConfig(**TINY["nvdiff"]), vocabulary, statistics)
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


def test_hints_follow_the_order_of_nodes(model, piece, monkeypatch):
    monkeypatch.setattr("molgen.device.network_dtype", lambda device: torch.float32)
    monkeypatch.setattr("molgen.models.nvdiff.network.network_dtype", lambda device: torch.float32)
    order = torch.tensor([3, 0, 4, 1, 5, 2])
    hints, moved = model.hints(piece), model.hints(piece.permute(order))
    assert torch.allclose(hints.denoiser[:, order], moved.denoiser, atol=1e-4)
    assert torch.allclose(hints.nodes[:, order], moved.nodes, atol=1e-4)
    moved_pairs = from_square(to_square(hints.pairs, 6)[:, order][:, :, order])
    assert torch.allclose(moved_pairs, moved.pairs, atol=1e-6)
    z, sigma = torch.randn(2, 6, 8, generator=generator()), torch.tensor([0.5, 5.0])
    clean = model.network(z, sigma, None, hints.denoiser)
    assert torch.allclose(
        clean[:, order], model.network(z[:, order], sigma, None, moved.denoiser), rtol=1e-3, atol=1e-3
    )
    log_nodes, log_pairs = model.decoder(z, hints)
    moved_nodes, moved_pairs = model.decoder(z[:, order], moved)
    assert torch.allclose(log_nodes.exp()[:, order], moved_nodes.exp(), atol=1e-4)
    log_pairs = from_square(to_square(log_pairs.exp(), 6)[:, order][:, :, order])
    assert torch.allclose(log_pairs, moved_pairs.exp(), atol=1e-4)


def test_hints_reach_denoiser_and_decoder_of_the_graphs_that_have_them(model, piece):
    hints = model.hints(piece)
    assert not any(part[1].any() for part in hints)  # nothing is known of the second graph
    assert not hints.pairs[~piece.known_pairs].any()
    z, sigma = torch.randn(2, 6, 8, generator=generator()), torch.tensor([2.0, 2.0])
    told, free = model.network(z, sigma, None, hints.denoiser), model.network(z, sigma)
    assert torch.equal(told[1], free[1]) and not torch.allclose(told[0], free[0], atol=0.02)
    for told, free in zip(model.decoder(z, hints), model.decoder(z), strict=True):
        assert torch.equal(told[1], free[1]) and not torch.allclose(told[0], free[0], atol=0.02)
    for parts in (hints._replace(nodes=0 * hints.nodes), hints._replace(pairs=0 * hints.pairs)):
        assert not torch.allclose(model.decoder(z, parts)[1][0], model.decoder(z)[1][0], atol=0.01)


def test_hints_know_closed_atoms_and_known_gaps_and_nothing_that_is_not_known(model, piece):
    first, _ = pair_indices(6)
    hints = model.hints(piece).denoiser[0]
    closed = replace(piece, known_pairs=piece.known_pairs | (first == 0))
    assert not torch.allclose(model.hints(closed).denoiser[0], hints, atol=0.01)
    unseen = GraphBatch(
        torch.where(piece.known_nodes, piece.graph.nodes, 3), torch.where(piece.known_pairs, piece.graph.pairs, 2)
    )
    assert torch.equal(model.hints(replace(piece, graph=unseen)).denoiser[0], hints)


def test_hints_tell_the_atoms_of_a_ring_apart(model):
    """A denoiser without pairs can only put the bonds of a ring where they are known if it knows which atom is next."""
    ring = torch.zeros(1, 6, 6, dtype=torch.int64)
    for node in range(6):
        ring[0, node, (node + 1) % 6] = ring[0, (node + 1) % 6, node] = 1
    graph = GraphBatch(torch.zeros(1, 6, dtype=torch.int64), from_square(ring))
    everything = Condition(graph, graph.nodes >= 0, graph.pairs >= 0, torch.full((1, 2), torch.nan))
    nodes = model.hints(everything).denoiser[0].float()
    apart = torch.cdist(nodes, nodes)
    assert apart[~torch.eye(6, dtype=torch.bool)].min() > 0.05


def test_an_untrained_model_does_not_heed_what_it_is_told(vocabulary, statistics, piece):
    """So that a model that learned without conditions can go on from there."""
    model = NVDiff(NVDiffConfig(**TINY["nvdiff"]), vocabulary, statistics)
    assert not any(part.any() for part in model.hints(piece))
    new = [name for name, _ in model.named_parameters() if name.startswith((*model.new_modules, model.target_module))]
    before = NVDiff(NVDiffConfig(**TINY["nvdiff"], known_parts=False), vocabulary, replace(statistics, targets=()))
    assert [name for name, _ in model.named_parameters() if name not in new] == [
        n for n, _ in before.named_parameters()
    ]
    assert before.hints(piece) is None


def test_known_entries_are_not_reconstructed(model, piece):
    """With everything known the decoder's weights do not matter to the loss, otherwise they do."""
    everything = replace(
        piece, known_nodes=torch.ones_like(piece.known_nodes), known_pairs=torch.ones_like(piece.known_pairs)
    )
    losses = [model.loss(piece.graph, generator(), told) for told in (piece, everything)]
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.add_(0.1)
            parameter.mul_(-1)
    assert torch.equal(model.loss(piece.graph, generator(), everything), losses[1])
    assert not torch.allclose(model.loss(piece.graph, generator(), piece), losses[0])


def test_guidance_mixes_the_means(model, piece, monkeypatch):
    asked = replace(piece, targets=torch.tensor([[9.0, 1.0], [3.0, torch.nan]]))
    decoded = []
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda z, hints: decoded.append(z) or decode(z, hints))
    options = {"steps": 1, "sampler": "stochastic"}
    for condition, weight in ((asked, 0.0), (asked.without_targets(), 0.0), (asked, 1.5)):
        model.sample(6, 2, generator=generator(), condition=condition, guidance=weight, **options)
    told, free, guided = decoded
    assert not torch.allclose(told, free, atol=0.01)
    assert torch.allclose(guided, told + 1.5 * (told - free), atol=1e-5)


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
    batch = dataset.by_size[6].to(torch.int64)
    nothing = torch.zeros(len(batch), 0)
    told = draw_condition(batch, nothing, (), known_share=1.0, target_share=0.0, generator=generator())
    model.loss(batch, generator(), told).mean().backward()
    learns = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learns == {"network", "known"}
    assert model.known.to_decoder.weight.grad is None and model.known.to_pairs.weight.grad is None


def test_without_the_encoder_everything_else_learns(vocabulary, dataset):
    torch.manual_seed(0)
    model = NVDiff(NVDiffConfig(**TINY["nvdiff"], train_encoder=False), vocabulary, dataset.statistics())
    batch = dataset.by_size[6].to(torch.int64)
    told = draw_condition(
        batch, torch.zeros(len(batch), 0), (), known_share=1.0, target_share=0.0, generator=generator()
    )
    model.loss(batch, generator(), told).mean().backward()
    learns = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learns == {"network", "known", "decoder"}
    assert model.known.to_decoder.weight.grad.abs().sum() > 0 and model.known.to_pairs.weight.grad.abs().sum() > 0


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

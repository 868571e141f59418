"""DiGress with the network, features and times of its authors."""

import itertools

import pytest
import torch

from molgen.errors import InputError
from molgen.models.digress.config import DiGressConfig
from molgen.models.digress.model import DiGress
from molgen.models.digress.published_features import PublishedFeatures, cycles
from molgen.models.digress.published_network import PublishedBlock, PublishedDenoiser, step_of
from molgen.models.digress.samplers import SAMPLERS
from molgen.models.noise import cosine_alpha_bar
from molgen.molecules.graph import GraphBatch, from_square, to_square
from molgen.molecules.vocabulary import AtomClass
from tests.conftest import TINY


@pytest.fixture
def model(vocabulary, statistics, monkeypatch) -> DiGress:
    """In float32, its outputs depend on its inputs."""
    for module in ("molgen.device", "molgen.models.digress.network"):
        monkeypatch.setattr(f"{module}.network_dtype", lambda device: torch.float32)
    torch.manual_seed(0)
    config = DiGressConfig(**TINY["digress"], network="published", global_width=8)
    model = DiGress(config, vocabulary, statistics).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def cycles_by_search(bonds: torch.Tensor, length: int) -> list[int]:
    """Cycles of a length through each node, by search."""
    size = len(bonds)
    counts = [0] * size
    for nodes in itertools.permutations(range(size), length):
        once = nodes[0] == min(nodes) and nodes[1] < nodes[-1]
        if once and all(bonds[i, j] for i, j in itertools.pairwise((*nodes, nodes[0]))):
            for node in nodes:
                counts[node] += 1
    return counts


def test_cycles_are_those_of_a_search():
    """Pentagons too where there is no triangle, as the published formula says."""
    generator = torch.Generator().manual_seed(0)
    without = 0
    for _ in range(40):
        upper = (torch.rand(6, 6, generator=generator) < 0.45).float().triu(1)
        adjacency = upper + upper.T
        of_nodes, of_graph = cycles(adjacency[None])
        lengths = [3, 4] if has_triangle(adjacency) else [3, 4, 5]
        without += len(lengths) == 3
        for length in lengths:
            assert of_nodes[0, :, length - 3].tolist() == cycles_by_search(adjacency, length)
            assert of_graph[0, length - 3].item() == pytest.approx(sum(cycles_by_search(adjacency, length)) / length)
        assert of_graph[0, 3].item() == pytest.approx(sum(cycles_by_search(adjacency, 6)) / 6)
    assert without > 5


def has_triangle(adjacency: torch.Tensor) -> bool:
    return bool(torch.linalg.matrix_power(adjacency, 3).trace() > 0)


def test_the_spectrum_of_a_chain_and_a_lone_atom():
    """C-C-O and N: two pieces; eigenvalues of the chain 0, 1 and 3, over n = 4; N is outside the largest piece."""
    atoms = tuple(AtomClass(element, 0) for element in "CNO")
    features = PublishedFeatures(atoms, 8)
    # pairs 01 02 03 12 13 23
    structure = features(torch.tensor([[0, 0, 2, 1]]), torch.tensor([[1, 0, 0, 2, 0, 0]]))
    assert structure.nodes.shape == (1, 4, features.node_width)
    assert structure.whole.shape == (1, features.whole_width)
    assert structure.nodes[0, :, 3].tolist() == [0, 0, 0, 1]
    vectors = structure.nodes[0, :, 4:6].abs()
    assert vectors[:, 0].tolist() == pytest.approx([0.5**0.5, 0, 0.5**0.5, 0], abs=1e-5)
    assert vectors[:, 1].tolist() == pytest.approx([1 / 6**0.5, 2 / 6**0.5, 1 / 6**0.5, 0], abs=1e-5)
    assert structure.nodes[0, :, 6].tolist() == [3, 1, 0, 3]  # C has one bond of 4, then 3 of 4, O its 2, N none of 3
    assert structure.nodes[0, :, 7].tolist() == [1, 3, 2, 0]
    assert structure.whole[0].tolist() == pytest.approx(
        [0.5, 0, 0, 0, 0, 2, 0.25, 0.75, 2, 2, 2, (12 + 12 + 16 + 14) / 128], abs=1e-5
    )


def test_usual_valences_follow_the_charge():
    atoms = [("N", 1), ("O", -1), ("C", -1), ("C", 1), ("B", -1), ("S", 0), ("Fe", 2)]
    assert PublishedFeatures(tuple(AtomClass(*atom) for atom in atoms), 9).valences.tolist() == [4, 1, 3, 3, 4, 2, 0]


def test_the_time_is_that_of_the_schedule():
    times = torch.arange(501) / 500
    assert torch.allclose(step_of(cosine_alpha_bar(times)), times, atol=2e-4)


def test_it_is_equivariant_where_eigenvectors_are_not_in_the_way(model, monkeypatch):
    """Their sign is arbitrary, as published: taken to be 0 here."""
    features = model.network.features.forward

    def without(nodes, pairs):
        structure = features(nodes, pairs)
        structure.nodes[..., 4:6] = 0
        return structure

    monkeypatch.setattr(model.network.features, "forward", without)
    batch = GraphBatch(torch.randint(0, 6, (3, 7)), torch.randint(0, 4, (3, 21)))
    order, alpha_bar = torch.randperm(7), torch.tensor([0.1, 0.5, 0.9])
    nodes, pairs = model.network(batch, alpha_bar)
    moved_nodes, moved_pairs = model.network(batch.permute(order), alpha_bar)
    assert torch.allclose(nodes[:, order], moved_nodes, atol=1e-4)
    assert torch.allclose(from_square(to_square(pairs, 7)[:, order][:, :, order]), moved_pairs, atol=1e-4)
    assert not torch.allclose(nodes, moved_nodes, atol=0.05)


def test_one_option_chooses_network_times_and_steps(vocabulary, statistics):
    torch.manual_seed(0)
    model = DiGress(DiGressConfig(**TINY["digress"], network="published"), vocabulary, statistics)
    assert isinstance(model.network, PublishedDenoiser)
    assert (model.samplers[0], model.default_steps, model.config.timesteps) == ("even", 500, 500)
    assert model.config.bond_weight == 5
    alphas = SAMPLERS["even"][1](500)
    assert torch.allclose(alphas, cosine_alpha_bar(torch.linspace(1, 0, 501, dtype=torch.float64)))
    own = DiGress(DiGressConfig(**TINY["digress"], network="published", sampling_steps=9), vocabulary, statistics)
    assert own.default_steps == 9
    with pytest.raises(InputError, match="unknown network 'theirs'; choose from own, published"):
        DiGressConfig(network="theirs")


def test_every_weight_is_used(model, dataset):
    """The last layer has no graph's track, whose output the published loss on molecules does not use."""
    batch = dataset.by_size[6].to(torch.int64)
    model.loss(batch, torch.Generator().manual_seed(0)).sum().backward()
    unused = [name for name, entry in model.network.named_parameters() if entry.grad is None or not entry.grad.any()]
    assert [name for name in unused if not name.startswith("targets")] == []


def test_the_published_size_on_qm9(vocabulary):
    """9 layers of 256, 64 and 64: as many weights as in the authors' layer, counted by hand for one of them."""
    d, de, dy = 256, 64, 64
    attention = 4 * d * d + 2 * de * d + 4 * dy * d + d * de + dy * dy + 4 * d * dy + 4 * de * dy + 2 * dy * dy
    feeds = 2 * d * d + 2 * de * 2 * de + 2 * dy * 2 * dy
    block = PublishedBlock(d, de, dy, 8, last=False)
    assert sum(entry.numel() for entry in block.parameters() if entry.ndim == 2) == attention + feeds

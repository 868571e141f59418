"""NVDiff does not see how the atoms are numbered, in symmetric molecules either."""

from dataclasses import replace

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from molgen.data.dataset import group_by_size
from molgen.models.checkpoints import load_checkpoint
from molgen.models.conditions import Condition
from molgen.models.nvdiff.config import NVDiffConfig
from molgen.models.nvdiff.model import NVDiff
from molgen.models.nvdiff.orbitals import canonical_order, orbitals
from molgen.molecules.encoding import GraphDecoder, mol_to_graph
from molgen.molecules.graph import GraphBatch
from molgen.molecules.parsing import clean, parse_smiles
from tests.conftest import TINY


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model(vocabulary, statistics) -> NVDiff:
    torch.manual_seed(0)
    model = NVDiff(NVDiffConfig(**TINY["nvdiff"]), vocabulary, statistics)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


SYMMETRIC = [
    *("c1ccccc1", "C12C3C4C1C5C2C3C45", "CC(C)(C)C", "C1CC1", "C1CCC1", "FC(F)(F)F", "C1CCCCC1", "CC(C)C"),
    *("C1C2CC3CC1CC(C2)C3", "c1ccc2ccccc2c1", "CC(C)(C)C(C)(C)C", "FC(F)(F)C(C(F)(F)F)(C(F)(F)F)C(F)(F)F"),
    *("C1CC2CCC1C2", "C12C3C1C23", "O=C=O", "CC#CC", "C1CC2CCC1CC2", "NC(N)=O"),
]


def symmetric_graphs(vocabulary) -> list[GraphBatch]:
    """One batch of one for each molecule."""
    graphs = []
    for smiles in SYMMETRIC:
        mol = clean(parse_smiles(smiles)).mol
        batches = group_by_size(vocabulary, [mol_to_graph(mol, vocabulary.index)]).by_size
        graphs.append(next(iter(batches.values())).to(torch.int64))
    return graphs


def renumberings(graph: GraphBatch, count: int = 8) -> list[torch.Tensor]:
    source = generator(graph.size)
    return [torch.randperm(graph.size, generator=source) for _ in range(count)]


def renumbered(graph: GraphBatch, count: int = 8) -> GraphBatch:
    """The graph in as many numberings."""
    moved = [graph.permute(numbering) for numbering in renumberings(graph, count)]
    return GraphBatch(torch.cat([one.nodes for one in moved]), torch.cat([one.pairs for one in moved]))


def matched(rows: torch.Tensor, others: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Which of the others [n, k] each row [n, k] is, and the largest difference."""
    order = torch.as_tensor(linear_sum_assignment(torch.cdist(rows, others).numpy())[1])
    return order, float((rows - others[order]).abs().max())


def same_graph(graph: GraphBatch, other: GraphBatch) -> bool:
    return torch.equal(graph.nodes, other.nodes) and torch.equal(graph.pairs, other.pairs)


def test_the_orbitals_of_symmetric_graphs_do_not_depend_on_the_numbering(vocabulary):
    """They are the same rows, and the nodes that have the same ones are those that a symmetry exchanges."""
    for graph in symmetric_graphs(vocabulary):
        moved, rows = renumbered(graph), orbitals(graph)[0]
        for number, others in enumerate(orbitals(moved)):
            order, apart = matched(rows, others)
            assert apart < 1e-5
            assert same_graph(moved[slice(number, number + 1)].permute(order), graph)


def test_the_canonical_order_gives_one_graph(vocabulary):
    for graph in symmetric_graphs(vocabulary):
        moved, canonical = renumbered(graph), graph.permute(canonical_order(graph)[0])
        for number, order in enumerate(canonical_order(moved)):
            assert same_graph(moved[slice(number, number + 1)].permute(order), canonical)


def test_one_graph_is_read_the_same_in_any_batch(vocabulary, dataset):
    batch = dataset.by_size[6].to(torch.int64)
    benzene = symmetric_graphs(vocabulary)[0]
    nodes, pairs = torch.cat([benzene.nodes, batch.nodes]), torch.cat([benzene.pairs, batch.pairs])
    assert torch.equal(orbitals(GraphBatch(nodes, pairs))[0], orbitals(benzene)[0])


@pytest.mark.parametrize("name", ["tiny", "qm9-nvdiff"])
def test_what_is_encoded_does_not_depend_on_the_numbering(model, vocabulary, name):
    """Node means (up to a symmetry of the graph), embedding, and the graph that comes back."""
    shipped = load_checkpoint(name) if name != "tiny" else None
    backend = model if shipped is None else shipped.backend
    graphs = symmetric_graphs(vocabulary if shipped is None else shipped.vocabulary)
    for graph in graphs:
        moved, mean = renumbered(graph), backend.encode(graph)[0]
        means = backend.encode(moved)
        assert all(matched(mean, other)[1] < 0.05 for other in means)  # bfloat16 products
        assert (backend.embed(moved) - backend.embed(graph)).abs().max() < 0.01
        if graph.size <= 9 and shipped is not None:
            assert same_graph(backend.decode(means), moved)


def test_a_path_does_not_depend_on_the_numbering():
    shipped = load_checkpoint("qm9-nvdiff")
    graphs = [mol_to_graph(clean(parse_smiles(text)).mol, shipped.vocabulary.index) for text in ("C1CCC1", "CC(C)C")]
    batch = group_by_size(shipped.vocabulary, graphs).by_size[4].to(torch.int64)
    decoder = GraphDecoder(shipped.vocabulary)
    paths = []
    for numbering in ([0, 1, 2, 3], [2, 0, 3, 1]):
        order = torch.tensor(numbering)
        first, second = batch[:1].permute(order), batch[1:2].permute(order.flip(0))
        path = shipped.backend.interpolate(first, second, 3, steps=20)
        paths.append(
            [
                decoder.decode(nodes.numpy(), pairs.numpy()).smiles
                for nodes, pairs in zip(path.nodes, path.pairs, strict=True)
            ]
        )
    assert paths[0] == paths[1] and paths[0][::2] == ["C1CCC1", "CC(C)C"]


def test_hints_of_a_symmetric_part_do_not_depend_on_the_numbering(model, vocabulary, monkeypatch):
    """The ring of a benzene is known: nodes that it does not tell apart may change places."""
    monkeypatch.setattr("molgen.device.network_dtype", lambda device: torch.float32)
    monkeypatch.setattr("molgen.models.nvdiff.network.network_dtype", lambda device: torch.float32)
    benzene = symmetric_graphs(vocabulary)[0]
    nothing = Condition.nothing(6, 1, 2)
    known = replace(nothing, graph=benzene, known_nodes=~nothing.known_nodes, known_pairs=~nothing.known_pairs)
    rows = model.hints(known).nodes[0].detach()
    for numbering in renumberings(benzene):
        assert matched(rows, model.hints(known.permute(numbering)).nodes[0].detach())[1] < 1e-4

"""EDGE: the network of bonds."""

from types import SimpleNamespace

import pytest
import torch

from molgen.models.conditions import Condition
from molgen.models.digress.config import DiGressConfig
from molgen.models.digress.model import DiGress
from molgen.models.edge.config import EDGEConfig
from molgen.models.edge.model import EDGE
from molgen.models.edge.network import log_shares
from molgen.models.edge.process import Given, NodePart, Partial, bonds_of, unbonded
from molgen.molecules.graph import GraphBatch
from molgen.training.finetune import start_from
from tests.conftest import TINY
from tests.models.edge_graphs import everything_but_targets

PAIRS = {"pair_width": 16, "triangles": 4}


@pytest.fixture(params=[{}, PAIRS], ids=["messages", "pairs"])
def model(request, vocabulary, dataset) -> EDGE:
    torch.manual_seed(0)
    model = EDGE(EDGEConfig(**TINY["edge"], **request.param), vocabulary, dataset.statistics()).eval()
    with torch.no_grad():  # the last layer starts at zero
        for parameter in model.network.pair_out.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def test_shares_of_a_node_sum_to_one():
    first, second = torch.tensor([0, 0, 1]), torch.tensor([1, 2, 2])
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    logits[2] = -torch.inf
    of_first, of_second = log_shares(logits, first, second, 4)
    assert float(of_first[:2].exp().sum()) == pytest.approx(1.0)  # node 0: to 1 and to 2
    assert float(of_second[0].exp().sum()) == pytest.approx(1.0)  # node 1: to 0, as 2 cannot be
    assert (of_second[2] == -torch.inf).all()


@torch.no_grad()
def test_the_network_does_not_depend_on_the_order_of_nodes(model, dataset):
    batch = dataset.by_size[6].to(torch.int64)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(3))
    logits = []
    for graphs, places in ((batch, order), (batch.permute(order), torch.arange(6))):
        first, second, bond = bonds_of(graphs)
        kept = bond == 2  # all but the double bonds are missing, in both
        state = Partial(NodePart.of(graphs), first[kept], second[kept], bond[kept])
        one, other = torch.combinations(places).unbind(1)
        one, other = torch.cat([one, other]), torch.cat([other, one])  # either way round
        one, other = (torch.cat([ends + 6 * graph for graph in range(len(graphs))]) for ends in (one, other))
        logits.append(model.network(state, one, other))
    assert torch.equal(logits[0].isfinite(), logits[1].isfinite())
    assert torch.allclose(logits[0].nan_to_num(neginf=0.0), logits[1].nan_to_num(neginf=0.0), atol=1e-2)


@torch.no_grad()
def test_the_networks_do_not_depend_on_the_order_of_nodes_under_a_condition(model, dataset):
    batch = dataset.by_size[6].to(torch.int64)[[0, 1] * 8]
    condition = everything_but_targets(batch, 1)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(3))
    logits, nodes = [], []
    for graphs, given, places in (
        (batch, condition, order), (batch.permute(order), condition.permute(order), torch.arange(6))
    ):  # fmt: skip
        # of the bonds, the known ones are there
        first, second, bond = bonds_of(graphs)
        kept = given.known_pairs[graphs.pairs > 0]
        state = Partial(NodePart.of(graphs), first[kept], second[kept], bond[kept], Given.of(given, None))
        one, other = torch.combinations(places).unbind(1)
        one, other = (torch.cat([ends + 6 * graph for graph in range(len(graphs))]) for ends in (one, other))
        logits.append(model.network(state, one, other).masked_fill(~unbonded(state, one, other)[:, None], 0.0))
        tokens, known = model.node_part.arranged(NodePart.of(graphs), given)
        nodes.append(model.node_part.log_probability(tokens, None, known))
    assert torch.allclose(logits[0].nan_to_num(neginf=0.0), logits[1].nan_to_num(neginf=0.0), atol=1e-2)
    assert torch.allclose(nodes[0], nodes[1], atol=1e-2)
    free = model.node_part.log_probability(model.node_part.arranged(NodePart.of(batch), None)[0])
    assert not torch.allclose(nodes[0], free, atol=0.1)


@torch.no_grad()
def test_a_network_that_starts_from_a_digress_predicts_as_it_did(dataset, vocabulary, statistics):
    """Told the atoms, the bonds so far, two pairs without a bond, and a target; all else is noise to it."""
    torch.manual_seed(0)
    denoiser = DiGress(DiGressConfig(**TINY["digress"]), vocabulary, statistics).eval()
    for parameter in denoiser.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    model = EDGE(EDGEConfig(**TINY["digress"], node_width=8), vocabulary, statistics).eval()
    assert start_from(model, SimpleNamespace(backend=denoiser, vocabulary=vocabulary, name="first")) == []

    batch = dataset.by_size[6].to(torch.int64)
    kept = batch.pairs * (batch.pairs == 1)
    known = batch.pairs == 1
    known[:, (batch.pairs == 0).all(0).nonzero()[:2, 0]] = True
    condition = Condition(batch, torch.ones_like(batch.nodes, dtype=torch.bool), known, torch.ones(len(batch), 2))
    shown = GraphBatch(batch.nodes, kept)
    classes = denoiser.network(shown, torch.zeros(len(batch)), condition)[1]

    told = model.network.targets(condition.targets).split([model.config.width, model.config.node_width], dim=1)[0]
    state = Partial(NodePart.of(batch), *bonds_of(shown), Given.of(condition, told))
    first, second = torch.triu_indices(6, 6, 1)
    nodes = 6 * torch.arange(len(batch))[:, None]
    orders = model.network.unmasked(state, (first + nodes).flatten(), (second + nodes).flatten())
    assert torch.allclose(orders, classes[..., 1:].flatten(0, 1), atol=2e-2)
    assert orders.std() > 0.3

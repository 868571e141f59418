"""EDGE: loss, likelihood, settings, and models from before there were conditions."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from molgen.errors import InputError
from molgen.models.base import Drawing, Start
from molgen.models.checkpoints import load_checkpoint
from molgen.models.conditions import Condition
from molgen.models.edge.config import EDGEConfig
from molgen.models.edge.degrees import tokens_of
from molgen.models.edge.likelihood import log_arrangements
from molgen.models.edge.model import EDGE
from molgen.models.edge.process import NodePart
from molgen.molecules.graph import GraphBatch
from molgen.training.finetune import start_from
from tests.conftest import TINY
from tests.models.edge_graphs import everything_but_targets


@pytest.fixture
def model(vocabulary, dataset) -> EDGE:
    torch.manual_seed(0)
    return EDGE(EDGEConfig(**TINY["edge"]), vocabulary, dataset.statistics()).eval()


def test_every_training_graph_can_be_reached(model, dataset):
    """The class of every returning bond has a finite -log p, wherever the time stands."""
    for seed in range(5):
        for batch in dataset.by_size.values():
            assert model.loss(batch.to(torch.int64), torch.Generator().manual_seed(seed)).isfinite().all()


def test_the_condition_of_a_graph_does_not_touch_the_others(model, dataset):
    """Of a batch with and without known parts, the loss of the graphs without is that of no condition."""
    batch = dataset.by_size[6].to(torch.int64)[[0, 1] * 4]
    condition = everything_but_targets(batch, 2)
    free = torch.arange(8) % 2 == 0
    condition.known_nodes[free] = False
    condition.known_pairs[free] = False
    losses = [model.loss(batch, torch.Generator().manual_seed(0), told) for told in (None, condition)]
    assert torch.allclose(losses[0][free], losses[1][free], atol=1e-2)
    assert not torch.allclose(losses[0][~free], losses[1][~free], atol=1e-2)


@torch.no_grad()
def test_the_bound_of_a_graph_of_one_bond_is_its_probability(model, vocabulary):
    """Two carbons: one bond, sure to come back, so that only the node part counts."""
    carbon = [str(atom) for atom in vocabulary.atoms].index("C")
    ethane = GraphBatch(torch.full((1, 2), carbon), torch.ones(1, 1, dtype=torch.int64))
    bound = model.likelihood(ethane, draws=8, generator=torch.Generator().manual_seed(0))
    tokens = tokens_of(NodePart.of(ethane))
    assert float(bound.nats) == pytest.approx(-float(model.node_part.log_probability(tokens)), rel=1e-4)


def test_arrangements_are_counted():
    counts = log_arrangements(torch.tensor([[1, 1, 2, 3], [5, 5, 5, 5], [1, 2, 3, 4]])).exp()
    assert counts.tolist() == pytest.approx([12.0, 1.0, 24.0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": 0}, "layers should be at least 1"),
        ({"width": 30}, "multiple of heads"),
        ({"sampler": "unmasked"}, "unknown sampler 'unmasked'; choose from ancestral, revising"),
        ({"process": "published", "pair_width": 8}, "goes with its own network"),
        ({"masks": False, "sampler": "revising"}, "sampler revising goes with the masks"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        EDGEConfig(**settings)


def test_atoms_that_can_make_no_molecule_are_drawn_anew(model, dataset):
    """Of two graphs one that lacks a bond which it needs, to be whole; the node part of the other is its own."""
    whole = dataset.by_size[6].to(torch.int64)[:1]
    torn = GraphBatch(whole.nodes, whole.pairs * 0)
    both = GraphBatch(torch.cat([whole.nodes, torn.nodes]), torch.cat([whole.pairs, torn.pairs]))
    fresh = NodePart(*(torch.full((2, 6), value) for value in (3, 2, 2)))
    again = model._nodes_again(both, fresh)
    assert torch.equal(again.degree[0], NodePart.of(whole).degree[0])
    assert torch.equal(again.atoms[0], whole.nodes[0])
    assert (again.atoms[1] == 3).all() and (again.degree[1] == 2).all() and (again.valence[1] == 2).all()


def test_the_default_sampler_and_its_steps_are_those_of_the_settings(vocabulary, dataset):
    settings = {"sampler": "revising", "sampling_steps": 100}
    model = EDGE(EDGEConfig(**TINY["edge"], **settings), vocabulary, dataset.statistics())
    assert model.samplers == ("revising", "ancestral", "unmasked") and model.default_steps == 100


def test_weights_of_a_model_without_conditions_go_on(vocabulary, dataset, statistics):
    """As `train --init` takes them over: told nothing, the new model is the old one."""
    torch.manual_seed(0)
    old = EDGE(EDGEConfig(**TINY["edge"], known_parts=False), vocabulary, dataset.statistics())
    new = EDGE(EDGEConfig(**TINY["edge"]), vocabulary, statistics)
    first = SimpleNamespace(backend=old, vocabulary=vocabulary, name="old")
    assert start_from(new, first) == []
    batch = dataset.by_size[6].to(torch.int64)
    losses = [model.loss(batch, torch.Generator().manual_seed(0)) for model in (old, new)]
    assert torch.allclose(*losses, atol=1e-2)
    asked = replace(Condition.nothing(6, len(batch), 2), targets=torch.ones(len(batch), 2))
    assert torch.equal(losses[1], new.loss(batch, torch.Generator().manual_seed(0), asked))  # nothing learned yet


def test_a_graph_that_is_drawn_again_keeps_its_atoms_and_valences():
    model = load_checkpoint("qm9-edge").backend
    drawing = Drawing(32, "ancestral", torch.Generator().manual_seed(0), None, None, None, 0.0)
    with torch.no_grad():
        drawn = model._sample(9, 16, drawing)
        again = model._sample(9, 16, drawing._replace(start=Start(drawn, model.again)))
    assert torch.equal(again.nodes, drawn.nodes)
    assert torch.equal(NodePart.of(again).valence, NodePart.of(drawn).valence)
    assert (again.pairs == drawn.pairs).all(1).float().mean() < 0.5


def test_the_shipped_model_is_as_it_was():
    """Nats of oxirane and acetonitrile as the program gave them that measured it."""
    model = load_checkpoint("qm9-edge")
    classes = {str(atom): number for number, atom in enumerate(model.vocabulary.atoms)}
    for atoms, pairs, nats in (("CCO", [1, 1, 1], 6.3576), ("CCN", [1, 0, 3], 6.4047)):
        graph = GraphBatch(torch.tensor([[classes[atom] for atom in atoms]]), torch.tensor([pairs]))
        bound = model.backend.likelihood(graph, draws=16, generator=torch.Generator().manual_seed(0))
        assert float(bound.nats) == pytest.approx(nats, rel=0.02)

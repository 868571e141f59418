"""EDGE: the model of node parts, against all node parts of small graphs."""

import itertools
from dataclasses import replace

import pytest
import torch

from molgen.models.conditions import Condition
from molgen.models.edge.config import EDGEConfig
from molgen.models.edge.degrees import feasible, part_of, tokens_of
from molgen.models.edge.model import EDGE
from molgen.models.edge.node_part_requests import draw_given, sample_requested
from molgen.models.edge.node_part_sampling import draw_tokens, sample_known_node_parts
from molgen.models.edge.process import NodePart
from molgen.molecules.composition import atoms_request, formula_request
from molgen.molecules.encoding import implied_hydrogens
from molgen.molecules.graph import GraphBatch
from tests.conftest import TINY
from tests.models.edge_graphs import small_condition


@pytest.fixture
def model(vocabulary, dataset) -> EDGE:
    torch.manual_seed(0)
    return EDGE(EDGEConfig(**TINY["edge"]), vocabulary, dataset.statistics()).eval()


@torch.no_grad()
def test_the_node_part_model_is_a_distribution(vocabulary, dataset):
    """Over the 2-node multisets of all tokens: probabilities of ordered pairs sum to one."""
    model = EDGE(EDGEConfig(**TINY["edge"]), vocabulary, dataset.statistics()).node_part
    hidden, previous = model.start(1)
    hidden, first = model.step(hidden, previous, 2)
    assert float(first.exp().sum()) == pytest.approx(1.0, abs=1e-4)
    token = torch.tensor([40])
    _, second = model.step(hidden, token, 1)
    assert float(second.exp().sum()) == pytest.approx(1.0, abs=1e-4)
    assert float(second[0, :40].exp().sum()) == 0.0


@torch.no_grad()
def test_node_parts_under_a_condition_have_their_conditional_probability(vocabulary, dataset):
    """Two nodes, one of each of two groups, whose tokens sum to a multiple of 3: against all such pairs."""
    torch.manual_seed(1)
    model = EDGE(EDGEConfig(**TINY["edge"]), vocabulary, dataset.statistics()).node_part
    with torch.no_grad():
        model.out[2].weight.mul_(8)  # far from uniform
    group = torch.full((model.count,), -1)
    group[10:20], group[15:40:5] = 0, 1
    wanted = torch.tensor([1, 1])

    def fits(tokens):
        return tokens.sum(1) % 3 == 0

    pairs = torch.cartesian_prod(torch.arange(model.count), torch.arange(model.count))
    good = (pairs[:, 0] <= pairs[:, 1]) & fits(pairs)
    good &= group[pairs].sort(dim=1).values.eq(torch.tensor([0, 1])).all(1)
    pairs = pairs[good]
    exact = model.log_probability(pairs).softmax(0)
    drawn = tokens_of(draw_given(model, 4000, group, wanted, fits, torch.Generator().manual_seed(0)))
    keys = pairs[:, 0] * model.count + pairs[:, 1]
    found = drawn[:, 0] * model.count + drawn[:, 1]
    assert torch.isin(found, keys).all()
    shares = torch.stack([(found == key).double().mean() for key in keys])
    assert torch.allclose(shares, exact.double(), atol=0.03)
    assert exact.max() > 0.1


def test_a_request_that_nothing_meets_gives_none(vocabulary, dataset):
    model = EDGE(EDGEConfig(**TINY["edge"]), vocabulary, dataset.statistics()).node_part
    group = torch.zeros(model.count, dtype=torch.int64)
    none = draw_given(
        model, 3, group, torch.tensor([2]), lambda tokens: torch.zeros(len(tokens), dtype=torch.bool), None
    )
    assert none is None


def test_a_request_decides_the_node_part(model, vocabulary):
    sizes = (0, 1, 1, 1, 1, 1, 1, 1, 1)
    formula = formula_request("C5H9NO", vocabulary, sizes)
    part = sample_requested(model.node_part, vocabulary, formula, 200, torch.Generator().manual_seed(0))
    for atoms, degrees, valences in zip(part.atoms, part.degree, part.valence, strict=True):
        classes = [vocabulary.atoms[number] for number in atoms.tolist()]
        assert sorted(atom.element for atom in classes) == list(formula.elements)
        assert sum(atom.charge for atom in classes) == 0
        hydrogens = [implied_hydrogens(atom, valence) for atom, valence in zip(classes, valences.tolist(), strict=True)]
        assert None not in hydrogens and sum(hydrogens) == 9
        assert degrees.sum() % 2 == 0 and degrees.sum() >= 12
    ring = atoms_request("C2 C2 C2 C3 O1", vocabulary, sizes)
    part = sample_requested(model.node_part, vocabulary, ring, 50, torch.Generator().manual_seed(0))
    for atoms, degrees in zip(part.atoms, part.degree, strict=True):
        got = [(vocabulary.atoms[atom].element, degree) for atom, degree in zip(atoms, degrees.tolist(), strict=True)]
        assert sorted(got) == list(zip(ring.elements, ring.degrees, strict=True))


# three nodes, pairs 01 02 12, and which groups of nodes look alike
BRUTE = {
    "a known bond and a closed pair": (small_condition([0, 0, None], [1, 0, None]), ()),
    "atoms alone": (small_condition([0, 0, 2], [None] * 3), ((0, 1),)),
    "an unknown rest": (small_condition([2, None, None], [None] * 3), ((1, 2),)),
    "a bond of an unknown atom": (small_condition([None, 1, None], [2, None, None]), ()),
}


@pytest.mark.parametrize("case", list(BRUTE))
@torch.no_grad()
def test_the_node_part_under_what_is_known_against_all_node_parts(case, vocabulary, dataset):
    """Every token of every node in turn: probabilities sum to one, and those of feasible parts are how often they come.

    The feasible ones are at least those of all graphs of three nodes.
    """
    torch.manual_seed(1)
    model = EDGE(EDGEConfig(**TINY["edge"]), vocabulary, dataset.statistics()).node_part
    model.out[2].weight.mul_(20)  # far from uniform
    one, alike = BRUTE[case]
    every_token = part_of(torch.arange(model.count))
    graph, bonds = one.graph, one.graph.pairs.masked_fill(~one.known_pairs, 0)[0]
    ends = bonds[torch.tensor([[0, 1], [0, 2], [1, 2]])]  # of each node
    choices = []
    for node in range(3):
        degrees, valences = (ends[node] > 0).sum(), ends[node].sum()
        atoms, left, rest = every_token.atoms, every_token.degree - degrees, every_token.valence - valences
        fine = (left >= 0) & (left <= 2) & (rest >= left) & (rest <= 3 * left)
        fine &= (atoms == graph.nodes[0, node]) | ~one.known_nodes[0, node]
        choices.append(fine.nonzero()[:, 0].tolist())
    tokens = torch.tensor(list(itertools.product(*choices)))
    every = part_of(tokens)
    condition = one[torch.zeros(len(tokens), dtype=torch.int64)]
    arranged, known = model.arranged(every, condition)
    log_p = model.log_probability(arranged, None, known)
    for first, second in alike:  # both orders have the same arranged tokens
        log_p -= torch.where(tokens[:, first] == tokens[:, second], 0.0, torch.tensor(2.0).log())
    assert float(log_p.exp().sum()) == pytest.approx(1.0, abs=2e-2)

    fine = feasible(every, condition)
    pairs = torch.cartesian_prod(*[torch.arange(4)] * 3)
    pairs = pairs[(pairs > 0).sum(1) >= 2]
    pairs = pairs[((pairs == graph.pairs) | ~one.known_pairs).all(1)]
    nodes = torch.where(one.known_nodes, graph.nodes, 3).expand(len(pairs), -1)
    real = tokens_of(NodePart.of(GraphBatch(nodes, pairs)))
    number = torch.tensor([model.count**2, model.count, 1])
    keys = tokens @ number
    assert torch.isin(real @ number, keys[fine]).all()

    keys, exact = keys[fine], log_p[fine].double().softmax(0)
    count = 10_000
    drawn = sample_known_node_parts(model, one[torch.zeros(count, dtype=torch.int64)], torch.Generator().manual_seed(0))
    found = tokens_of(drawn) @ number
    assert torch.isin(found, keys).all()
    shares = torch.bincount(torch.searchsorted(keys, found), minlength=len(keys)) / count
    assert ((shares - exact).abs() <= 5 * (exact * (1 - exact) / count).sqrt() + 1e-3).all()
    # and each node by itself, so that many rare parts together count as well
    for node in range(3):
        exact_node = torch.zeros(model.count, dtype=torch.float64).index_add(0, tokens[fine][:, node], exact)
        share = torch.bincount(tokens_of(drawn)[:, node], minlength=model.count) / count
        # a little more than the sampling error: products in bfloat16 depend on the batch
        assert ((share - exact_node).abs() <= 5 * (exact_node * (1 - exact_node) / count).sqrt() + 3e-3).all()
    assert exact.max() > 0.02


@torch.no_grad()
def test_guidance_moves_away_from_what_is_likely_anyway(vocabulary, statistics):
    """One node: its token has the probabilities p(x | told) (p(x | told) / p(x))^w."""
    torch.manual_seed(0)
    model = EDGE(EDGEConfig(**TINY["edge"]), vocabulary, statistics)
    for parameter in model.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    count, weight = 20_000, 2.0
    nothing = Condition.nothing(1, count, 2)
    told = model._encoded(replace(nothing, targets=torch.full((count, 2), 1.5)))[1]
    log_p = []
    for vector in (told[:1], None):
        hidden, previous = model.node_part.start(1)
        log_p.append(model.node_part.step(hidden, previous, 1, vector)[1][0].double())
    exact = (log_p[0] + weight * (log_p[0] - log_p[1])).softmax(0)
    # sample_node_parts also leaves out what cannot be one molecule, so the tokens as they are drawn
    tokens = draw_tokens(model.node_part, count, 1, torch.Generator().manual_seed(0), told, None, weight)
    shares = torch.bincount(tokens[:, 0], minlength=len(exact)) / count
    assert ((shares - exact).abs() <= 5 * (exact * (1 - exact) / count).sqrt() + 2e-3).all()
    assert (exact - log_p[0].exp()).abs().max() > 0.02


@pytest.mark.parametrize("case", ["nothing", *BRUTE])
@torch.no_grad()
def test_tokens_in_one_go_are_as_likely_as_one_by_one(case, model, monkeypatch):
    """Here with targets, and graphs of which nothing is known beside those of which something is."""
    monkeypatch.setattr("molgen.device.network_dtype", lambda device: torch.float32)
    count, width = 20, model.node_part.token.weight.shape[1]
    told = torch.randn(count, width, generator=torch.Generator().manual_seed(0))
    condition = None
    if case == "nothing":
        drawn = part_of(draw_tokens(model.node_part, count, 3, torch.Generator().manual_seed(0), None, None, 0.0))
    else:
        condition = BRUTE[case][0][torch.zeros(count, dtype=torch.int64)]
        unknown = torch.arange(count) % 2 == 0
        for known in (condition.known_nodes, condition.known_pairs):
            known[unknown] = False
        drawn = sample_known_node_parts(model.node_part, condition, torch.Generator().manual_seed(0))
    tokens, known = model.node_part.arranged(drawn, condition)
    hidden, previous = model.node_part.start(count, told, known)
    one_by_one = torch.zeros(count)
    for place in range(3):
        hidden, log_p = model.node_part.step(hidden, previous, 3 - place, told, known)
        previous = tokens[:, place]
        one_by_one += log_p.gather(1, previous[:, None])[:, 0]
    found = model.node_part.log_probability(tokens, told, known)
    assert found.tolist() == pytest.approx(one_by_one.tolist(), abs=1e-4)

import pytest
import torch
from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold

from molgen.data.dataset import group_by_size
from molgen.models.conditions import HYDROGENS, Condition, _pruned, draw_condition
from molgen.molecules.encoding import mol_to_graph
from molgen.molecules.graph import GraphBatch, pair_indices, to_square
from molgen.molecules.parsing import clean, parse_smiles

COUNT = 4_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def batch(vocabulary) -> GraphBatch:
    """Many copies of ibuprofen-like C13 O2, which has a ring, branches and a double bond outside the ring."""
    graph = mol_to_graph(clean(parse_smiles("CC(C)Cc1ccc(C(C)C(=O)O)cc1")).mol, vocabulary.index)
    return group_by_size(vocabulary, iter([graph])).by_size[15].to(torch.int64)[[0] * COUNT]


@pytest.fixture(scope="module")
def condition(batch) -> Condition:
    targets = torch.tensor([[18.0, 3.1]]).expand(COUNT, -1)
    return draw_condition(batch, targets, (HYDROGENS, "logp"), known_share=0.5, target_share=0.6, generator=generator())


def test_the_shares_are_those_asked_for(condition):
    known = condition.known_nodes.any(1).float().mean()
    asked = condition.targets.isfinite().any(1)
    assert abs(known - 0.5) < 0.04
    # each of two properties is asked for with a chance u, so that one graph in three of those asked gets neither
    formulas = condition.known_nodes.all(1) & ~condition.known_pairs.any(1)
    assert abs(asked[~formulas].float().mean() - 0.6 * 2 / 3) < 0.04
    assert abs(formulas.float().mean() - 0.5 * 0.15) < 0.02
    assert condition.targets[formulas, 0].isfinite().float().mean() > 0.7


def test_what_is_known_is_true(batch, condition):
    assert condition.held_by(batch).all()
    noise = GraphBatch(torch.zeros_like(batch.nodes), torch.zeros_like(batch.pairs))
    held = condition.hold(noise)
    assert condition.held_by(held).all()
    assert torch.equal(held.nodes[~condition.known_nodes], noise.nodes[~condition.known_nodes])


def test_a_known_pair_belongs_to_a_known_atom_and_is_empty_where_the_other_is_not(batch, condition):
    first, second = pair_indices(batch.size)
    ends = condition.known_nodes[:, first].long() + condition.known_nodes[:, second].long()
    assert (ends[condition.known_pairs] > 0).all()
    assert (batch.pairs[condition.known_pairs & (ends == 1)] == 0).all()


def test_some_atoms_are_closed_and_some_are_not(batch, condition):
    unknown = ~to_square(condition.known_pairs, batch.size) & ~torch.eye(batch.size).bool()
    partly = condition.known_nodes.any(1) & ~condition.known_nodes.all(1)
    closed = condition.known_nodes & ~unknown.any(-1)
    assert 0.2 < closed[partly].float().sum() / condition.known_nodes[partly].float().sum() < 0.8


def test_pruning_to_the_end_leaves_the_scaffold(vocabulary):
    for smiles in ("CC(C)Cc1ccc(C(C)C(=O)O)cc1", "CC(=O)Nc1ccc(O)cc1", "O=C1CCCN1CCc1ccccc1", "CCCO"):
        mol = clean(parse_smiles(smiles)).mol
        graph = group_by_size(vocabulary, iter([mol_to_graph(mol, vocabulary.index)])).by_size[mol.GetNumAtoms()]
        orders = to_square(graph.pairs.long(), graph.size)
        left = _pruned(orders, torch.tensor([99.0]), double=torch.tensor([True]))[0]
        scaffold = MurckoScaffold.GetScaffoldForMol(Chem.MolFromSmiles(smiles))
        assert int(left.sum()) == scaffold.GetNumAtoms()


def test_permuting_moves_the_graph_and_what_is_known_alike(batch, condition):
    order = torch.randperm(batch.size, generator=generator())
    moved = condition.permute(order)
    assert moved.held_by(batch.permute(order)).all()
    assert torch.equal(moved.known_nodes.sum(1), condition.known_nodes.sum(1))
    assert torch.equal(moved.known_pairs.sum(1), condition.known_pairs.sum(1))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_small_graphs(size):
    pairs = torch.ones(200, size * (size - 1) // 2, dtype=torch.int64)
    graphs = GraphBatch(torch.zeros(200, size, dtype=torch.int64), pairs)
    condition = draw_condition(
        graphs, torch.zeros(200, 0), (), known_share=1.0, target_share=1.0, generator=generator()
    )
    assert condition.held_by(graphs).all()

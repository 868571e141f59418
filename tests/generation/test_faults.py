import numpy as np
import torch
from rdkit import Chem

from molgen.generation.faults import INVALID, Familiar, Faults
from molgen.models.conditions import Condition
from molgen.models.drafts import Drafts
from molgen.molecules.encoding import mol_to_graph
from molgen.molecules.graph import GraphBatch
from molgen.molecules.hashing import smiles_hashes
from molgen.molecules.parsing import clean, parse_smiles
from molgen.molecules.substructures import ring_systems, surroundings


def graph_of(smiles, vocabulary) -> GraphBatch:
    """Of any SMILES, also in several pieces."""
    mol = Chem.MolFromSmiles(smiles)
    Chem.Kekulize(mol, clearAromaticFlags=True)
    nodes, pairs = mol_to_graph(mol, vocabulary.index)
    return GraphBatch(torch.from_numpy(nodes)[None].long(), torch.from_numpy(pairs)[None].long())


def key(nodes, pairs) -> tuple[int, ...]:
    return tuple(torch.cat([nodes, pairs]).tolist())


def faults_of(smiles, vocabulary, rings=None, surroundings=None) -> int:
    return int(Faults(vocabulary, Familiar(rings, surroundings))(graph_of(smiles, vocabulary))[0])


def test_a_molecule_has_no_faults_and_each_further_piece_is_one(vocabulary):
    assert faults_of("CC(=O)Oc1ccccc1", vocabulary) == 0
    assert faults_of("CC.CC", vocabulary) == INVALID
    assert faults_of("C.C.CO", vocabulary) == 2 * INVALID


def test_each_bond_order_that_is_too_much_for_an_atom_is_a_fault(vocabulary):
    ether = graph_of("COC", vocabulary)
    five = GraphBatch(ether.nodes, torch.tensor([[3, 0, 2]]))  # C#O=C: oxygen has five bonds, three too many
    both = GraphBatch(ether.nodes.repeat(2, 1), torch.cat([five.pairs, ether.pairs]))
    assert Faults(vocabulary, Familiar())(both).tolist() == [3 * INVALID, 0]


def test_ring_systems_that_are_not_known_count_once_a_graph_is_a_molecule(vocabulary):
    known = np.sort(smiles_hashes(ring_systems(Chem.MolFromSmiles("c1ccccc1"))))
    assert faults_of("Cc1ccccc1", vocabulary, known) == 0
    assert faults_of("CC1CC1", vocabulary, known) == 1
    assert faults_of("C1CC1CC1CCC1", vocabulary, known) == 2
    assert faults_of("C1CC1.C", vocabulary, known) == INVALID  # its ring is not looked at


def test_each_atom_with_unfamiliar_surroundings_counts_but_not_those_that_are_given(vocabulary):
    seen = [text for smiles in ("CCO", "CCCC") for text in surroundings(Chem.MolFromSmiles(smiles))]
    known = np.unique(smiles_hashes(seen))
    assert faults_of("CCCO", vocabulary, surroundings=known) == 1  # no CH2 was between CH2 and OH
    assert faults_of("CCO", vocabulary, surroundings=known) == 0
    judge, graph = Faults(vocabulary, Familiar(None, known)), graph_of("CCCO", vocabulary)
    only = [torch.arange(4)[None] == atom for atom in range(4)]
    assert sorted(int(judge(graph, given)[0]) for given in only) == [0, 1, 1, 1]


def test_the_first_draft_without_a_fault_is_taken_and_only_the_others_are_drawn_again(vocabulary):
    answers = {"CC.C": 10, "C=C.O": 10, "CCO": 0, "CCN": 3, "CC#N": 1, "COC": 2}
    graphs = {text: graph_of(text, vocabulary) for text in answers}
    worth = {key(graph.nodes[0], graph.pairs[0]): answers[text] for text, graph in graphs.items()}
    rounds = [["CC.C", "CCO", "CCN"], ["CC#N", "COC"], ["COC", "CC.C"]]
    asked: list[list[int]] = []
    given: list[list[int]] = []

    def draw(best, rows):
        if best is not None:
            given.append(faults(best).tolist())
        asked.append(rows.tolist())
        drawn = [graphs[text] for text in rounds[len(asked) - 1]]
        return GraphBatch(torch.cat([each.nodes for each in drawn]), torch.cat([each.pairs for each in drawn]))

    def faults(batch, _=None):
        return torch.tensor([worth[key(*graph)] for graph in zip(batch.nodes, batch.pairs, strict=True)])

    best = Drafts(3, faults).best(draw(None, torch.arange(3)), draw)
    assert asked == [[0, 1, 2], [0, 2], [0, 2]]
    assert given == [[10, 0, 3], [1, 0, 2]]  # CC.C, CCO and CCN, then the better ones CC#N and COC
    assert faults(best).tolist() == [1, 0, 2]  # CC#N, CCO, and COC, not the worse ones that came later


def test_a_graph_that_lacks_what_is_known_is_drawn_again(vocabulary):
    alcohol, amine = graph_of("CCO", vocabulary), graph_of("CCN", vocabulary)
    both = GraphBatch(alcohol.nodes.repeat(2, 1), alcohol.pairs.repeat(2, 1))
    nodes = torch.cat([alcohol.nodes, amine.nodes])
    known = Condition(GraphBatch(nodes, both.pairs), nodes == nodes, both.pairs < 0, torch.zeros(2, 0))
    asked: list[list[int]] = []

    def draw(best, rows):
        asked.append(rows.tolist())
        return amine

    best = Drafts(3, Faults(vocabulary, Familiar())).best(both, draw, known)
    assert asked == [[1]]
    assert torch.equal(best.nodes, nodes)


def test_clean_molecules_of_a_set_have_no_faults(vocabulary):
    for text in ("C[NH3+]", "O=C[O-]", "c1cc[nH]c1", "C#N", "OC1CC2CC12"):
        assert faults_of(clean(parse_smiles(text)).smiles, vocabulary) == 0

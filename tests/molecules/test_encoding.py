import numpy as np
import pytest
from rdkit import Chem

from molgen.molecules.encoding import GraphDecoder, atom_classes, mol_to_graph
from molgen.molecules.graph import pair_indices
from molgen.molecules.parsing import Rejected, clean, parse_smiles
from molgen.molecules.vocabulary import AtomClass, Vocabulary

VOCABULARY = Vocabulary(
    tuple(AtomClass(e, c) for e, c in [("C", 0), ("O", 0), ("N", 0), ("F", 0), ("N", 1), ("O", -1), ("S", 0)])
)
DECODER = GraphDecoder(VOCABULARY)


def graph(smiles: str) -> tuple[np.ndarray, np.ndarray]:
    return mol_to_graph(clean(parse_smiles(smiles)).mol, VOCABULARY.index)


def test_ethanol_is_the_known_graph():
    nodes, pairs = graph("CCO")
    assert nodes.tolist() == [0, 0, 1]
    assert pairs.tolist() == [1, 0, 1]  # (0,1) single, (0,2) none, (1,2) single
    assert nodes.dtype == pairs.dtype == np.uint8


def test_hydrogen_cyanide_has_a_triple_bond():
    nodes, pairs = graph("C#N")
    assert nodes.tolist() == [0, 2]
    assert pairs.tolist() == [3]


def test_benzene_is_kekulized():
    _, pairs = graph("c1ccccc1")
    assert sorted(pairs[pairs > 0].tolist()) == [1, 1, 1, 2, 2, 2]


def test_pairs_are_in_the_order_of_the_tensors():
    """As `pair_indices` has them, in both directions."""
    bonds = DECODER.to_mol(np.zeros(5, np.uint8), np.ones(10, np.uint8)).GetBonds()
    first, second = pair_indices(5)
    assert [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds] == [
        *zip(first.tolist(), second.tolist(), strict=True)
    ]
    for position in range(10):
        pairs = np.zeros(10, np.uint8)
        pairs[position] = 1
        assert np.array_equal(mol_to_graph(DECODER.to_mol(np.zeros(5, np.uint8), pairs), VOCABULARY.index)[1], pairs)


@pytest.mark.parametrize(
    "smiles",
    [
        "C",
        "c1ccccc1",
        "c1cc[nH]c1",
        "Cn1cnc2c1c(=O)n(C)c(=O)n2C",  # caffeine
        "c1ccc2ccccc2c1",
        "c1ccc2cccc-2cc1",  # azulene: aromatic over two fused odd rings
        "O=[N+]([O-])c1ccccc1",
        "[O-][n+]1ccccc1",
        "C[N+](C)(C)CC(=O)[O-]",
        "Cc1ccc(cc1)S(N)(=O)=O",
        "O=c1cc[nH]cc1",
        "C1CC2CCC1C2",
        "N#CC#N",
    ],
)
def test_smiles_come_back_from_their_graph(smiles):
    cleaned = clean(parse_smiles(smiles))
    assert DECODER.decode(*mol_to_graph(cleaned.mol, VOCABULARY.index)) == (Chem.CanonSmiles(smiles), "")


def test_the_order_of_atoms_changes_the_graph_and_not_the_smiles():
    first, second = graph("OCC(=O)N"), graph("NC(=O)CO")
    assert first[0].tolist() != second[0].tolist()
    assert DECODER.decode(*first) == DECODER.decode(*second)


@pytest.mark.parametrize(
    ("smiles", "reason"), [("CBr", "atom type Br outside the vocabulary"), ("C$C", "bond type quadruple")]
)
def test_a_graph_has_only_known_classes(smiles, reason):
    with pytest.raises(Rejected, match=reason):
        graph(smiles)


def test_atom_classes_tell_charges_apart():
    assert atom_classes(parse_smiles("C[N+](=O)[O-]")) == [("C", 0), ("N", 1), ("O", 0), ("O", -1)]


@pytest.mark.parametrize(
    ("nodes", "pairs", "smiles", "reason"),
    [
        ([0, 0, 1], [1, 0, 1], "CCO", ""),
        ([0, 0], [0], "C.C", "several fragments"),
        ([3, 3], [2], "", "valence of F exceeded"),
        ([1, 1, 1], [2, 0, 2], "", "valence of O exceeded"),
        ([4, 0], [1], "C[NH3+]", ""),
    ],
)
def test_a_generated_graph_gets_a_verdict(nodes, pairs, smiles, reason):
    decoded = DECODER.decode(np.array(nodes), np.array(pairs))
    assert (decoded.smiles, decoded.reason) == (smiles, reason)
    assert decoded.sanitised is (smiles != "")
    assert decoded.valid is (reason == "")

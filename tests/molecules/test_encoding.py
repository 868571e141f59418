import numpy as np
import pytest
from rdkit import Chem

from molgen.molecules.encoding import GraphDecoder, atom_classes, mol_to_graph
from molgen.molecules.parsing import Rejected, clean, parse_block, parse_smiles
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
    ("smiles", "reason"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("CCO ethanol", "white space inside the SMILES"),
        ("CCO\nCCN", "white space inside the SMILES"),
        ("C1CC", "unparsable"),
        ("not a", "white space inside the SMILES"),
        ("C" * 20_000, "SMILES longer than 2000 characters"),
        ("C" * 251, "more than 250 heavy atoms"),
        ("C(C)(C)(C)(C)C", "valence of C exceeded"),
        ("F(F)F", "valence of F exceeded"),
        ("c1cccc1", "cannot be kekulized"),
    ],
)
def test_parsing_rejects_with_a_reason(smiles, reason):
    with pytest.raises(Rejected, match=f"^{reason}$"):
        parse_smiles(smiles)


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("C.C", "several fragments"),
        ("[Na+].CC(=O)[O-]", "several fragments"),
        ("[CH3]", "radical"),
        ("[C+15]", "radical"),
        ("[*]C", "dummy atom"),
        ("[H][H]", "hydrogen without a heavy neighbour"),
        ("[H+]", "hydrogen without a heavy neighbour"),
    ],
)
def test_cleaning_rejects_what_parses_but_is_of_no_use(smiles, reason):
    with pytest.raises(Rejected, match=f"^{reason}$"):
        clean(parse_smiles(smiles))


@pytest.mark.parametrize(
    ("smiles", "reason"), [("CBr", "atom type Br outside the vocabulary"), ("C$C", "bond type quadruple")]
)
def test_a_graph_has_only_known_classes(smiles, reason):
    with pytest.raises(Rejected, match=reason):
        graph(smiles)


@pytest.mark.parametrize(
    ("smiles", "clean_smiles", "stereo", "isotopes"),
    [
        ("CCO", "CCO", False, False),
        ("C[C@H](F)Cl", "CC(F)Cl", True, False),
        ("F/C=C/F", "FC=CF", True, False),
        ("C[C@H](C)Cl", "CC(C)Cl", False, False),  # a mark where there is no stereo centre says nothing
        ("C/C=C", "C=CC", False, False),
        ("[13CH4]", "C", False, True),
        ("[2H]C", "C", False, True),
        ("[2H][C@](F)(C)O", "CC(O)F", True, True),
        ("[CH3:1]O", "CO", False, False),  # an atom map is a label, no chemistry is lost
        ("[H]C([H])([H])[H]", "C", False, False),
    ],
)
def test_what_is_dropped_is_said(smiles, clean_smiles, stereo, isotopes):
    cleaned = clean(parse_smiles(smiles))
    assert cleaned[1:] == (clean_smiles, stereo, isotopes, False)


def test_the_largest_fragment_is_kept_when_asked():
    cleaned = clean(parse_smiles("[Na+].CC(=O)[O-]"), keep_largest=True)
    assert (cleaned.smiles, cleaned.fragments_dropped) == ("CC(=O)[O-]", True)
    assert clean(parse_smiles("CCO"), keep_largest=True).fragments_dropped is False


def test_of_equal_fragments_the_choice_does_not_depend_on_their_order():
    assert clean(parse_smiles("CCO.CCN"), True).smiles == clean(parse_smiles("CCN.CCO"), True).smiles == "CCN"


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


def test_a_mol_block_is_read_with_its_stereo():
    mol = Chem.AddHs(Chem.MolFromSmiles("C[C@H](F)Cl"))
    cleaned = clean(parse_block(Chem.MolToMolBlock(mol)))
    assert (cleaned.smiles, cleaned.stereo_dropped) == ("CC(F)Cl", True)


@pytest.mark.parametrize("text", ["", "\n\n", "hello\nworld\n", "x\n\n\n 99 99 garbage\nM  END\n"])
def test_a_broken_mol_block_is_rejected(text):
    with pytest.raises(Rejected):
        parse_block(text)


def test_a_large_mol_block_is_rejected_before_sanitising():
    block = Chem.MolToMolBlock(Chem.MolFromSmiles("C" * 300))
    with pytest.raises(Rejected, match="more than 250 heavy atoms"):
        parse_block(block)

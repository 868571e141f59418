"""Parts of known molecules: those searched for, scaffolds and ring systems."""

import pytest
from rdkit import Chem

from molgen.errors import InputError
from molgen.molecules.substructures import (
    ACYCLIC,
    has_large_ring,
    has_part,
    has_scaffold,
    part_atoms,
    parts,
    ring_systems,
    scaffold,
)

KNOWN = {
    "CCO": [],
    "c1ccccc1": ["c1ccccc1"],
    "c1ccc2ccccc2c1": ["c1ccc2ccccc2c1"],  # naphthalene: fused
    "c1ccc(-c2ccccc2)cc1": ["c1ccccc1", "c1ccccc1"],  # biphenyl: two
    "c1ccccc1C1CC1": ["C1CC1", "c1ccccc1"],
    "C1CCC2(CC1)CC2": ["C1CCC2(CC1)CC2"],  # spiro
    "CC1CC2CCC1C2": ["C1CC2CCC1C2"],  # bridged: methylnorbornane
    "c1ccc2c(c1)Cc1ccccc1-2": ["c1ccc2c(c1)Cc1ccccc1-2"],  # fluorene, with a single bond between aromatic atoms
    # what a double bond ties to a ring belongs to it
    "CC1CCCCC1": ["C1CCCCC1"],
    "CC1CCCCC1=O": ["O=C1CCCCC1"],
    "O=C1CCCN1C": ["O=C1CCCN1"],
    "O=S1(=O)CCCC1": ["O=S1(=O)CCCC1"],
    "C1CC(=C2CCC2)C1": ["C=C1CCC1", "C=C1CCC1"],
    # charges are taken off
    "C1CC[NH2+]CC1": ["C1CCNCC1"],
    "C[N+]1(C)CCCCC1": ["C1CCNCC1"],
    "CN1CCCCC1": ["C1CCNCC1"],
    "C[n+]1ccccc1": ["c1ccncc1"],
    "[O-][n+]1ccccc1": ["c1ccncc1"],
    "c1nnn[n-]1": ["c1nnn[nH]1"],
    "CN(C)C1=[N+](C)CCC1": ["C1=NCCC1"],
    # no molecule, yet a name
    "C1CC[N+]2(C1)CCCC2": ["C1CCN2(C1)CCCC2"],
    "c1cc[o+]cc1": ["c1ccocc1"],
    # a hydrogen or a substituent, it is the same
    "c1cc[nH]c1": ["c1cc[nH]c1"],
    "Cn1cccc1": ["c1cc[nH]c1"],
    "Cn1ncc2ccccc21": ["c1ccc2[nH]ncc2c1"],  # 1H-indazole and 2H-indazole are not
    "Cn1cc2ccccc2n1": ["c1ccc2n[nH]cc2c1"],
    "C[Si]1(C)CCCC1": ["C1CC[Si]C1"],
    "C[SiH]1CCCC1": ["C1CC[Si]C1"],
    # neither stereo nor isotopes
    "C[C@H]1CC[C@@H](C)O1": ["C1CCOC1"],
    "[13CH2]1CC1": ["C1CC1"],
}


@pytest.mark.parametrize(("smiles", "expected"), KNOWN.items())
def test_ring_systems(smiles, expected):
    assert ring_systems(Chem.MolFromSmiles(smiles)) == expected


@pytest.mark.parametrize("smiles", KNOWN)
def test_ring_systems_do_not_depend_on_the_order_of_atoms(smiles):
    for text in Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 5, randomSeed=1):
        assert ring_systems(Chem.MolFromSmiles(text)) == KNOWN[smiles]


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("CCO", False),
        ("C1CCCCCC1", False),
        ("C1CCCCCCC1", True),
        ("O=C1CCCCCCCCCCCCCCO1", True),  # a macrocycle
        ("c1ccc2cc3ccccc3cc2c1", False),  # anthracene: 14 atoms around, in rings of 6
    ],
)
def test_large_rings(smiles, expected):
    assert has_large_ring(Chem.MolFromSmiles(smiles)) == expected


def test_parts_are_the_surroundings_of_each_atom_and_the_ring_systems():
    assert parts(Chem.MolFromSmiles("CC")) == ["CH3D1(-CH3D1)", "CH3D1(-CH3D1)"]
    assert parts(Chem.MolFromSmiles("C1CC1"))[-1] == "C1CC1"


def test_parts_are_found():
    molecules = ["CCO", "c1ccccc1O", "CCN"]
    assert has_part(molecules, "[OX2H]").tolist() == [True, True, False]
    assert has_part(molecules, "C").tolist() == [True, False, True]  # SMARTS: aliphatic
    assert has_part(molecules, "C1=CC=CC=C1", drawn=True).tolist() == [False, True, False]
    for wrong in ("", "[[", "C" * 1_000):
        with pytest.raises(InputError, match="SMARTS"):
            has_part(molecules, wrong)
    with pytest.raises(InputError, match="structure"):
        has_part(molecules, "C(", drawn=True)


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [("CCO", ""), ("CC(=O)Oc1ccccc1C(=O)O", "c1ccccc1"), ("O=C(NCc1ccccc1)C1CC1", "O=C(NCc1ccccc1)C1CC1")],
)
def test_scaffolds(smiles, expected):
    assert scaffold(Chem.MolFromSmiles(smiles)) == expected


# what the atoms of a part can be asked for: hydrogens, rings, bonds, charges, hybridisation, stereo, aromaticity
PARTS = ["[NX3;H2]", "[r5]", "[R2]", "[x3]", "[+1]", "[v6]", "[^2]", "[CX4^3]", "[C@H](N)C", "[C;!R]", "[CD3]", "*@*"]


@pytest.mark.parametrize("part", [*PARTS, "a:a", "[#6]=!@[#8]", "[$([NX3][CX3]=O)]", "[h1]", "C~N", "[OX2H]", "[2H]"])
def test_parts_are_those_that_a_molecule_itself_has(part):
    molecules = [Chem.CanonSmiles(smiles) for smiles in [*KNOWN, "N[C@@H](C)C(=O)O", "CS(C)(=O)=O", "[2H]C", "NCC"]]
    query = Chem.MolFromSmarts(part)
    expected = [Chem.MolFromSmiles(smiles).HasSubstructMatch(query) for smiles in molecules]
    assert any(expected)
    assert has_part(molecules, part).tolist() == expected


def test_the_atoms_of_a_part_are_found_wherever_it_is():
    assert part_atoms("OCCO", "[OX2H]") == (0, 3)
    assert part_atoms("CC(=O)NC", "C(=O)N", drawn=True) == (1, 2, 3)
    assert part_atoms("CCC", "[#7]") == ()
    with pytest.raises(InputError, match="not SMARTS"):
        part_atoms("CCC", "[[")


def test_scaffolds_are_found_however_they_are_written():
    scaffolds = ["c1ccccc1", "", "C1CCCCC1", "c1ccccc1", "not read by RDKit"]
    assert has_scaffold(scaffolds, "C1=CC=CC=C1").tolist() == [True, False, False, True, False]
    assert has_scaffold(scaffolds, ACYCLIC).tolist() == [False, True, False, False, False]
    assert has_scaffold(scaffolds, "not read by RDKit").tolist() == [False, False, False, False, True]
    assert not has_scaffold(scaffolds, "C1CC1").any()
    with pytest.raises(InputError, match="not the SMILES of a scaffold"):
        has_scaffold(scaffolds, "C1CC")

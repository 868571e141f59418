"""The parents of known molecules, and what is said of the way there."""

import pytest
from rdkit import Chem

from molgen.molecules.parsing import Rejected, parse_smiles
from molgen.molecules.standardise import (
    CHANGES,
    CHARGES,
    FRAGMENTS,
    ISOTOPES,
    METALS,
    clean_standardised,
    standardise,
)

# what is written, its parent, what was changed
PARENTS = [
    ("CC(=O)[O-].[Na+]", "CC(=O)O", (FRAGMENTS, CHARGES)),  # sodium acetate
    ("CC(=O)O[Na]", "CC(=O)O", (METALS, FRAGMENTS, CHARGES)),  # the same with a bond
    ("CC(=O)[O-].CC(=O)[O-].[Cu+2].O", "CC(=O)O", (FRAGMENTS, CHARGES)),  # its hydrate of copper
    ("Cl[Pt]1(Cl)NCCN1", "NCCN", (METALS, FRAGMENTS, CHARGES)),  # a complex
    ("CC[Zn]CC", "CC", (METALS, FRAGMENTS, CHARGES)),
    ("CCN(CC)CCOC(=O)c1ccc(N)cc1.Cl", "CCN(CC)CCOC(=O)c1ccc(N)cc1", (FRAGMENTS,)),  # procaine hydrochloride
    ("CCN(CC)CC[NH3+].[Cl-]", "CCN(CC)CCN", (FRAGMENTS, CHARGES)),
    ("[13CH3]CO", "CCO", (ISOTOPES,)),
    ("[2H]C([2H])([2H])O[2H]", "CO", (ISOTOPES,)),
    ("[NH3+]CC(=O)[O-]", "[NH3+]CC(=O)[O-]", ()),  # a zwitterion
    ("C[N+](C)(C)CC(=O)[O-]", "C[N+](C)(C)CC(=O)[O-]", ()),
    ("[NH3+]CC(=O)O.[Cl-]", "NCC(=O)O", (FRAGMENTS, CHARGES)),
    ("C[N+](=O)[O-]", "C[N+](=O)[O-]", ()),
    ("CS(C)=O", "CS(C)=O", ()),
    ("C[N+](C)(C)CCO.[Cl-]", "C[N+](C)(C)CCO", (FRAGMENTS,)),  # choline chloride
    ("C[n+]1ccccc1.F[B-](F)(F)F", "C[n+]1ccccc1", (FRAGMENTS,)),
    ("[O-]C(=O)CC[N+](C)(C)CC(=O)[O-].[Na+]", "C[N+](C)(CCC(=O)O)CC(=O)[O-]", (FRAGMENTS, CHARGES)),
    ("c1cc[nH+]cc1.OS(=O)(=O)[O-]", "c1ccncc1", (FRAGMENTS, CHARGES)),
    ("C[Si](C)(C)C", "C[Si](C)(C)C", ()),
    ("O", "O", ()),
    ("N#N", "N#N", ()),
]


@pytest.mark.parametrize(("smiles", "parent", "changes"), PARENTS)
def test_the_parent_and_the_changes(smiles, parent, changes):
    mol = parse_smiles(smiles)
    before = Chem.MolToSmiles(mol)
    found = standardise(mol)
    assert Chem.MolToSmiles(found.mol) == Chem.CanonSmiles(parent)
    assert found.changes == changes
    assert Chem.MolToSmiles(mol) == before
    cleaned, told = clean_standardised(mol)
    assert (cleaned.smiles, told) == (Chem.CanonSmiles(parent), changes)
    assert cleaned.isotopes_dropped == (ISOTOPES in changes)
    assert cleaned.fragments_dropped == (FRAGMENTS in changes)


@pytest.mark.parametrize("smiles", [smiles for smiles, _, _ in PARENTS])
def test_twice_is_once_however_the_atoms_are_numbered(smiles):
    once = standardise(parse_smiles(smiles))
    again = standardise(once.mol)
    assert (Chem.MolToSmiles(again.mol), again.changes) == (Chem.MolToSmiles(once.mol), ())
    for other in Chem.MolToRandomSmilesVect(parse_smiles(smiles), 5, randomSeed=1):
        assert Chem.MolToSmiles(standardise(parse_smiles(other)).mol) == Chem.MolToSmiles(once.mol)


@pytest.mark.parametrize("smiles", ["[Na+].[Cl-]", "[Na+]", "[OH-].[Na+]", "N[Pt](N)(Cl)Cl", "Cl.O", "[NH4+].[Cl-]"])
def test_what_is_not_organic_stays_rejected(smiles):
    with pytest.raises(Rejected, match=r"^no organic fragment$"):
        clean_standardised(parse_smiles(smiles))


@pytest.mark.parametrize(
    ("smiles", "reason"), [("C[CH2].Cl", "radical"), ("*C.Cl", "dummy atom"), ("C[CH]C.[Na]", "radical")]
)
def test_a_parent_that_is_no_molecule_is_rejected(smiles, reason):
    with pytest.raises(Rejected, match=reason):
        clean_standardised(parse_smiles(smiles))


def test_stereo_is_kept_until_it_is_dropped():
    mol = parse_smiles("[NH3+][C@@H](C)C(=O)O.[Cl-]")
    assert Chem.MolToSmiles(standardise(mol).mol) == "C[C@H](N)C(=O)O"
    cleaned, _ = clean_standardised(mol)
    assert (cleaned.smiles, cleaned.isomer, cleaned.stereo_dropped) == ("CC(N)C(=O)O", "C[C@H](N)C(=O)O", True)


def test_the_names_of_changes_are_told_in_one_order():
    assert CHANGES == ("metals disconnected", "fragments removed", "charges neutralised", "isotopes removed")
    everything = standardise(parse_smiles("[13CH3]C(=O)O[Na].O"))
    assert everything.changes == CHANGES

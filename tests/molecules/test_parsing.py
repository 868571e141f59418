import pytest
from rdkit import Chem

from molgen.molecules.parsing import Rejected, clean, parse_block, parse_smiles


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
    assert cleaned[1:5] == (clean_smiles, stereo, isotopes, False)


def test_the_largest_fragment_is_kept_when_asked():
    cleaned = clean(parse_smiles("[Na+].CC(=O)[O-]"), keep_largest=True)
    assert (cleaned.smiles, cleaned.fragments_dropped) == ("CC(=O)[O-]", True)
    assert clean(parse_smiles("CCO"), keep_largest=True).fragments_dropped is False


def test_of_equal_fragments_the_choice_does_not_depend_on_their_order():
    assert clean(parse_smiles("CCO.CCN"), True).smiles == clean(parse_smiles("CCN.CCO"), True).smiles == "CCN"


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


@pytest.mark.parametrize(
    ("text", "smiles", "isomer"),
    [
        ("CC(F)Cl", "CC(F)Cl", "CC(F)Cl"),
        ("C[C@H](F)Cl", "CC(F)Cl", "C[C@H](F)Cl"),
        ("F[C@@H](C)Cl", "CC(F)Cl", "C[C@H](F)Cl"),
        ("F/C=C/Cl", "FC=CCl", "F/C=C/Cl"),
        ("[13CH3][C@H](F)Cl", "CC(F)Cl", "C[C@H](F)Cl"),
        ("[13CH3][C@H](C)Cl", "CC(C)Cl", "CC(C)Cl"),  # a stereo centre by its isotope alone
        ("Cl.C[C@H](F)Cl.O/N=C/C", "CC(F)Cl", "C[C@H](F)Cl"),
    ],
)
def test_the_stereo_that_was_dropped_can_be_told(text, smiles, isomer):
    found = clean(parse_smiles(text), keep_largest=True)
    assert (found.smiles, found.isomer) == (Chem.CanonSmiles(smiles), Chem.CanonSmiles(isomer))

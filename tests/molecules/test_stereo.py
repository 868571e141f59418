"""Stereoisomers of known molecules."""

import pytest
from rdkit import Chem

from molgen.molecules.stereo import stereoisomers


def found(smiles: str, most: int = 8) -> set[str]:
    return {isomer.smiles for isomer in stereoisomers(Chem.MolFromSmiles(smiles), most).found}


def test_known_molecules_have_their_stereoisomers():
    assert found("C[C@@H](O)CC") == found("C[C@@H](O)CC", 1) == {"CC[C@@H](C)O"}  # one that is given stays
    assert found("CC(O)CC") == {"CC[C@@H](C)O", "CC[C@H](C)O"}
    assert found("FC=CCl") == {"F/C=C/Cl", "F/C=C\\Cl"}
    assert len(found("OC(C(=O)O)C(O)C(=O)O")) == 3  # tartaric acid: two of four assignments are one, meso
    assert found("c1ccccc1") == {"c1ccccc1"}


def test_what_cannot_exist_in_space_is_left_out():
    assert found("C1CCC=CC1") == {"C1=CCCCC1"}
    assert found("C1CC2CC1C=C2") == {"C1=C[C@H]2CC[C@@H]1C2"}  # norbornene: the bridge closes on one side alone
    assert found("C1#COC1") == set()


def test_no_more_than_asked_for_and_how_many_there_may_be():
    few = stereoisomers(Chem.MolFromSmiles("CC(F)C(Cl)C(Br)CO"), 3)
    assert (len(few.found), few.possible) == (3, 8)
    assert few == stereoisomers(Chem.MolFromSmiles("CC(F)C(Cl)C(Br)CO"), 3)
    assert {isomer.smiles for isomer in few.found} < found("CC(F)C(Cl)C(Br)CO")


@pytest.mark.parametrize("smiles", ["CC(O)CC", "FC=CCl"])
def test_a_block_is_the_stereoisomer_in_space(smiles):
    for isomer in stereoisomers(Chem.MolFromSmiles(smiles), 4, blocks=True).found:
        mol = Chem.MolFromMolBlock(isomer.block)  # the stereo is read from the coordinates
        Chem.AssignStereochemistryFrom3D(mol)
        assert mol.GetConformer().Is3D() and Chem.MolToSmiles(mol) == isomer.smiles
        assert Chem.MolFromMolBlock(isomer.block, removeHs=False).GetNumAtoms() > mol.GetNumAtoms()

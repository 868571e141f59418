"""Properties of known molecules, the same for a kekulized molecule, NaN where there is none."""

import math
from dataclasses import replace

import pytest
from rdkit import Chem

from molgen.molecules.parsing import clean, parse_smiles
from molgen.molecules.properties import CATALOGUE, NUMBERS, PROPERTIES, TARGETS, properties, targets

# Masses and TPSA by the published tables, counts by eye; logP as Wildman-Crippen in RDKit gives it.
KNOWN = {
    "CC(=O)Oc1ccccc1C(=O)O": {"mw": 180.159, "logp": 1.3101, "tpsa": 63.6, "hbd": 1, "rotatable_bonds": 2, "rings": 1},
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O": {
        "mw": 194.194,
        "logp": -1.0293,
        "hbd": 0,
        "rotatable_bonds": 0,
        "rings": 2,
    },
    "CCO": {"mw": 46.069, "tpsa": 20.23, "hbd": 1, "hba": 1, "rotatable_bonds": 0, "rings": 0},
    "[NH3+]CC(=O)[O-]": {"mw": 75.067, "hbd": 1, "rotatable_bonds": 1, "rings": 0},
}


@pytest.mark.parametrize("smiles", KNOWN)
def test_known_molecules(smiles: str):
    found = properties(parse_smiles(smiles))
    assert list(found) == list(PROPERTIES)
    assert {name: found[name] for name in KNOWN[smiles]} == pytest.approx(KNOWN[smiles], abs=2e-3)


@pytest.mark.parametrize("smiles", ["c1ccc2[nH]ccc2c1", "CC(=O)Oc1ccccc1C(=O)O", "c1cc[n+](C)cc1", "O=c1cc[nH]cc1"])
def test_a_kekulized_molecule_has_the_same_properties(smiles: str):
    kekulized = clean(parse_smiles(smiles)).mol
    before = Chem.MolToSmiles(kekulized)
    assert properties(kekulized) == properties(parse_smiles(smiles))
    assert Chem.MolToSmiles(kekulized) == before


# Hydrogens and rings by the formula: C9H8O4, C8H10N4O2, C10H15N (methamphetamine), CH4, H2, NaH.
COUNTED = {
    "CC(=O)Oc1ccccc1C(=O)O": (1, 1 / 9, 8),
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O": (2, 3 / 8, 10),
    "C[C@@H](Cc1ccccc1)NC": (1, 4 / 10, 15),
    "[H]C([H])([H])[H]": (0, 1, 4),
    "[H][H]": (0, 0, 2),
    "[Na+].[H-]": (0, 0, 1),
}


@pytest.mark.parametrize("smiles", COUNTED)
def test_targets_are_the_properties_and_three_more(smiles: str):
    mol = parse_smiles(smiles)
    found = dict(zip(TARGETS, targets(mol), strict=True))
    assert list(found) == [*PROPERTIES, "aromatic_rings", "fraction_sp3", "hydrogens"]
    assert {name: found[name] for name in PROPERTIES} == pytest.approx(properties(mol), nan_ok=True)
    assert (found["aromatic_rings"], found["fraction_sp3"], found["hydrogens"]) == COUNTED[smiles]


def test_hydrogens_written_as_atoms_are_counted_once():
    mol = Chem.AddHs(parse_smiles("CC(=O)Oc1ccccc1C(=O)O"))
    assert mol.GetNumAtoms() == 21
    assert targets(mol)[list(TARGETS).index("hydrogens")] == 8


def test_targets_of_a_kekulized_molecule_see_its_aromatic_rings():
    kekulized = clean(parse_smiles("c1ccc2[nH]ccc2c1")).mol
    assert targets(kekulized) == targets(parse_smiles("c1ccc2[nH]ccc2c1"))
    assert dict(zip(TARGETS, targets(kekulized), strict=True))["aromatic_rings"] == 2


def test_scores_order_molecules_as_a_chemist_would():
    easy, hard = "CC(=O)Oc1ccccc1C(=O)O", "CC1(C)C2CCC1(C)C(=O)C2C13CC4CC(C1)CC(C4)C3"
    assert 1 <= properties(parse_smiles(easy))["sa"] < properties(parse_smiles(hard))["sa"] <= 10
    drug, chain = "CC(C)Cc1ccc(C(C)C(=O)O)cc1", "C" * 40
    assert 0 <= properties(parse_smiles(chain))["qed"] < properties(parse_smiles(drug))["qed"] <= 1


def test_what_cannot_be_computed_is_not_a_number(monkeypatch: pytest.MonkeyPatch):
    assert math.isnan(properties(Chem.Mol())["sa"])  # no atoms: the scorer returns None

    def fails(mol: Chem.Mol) -> float:
        raise ValueError("no such property")

    monkeypatch.setitem(PROPERTIES, "qed", replace(CATALOGUE["qed"], function=fails))
    monkeypatch.setitem(PROPERTIES, "logp", replace(CATALOGUE["logp"], function=lambda mol: math.inf))
    found = properties(parse_smiles("CCO"))
    assert math.isnan(found["qed"]) and math.isnan(found["logp"])
    assert found["mw"] == pytest.approx(46.069, abs=1e-3)
    monkeypatch.setitem(TARGETS, "hydrogens", replace(CATALOGUE["hydrogens"], function=fails))
    assert math.isnan(targets(parse_smiles("CCO"))[list(TARGETS).index("hydrogens")])


def test_files_and_trained_models_have_the_columns_that_they_had():
    drawn = ["mw", "logp", "tpsa", "hbd", "hba", "rotatable_bonds", "rings", "qed", "sa"]
    assert list(PROPERTIES) == drawn
    assert list(TARGETS) == [*drawn, "aromatic_rings", "fraction_sp3", "hydrogens"]
    assert list(NUMBERS) == [
        *("mw", "logp", "tpsa", "hbd", "hba", "rotatable_bonds", "rings", "aromatic_rings", "fraction_sp3"),
        *("stereocentres", "formal_charge", "heavy_atoms", "atoms", "molar_refractivity", "qed", "sa", "np"),
    ]


def test_a_property_knows_how_it_is_shown():
    assert CATALOGUE["mw"].title == "molecular weight [g/mol]"
    assert CATALOGUE["qed"].title == "drug-likeness (QED) [0 to 1, 1 is best]"
    assert CATALOGUE["rings"].title == "rings"
    shown = {name: CATALOGUE[name].text(2.345) for name in ("mw", "qed", "rings")}
    assert shown == {"mw": "MW 2.3", "qed": "QED 2.35", "rings": "rings 2"}
    assert all(entry.label and name == entry.name for name, entry in CATALOGUE.items())


def test_whole_numbers_are_whole():
    mol = parse_smiles("CC(=O)Oc1ccccc1C(=O)[O-]")
    for name, entry in CATALOGUE.items():
        assert entry.decimals or entry(mol).is_integer(), name
    assert CATALOGUE["atoms"](mol) == CATALOGUE["heavy_atoms"](mol) + CATALOGUE["hydrogens"](mol) == 20

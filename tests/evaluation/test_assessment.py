"""The table of molecules: known values of known molecules, and every row of the input in it."""

import math
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from rdkit import Chem, RDConfig

import molgen.molecules.alerts
from molgen.data.readers import Row
from molgen.errors import InputError
from molgen.evaluation.assessment import NUMBERS, RULES, assess, assess_one, keeps_rule
from molgen.molecules.alerts import SETS, alerts, catalog

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def row(text: str, name: str = "", line: int = 1) -> Row:
    return Row(line, name, text)


def test_aspirin():
    record = assess_one(row(ASPIRIN))
    assert (record["valid"], record["reason"], record["smiles"]) == (True, "", ASPIRIN)
    assert (record["inchikey"], record["formula"]) == ("BSYNRYMUTXBXSQ-UHFFFAOYSA-N", "C9H8O4")
    assert record["mw"] == pytest.approx(180.16, abs=0.01)
    assert (record["hbd"], record["hba"], record["rotatable_bonds"]) == (1, 3, 2)
    assert (record["rings"], record["aromatic_rings"], record["heavy_atoms"], record["atoms"]) == (1, 1, 13, 21)
    assert record["fraction_sp3"] == pytest.approx(1 / 9)
    assert (record["stereocentres"], record["formal_charge"]) == (0, 0)
    # MW 180 is below the 200 of a lead
    verdicts = {name: record[name] for name in RULES}
    assert verdicts == {"lipinski": True, "veber": True, "ghose": True, "lead_like": False, "rule_of_three": True}
    assert "BRENK: phenol_ester" in record["alerts"].split("; ")
    assert (record["scaffold"], record["ring_systems"]) == ("c1ccccc1", "c1ccccc1")
    assert len(record["fingerprint"]) == 256


@pytest.mark.parametrize(
    ("text", "reason"), [("nonsense", "unparsable"), ("", "empty"), ("CC.O", "several fragments"), ("[CH3]", "radical")]
)
def test_what_is_no_molecule_has_a_reason_and_no_values(text, reason):
    record = assess_one(row(text))
    assert (record["valid"], record["reason"], record["smiles"], record["alerts"]) == (False, reason, "", "")
    assert all(math.isnan(record[name]) for name in NUMBERS)
    assert all(record[name] is None for name in RULES)


def test_every_row_is_there_in_order_and_one_that_kills_rdkit_costs_itself():
    rows = [row("CCO", "a", 1), row("bad", "b", 2), row("C" * 20_000, "c", 5), row(ASPIRIN, "d", 6)]
    frame = pd.concat(assess(rows, workers=1), ignore_index=True)
    assert frame["row"].tolist() == [1, 2, 5, 6]
    assert frame["name"].tolist() == ["a", "b", "c", "d"]
    assert frame["valid"].tolist() == [True, False, False, True]


def test_rules_allow_what_their_authors_allow():
    fine = {"mw": 600.0, "logp": 4.0, "hbd": 1.0, "hba": 1.0}
    assert keeps_rule("lipinski", fine)  # one miss
    assert not keeps_rule("lipinski", fine | {"logp": 6.0})
    assert keeps_rule("lipinski", fine | {"logp": math.nan}) is None


def test_alerts_have_names_and_atoms():
    azobenzene = Chem.MolFromSmiles("c1ccccc1N=Nc1ccccc1")
    found = {(alert.set, alert.name): alert.atoms for alert in alerts(azobenzene)}
    assert {6, 7} <= set(found["PAINS", "azo_A(324)"])
    assert {name for name, _ in found} == set(SETS)
    assert alerts(azobenzene, ("BRENK",)) == [alert for alert in alerts(azobenzene) if alert.set == "BRENK"]
    assert alerts(Chem.MolFromSmiles("CCO")) == []


@pytest.mark.parametrize("known_form", [True, False])
def test_alerts_are_those_of_the_catalogs(monkeypatch, known_form):
    if not known_form:  # as another version of RDKit might keep its patterns
        monkeypatch.setattr(molgen.molecules.alerts, "_pickled_pattern", lambda entry: b"")
        monkeypatch.setattr(molgen.molecules.alerts, "_screen", cache(molgen.molecules.alerts._screen.__wrapped__))
    real = Path(RDConfig.RDDataDir) / "NCI" / "first_200.props.sdf"
    mols = [mol for mol in Chem.SDMolSupplier(str(real)) if mol is not None]
    assert len(mols) > 190
    for mol in mols:
        matches = [
            (name, entry, entry.GetFilterMatches(mol)) for name in SETS for entry in catalog(name).GetMatches(mol)
        ]
        assert alerts(mol) == [
            (name, entry.GetDescription(), tuple(sorted(pair[1] for pair in found[0].atomPairs)))
            for name, entry, found in matches
        ]


def test_the_sets_have_the_sizes_that_are_known():
    assert {name: catalog(name).GetNumEntries() for name in ("PAINS", "BRENK", "NIH", "MCF")} == {
        "PAINS": 480,
        "BRENK": 105,
        "NIH": 180,
        "MCF": 22,
    }
    with pytest.raises(InputError, match="no alert set 'pains'; choose from PAINS, BRENK"):
        catalog("pains")

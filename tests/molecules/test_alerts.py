"""Structural alerts: those of RDKit's catalogs, with their atoms, and as text."""

from functools import cache
from pathlib import Path

import pytest
from rdkit import Chem, RDConfig

import molgen.molecules.alerts
from molgen.errors import InputError
from molgen.molecules.alerts import SETS, Alert, alerts, alerts_of, catalog, format_alerts, has_alert, parse_alerts


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
        monkeypatch.setattr(molgen.molecules.alerts, "_known", cache(molgen.molecules.alerts._known.__wrapped__))
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


def test_text_keeps_every_alert_apart():
    every = [
        Alert(name, catalog(name).GetEntryWithIdx(k).GetDescription())
        for name in SETS
        for k in range(catalog(name).GetNumEntries())
    ]
    assert any("; " in alert.name for alert in every)  # it would be two if the text were split there
    assert parse_alerts(format_alerts(every)) == list(dict.fromkeys(every))  # CHEMBL has some names several times
    assert len(every) > len(dict.fromkeys(every))
    assert parse_alerts("") == [] and format_alerts([]) == ""
    assert format_alerts([Alert("NIH", "azo", (1, 2)), Alert("MCF", "x: y")]) == "NIH: azo; MCF: x: y"


def test_molecules_with_an_alert_of_a_set():
    texts = ["NIH: azo", "", "CHEMBL: one; two; PAINS: azo_A(324)"]
    assert has_alert(texts, "PAINS").tolist() == [False, False, True]
    assert has_alert(texts, "NIH").tolist() == [True, False, False]


def test_the_atoms_of_an_alert_are_those_that_make_it():
    found = alerts_of("O=[N+]([O-])c1ccccc1")
    nitro = next(alert for alert in found if "nitro" in alert.name.lower())
    assert {0, 1, 2} <= set(nitro.atoms)
    assert str(nitro) == f"{nitro.set}: {nitro.name}"
    assert alerts_of("CCO") == []

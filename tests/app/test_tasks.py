"""Tasks fill the form with an example that works, and show molecules that are what the task says."""

import pytest
from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from molgen.data.readers import Row
from molgen.evaluation.assessment import assess_one
from molgen.evaluation.screening import load_profile
from molgen.molecules.fingerprints import fingerprint, similarities
from tests.app.pages import made, molecule_set, opened, press, texts, until_done

KEYS = ("library", "core", "link", "analogues", "targets", "isomers")


@pytest.fixture(scope="module")
def tasks(environment) -> dict:
    from tasks import TASKS

    return TASKS


def mols(task) -> list[Chem.Mol]:
    return [Chem.MolFromSmiles(smiles) for smiles in task.made]


def test_the_shown_molecules_are_what_the_tasks_say(tasks):
    assert tuple(tasks) == KEYS
    assert all(len(task.made) == 6 == len(set(task.made)) for task in tasks.values())
    for key in ("core", "link"):
        for piece in tasks[key].fields["core"].split("."):
            assert all(mol.HasSubstructMatch(Chem.MolFromSmiles(piece)) for mol in mols(tasks[key]))
    assert {CalcMolFormula(mol) for mol in mols(tasks["isomers"])} == {"C6H9NO2"}
    low, high = tasks["analogues"].fields["window"]
    found = similarities([fingerprint(mol) for mol in mols(tasks["analogues"])], tasks["analogues"].fields["lead"])
    assert ((low <= found) & (found <= high)).all()
    ranges = load_profile("lead-like").ranges
    for number, smiles in enumerate(tasks["library"].made):
        figures = assess_one(Row(number, "", smiles))
        assert all(low <= figures[name] <= high for name, (low, high) in ranges.items())


@pytest.mark.parametrize("key", KEYS)
def test_a_task_fills_the_form(key: str, tasks):
    app = press(opened(), tasks[key].title)
    for name, value in tasks[key].fields.items():
        assert app.session_state[name] == value
    assert "for example" in texts(app)
    assert not app.error


def test_another_task_empties_the_fields_of_the_first(tasks):
    app = press(press(opened(), tasks["isomers"].title), tasks["core"].title)
    assert app.session_state["model"] == "moses-digress" and app.session_state["core"]
    app = press(app, tasks["isomers"].title)
    assert not app.session_state["core"] and app.session_state["formula"] == "C6H9NO2"
    job = molecule_set(until_done(press(app, "Make molecules")))
    assert job.settings.formula == "C6H9NO2" and job.settings.core is None


def test_the_tasks_step_back_where_there_are_molecules(environment):
    app = made()
    tiles = next(one for one in app.expander if one.label == "What do you want to make?")
    assert not tiles.proto.expanded
    assert "as the last molecules of this model went" in texts(app)

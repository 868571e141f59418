"""`import molgen` is all that a notebook needs."""

import doctest
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

import molgen
import molgen.api
import molgen.generation.molecules
from molgen.errors import CheckpointError, InputError
from molgen.molecules.properties import PROPERTIES


@pytest.fixture(scope="module")
def model():
    return molgen.load_model("qm9-digress")


@pytest.fixture(scope="module")
def molecules(model):
    return model.sample(24, seed=7, steps=8)


@pytest.mark.parametrize("module", [molgen, molgen.api, molgen.generation.molecules])
def test_the_examples_in_the_docstrings_run(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def test_every_public_name_is_there_and_documented():
    for name in molgen.__all__:
        assert getattr(molgen, name).__doc__, name
        assert name in dir(molgen)
    with pytest.raises(AttributeError, match="no attribute 'newcomer'"):
        molgen.newcomer  # noqa: B018


def test_import_loads_nothing_heavy():
    program = (
        "import sys, molgen; print([name for name in ('torch', 'rdkit', 'pandas', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_molecules_are_those_of_the_command(model, molecules, tmp_path):
    made = molgen.generate(tmp_path / "m.csv", model="qm9-digress", num=24, seed=7, steps=8)
    table = pd.read_csv(tmp_path / "m.csv")
    assert table["smiles"].tolist() == molecules.smiles
    assert list(molecules.frame().columns) == list(table.columns)
    assert made.summary == molecules.summary
    assert made.record["seed"] == molecules.settings.seed == 7


def test_molecules_count_their_failures(molecules):
    assert len(molecules.samples) == molecules.summary.requested == 24
    assert len(molecules) == molecules.summary.valid == len(molecules.mols)
    assert sum(molecules.reasons.values()) == 24 - len(molecules)
    assert [Chem.MolToSmiles(mol) for mol in molecules.mols] == list(molecules) == molecules.smiles
    assert set(PROPERTIES) <= set(molecules.frame().columns)


def test_frame_is_a_copy(molecules):
    table = molecules.frame()
    table["smiles"] = ""
    assert all(molecules.smiles)


def test_distinct_molecules(model):
    found = model.sample(unique=5, seed=3, steps=8)
    assert len(found) == len(set(found.smiles)) == found.summary.unique == 5
    assert len(found.samples) == found.summary.requested >= 5


def test_a_seed_is_drawn_and_kept(model):
    first = model.sample(2, steps=2)
    again = model.sample(2, steps=2, seed=first.settings.seed)
    assert first.samples.equals(again.samples)


def test_arguments_as_python_has_them(model, tmp_path):
    (tmp_path / "core.smi").write_text("CCO\n", encoding="utf-8")
    asked = {"size": 7, "core": tmp_path / "core.smi", "targets": "logp=1", "seed": np.int64(3), "steps": 2}
    drawn = model.sample(2, **asked).settings
    assert (drawn.size, drawn.core, drawn.targets, drawn.seed) == ("7", "CCO", ("logp=1",), 3)
    molgen.generate(tmp_path / "m.csv", num=2, **asked)
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))["core"] == "CCO"
    with pytest.raises(InputError, match=r"seed should be a whole number, 0 or more, got 1\.5"):
        model.sample(2, seed=1.5)
    with pytest.raises(InputError, match=r"similarity '\(0\.1, 0\.9\)' should be two numbers"):
        model.sample(2, like="CCCCO", similarity=(0.1, 0.9))
    with pytest.raises(InputError, match="molecule 2 should be SMILES, got None"):
        molgen.score(["CCO", None])


def test_save(molecules, tmp_path):
    molecules.save(tmp_path / "m.smi")
    assert [line.split()[0] for line in (tmp_path / "m.smi").read_text().splitlines()] == molecules.smiles
    with pytest.raises(InputError, match="xyz"):
        molecules.save(tmp_path / "m.xyz")


def test_score_counts_the_failures_of_what_was_drawn(molecules):
    scores = molgen.score(molecules, reference="qm9-digress", workers=1)
    assert scores.summary == molecules.summary
    with pytest.raises(InputError, match="leave num out"):
        molgen.score(molecules, reference="qm9-digress", num=30)


def test_score_of_smiles_and_of_a_file_agree(molecules, tmp_path):
    molecules.save(tmp_path / "m.smi")
    listed = molgen.score(molecules.smiles, reference="qm9-digress", num=24, workers=1)
    read = molgen.score(tmp_path / "m.smi", reference="qm9-digress", num=24, workers=1)
    assert listed.summary == read.summary


def test_report_of_two_sets(tmp_path):
    reference = tmp_path / "real.smi"
    reference.write_text("\n".join(["C" * n + "O" for n in range(1, 9)] + ["c1ccccc1" + "C" * n for n in range(8)]))
    sets = {"alcohols": ["CO", "CCO", "C1C"], "rings": ["c1ccccc1", "C1CC1"]}
    judged = molgen.report(sets, tmp_path / "report", reference=str(reference), workers=1)
    assert [(each.label, each.rows, each.valid) for each in judged] == [("alcohols", 3, 2), ("rings", 2, 2)]
    assert "alcohols" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="holds a report already"):
        molgen.report(["CO"], tmp_path / "report", reference=str(reference))


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="no model 'nothing'"):
        molgen.load_model("nothing")
    with pytest.raises(InputError, match="no such file"):
        molgen.score(tmp_path / "absent.smi", reference="qm9-digress")

"""`molgen score --suite` on a small data set of its own."""

import json
import re
from types import SimpleNamespace

import pandas as pd
import pytest
from click.testing import CliRunner
from rdkit import Chem

from molgen.cli import cli
from molgen.data.prepared import prepare
from molgen.evaluation.suite import suite_figures
from molgen.molecules.substructures import ring_systems
from tests.evaluation.real_molecules import REAL


def test_the_suite_of_a_part_against_itself_and_its_cache(tmp_path):
    sets = {"test": REAL, "test_scaffolds": REAL[::2]}
    prepared = SimpleNamespace(
        folder=tmp_path, name="mine", splits={name: len(smiles) for name, smiles in sets.items()}, smiles=sets.get
    )
    told: list[str] = []
    first = suite_figures(REAL, prepared, 1, lambda what, done, total: told.append(what))
    assert set(first) == {"test", "test_scaffolds"}
    assert first["test"]["SNN"] == pytest.approx(1.0) and first["test"]["KL"] == pytest.approx(1.0)
    assert first["test"]["weight"] == 0.0 < first["test_scaffolds"]["weight"]
    assert "moses of mine test" in told and "kl of mine test" in told
    # what was sketched is not sketched again
    sets.clear()
    again = suite_figures(REAL, prepared, 1)
    pd.testing.assert_frame_equal(pd.DataFrame(again), pd.DataFrame(first))


def test_the_command_needs_a_data_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real.smi").write_text("\n".join(REAL), encoding="utf-8")
    done = CliRunner().invoke(cli, ["score", "real.smi", "--reference", "real.smi", "--suite"])
    assert done.exit_code != 0 and "compares with the parts of a data set" in str(done.exception)
    assert str(done.exception).endswith("not with real.smi (--suite)")


def test_the_command_prints_and_writes_the_suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path / "cache"))
    chains = [f"C{'C' * k}O" for k in range(20)] + [f"C{'C' * k}N" for k in range(20)]
    (tmp_path / "mine.smi").write_text("\n".join([*REAL, *chains]), encoding="utf-8")
    assert CliRunner().invoke(cli, ["data", "mine.smi"]).exit_code == 0
    folder = next(path.parent for path in (tmp_path / "cache").rglob("meta.json"))
    done = CliRunner().invoke(cli, ["score", "mine.smi", "--reference", str(folder), "--suite", "--workers", "1"])
    assert done.exit_code == 0, (done.output, done.exception)
    assert "IntDiv2" in done.output and "\nKL" in done.output
    suite = json.loads((tmp_path / "mine.scores.json").read_text(encoding="utf-8"))["suite"]
    assert suite["molecules"] == len(REAL) + 40
    assert 0 < suite["test"]["SNN"] <= 1
    # the rings of the molecules that went to valid and test are unseen; none is large
    train = [Chem.MolFromSmiles(smiles) for smiles in prepare(str(folder)).smiles("train")]
    known = {ring for mol in train for ring in ring_systems(mol)}
    unseen = sum(not known.issuperset(ring_systems(Chem.MolFromSmiles(smiles))) for smiles in REAL)
    assert (suite["unseen_rings"], suite["large_rings"]) == (unseen / (len(REAL) + 40), 0)
    assert re.search(rf"^unseen rings +{suite['unseen_rings']:.2%} +63  a ring system", done.output, re.MULTILINE)
    assert suite["training_molecules"] == len(train)
    assert f"a ring system, without charges, that none of {len(train)} training molecules has" in done.output
    assert re.search(r"^large rings +0\.00% +63  a ring of 8", done.output, re.MULTILINE)

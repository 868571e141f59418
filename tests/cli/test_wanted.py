"""`molgen generate --core` and `--target` as a user gives them, with a small model trained on a few molecules."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from rdkit import Chem

from molgen.cli import cli
from molgen.errors import InputError
from tests.conftest import TINY
from tests.data.small_set import SMILES


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wanted")
    (folder / "molecules.smi").write_text("\n".join(SMILES) + "\n", encoding="utf-8")
    sizes = [f"--{name.replace('_', '-')}={value}" for name, value in TINY["digress"].items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOLGEN_CACHE", str(folder / "cache"))
        where = ["--data", str(folder / "molecules.smi"), "--output", str(folder / "run"), "--samples", "0"]
        CliRunner().invoke(cli, ["train", *where, *sizes, "--epochs", "60"], catch_exceptions=False)
    return folder / "run" / "model"


def generate(model: Path, *arguments: str):
    command = ["generate", "--model", str(model), "--seed", "3", "--workers", "1", *arguments]
    return CliRunner().invoke(cli, command, catch_exceptions=False, standalone_mode=False)


def test_every_molecule_contains_the_core(model, tmp_path):
    output = tmp_path / "grown.csv"
    done = generate(model, "--core", "CC", "--num", "40", "--steps", "20", "--output", str(output))
    assert done.exit_code == 0
    drawn = pd.read_csv(output)
    assert len(drawn)
    core = Chem.MolFromSmarts("CC")
    assert all(Chem.MolFromSmiles(smiles).HasSubstructMatch(core) for smiles in drawn["smiles"])
    assert all(Chem.MolFromSmiles(smiles).GetNumAtoms() > 2 for smiles in drawn["smiles"])
    assert json.loads(output.with_suffix(".json").read_text())["core"] == "CC"


def test_targets_are_told_with_what_was_obtained(model, tmp_path):
    output = tmp_path / "told.csv"
    asked = ("--target", "logp=0.5", "--target", "hydrogens=6", "--guidance", "1")
    done = generate(model, *asked, "--num", "30", "--steps", "10", "--output", str(output))
    drawn, record = pd.read_csv(output), json.loads(output.with_suffix(".json").read_text())
    hydrogens = [sum(atom.GetTotalNumHs() for atom in Chem.MolFromSmiles(text).GetAtoms()) for text in drawn["smiles"]]
    assert drawn["hydrogens"].tolist() == hydrogens
    assert record["targets"] == "logp=0.5 hydrogens=6" and record["guidance"] == 1
    assert record["obtained"]["hydrogens"]["mean"] == pytest.approx(sum(hydrogens) / len(hydrogens), abs=1e-3)
    assert record["obtained"]["logp"]["error"] == pytest.approx((drawn["logp"] - 0.5).abs().mean(), abs=1e-3)
    assert "hydrogens: 6 asked for, " in done.output


def test_a_value_outside_the_training_set_is_told_before(model):
    done = generate(model, "--target", "mw=900", "--num", "1", "--steps", "1", "--output", "-")
    assert "mw=900 is asked for, and 90 % of the training molecules have" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--core", "c1ccc"), "core 'c1ccc' cannot be used: unparsable"),
        (("--core", "C" * 200), "has 200 heavy atoms; the model makes molecules of up to"),
        (("--core", "CC", "--formula", "C2H6O"), "either for a core or for a formula"),
        (("--target", "logp"), "target 'logp' should be a property and a number"),
        (("--target", "logp=much"), "target 'logp=much' should be a property and a number"),
        (("--target", "logp=nan"), "should be a finite number"),
        (("--target", "colour=3"), "unknown target 'colour'; this model knows mw, logp"),
        (("--guidance", "1"), "goes with targets"),
        (("--target", "logp=1", "--guidance", "-1"), "guidance should be 0 or more"),
    ],
)
def test_what_cannot_be_wanted_is_told_and_nothing_written(model, tmp_path, arguments, message):
    output = tmp_path / "never.csv"
    with pytest.raises(InputError, match=message):
        generate(model, *arguments, "--num", "5", "--output", str(output))
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_was_told_nothing_says_so(tmp_path):
    for arguments, message in (
        (("--core", "CC"), "not trained to keep a core"),
        (("--target", "logp=1"), "knows none"),
    ):
        with pytest.raises(InputError, match=message):
            generate(Path("qm9-edge"), *arguments, "--num", "5", "--output", str(tmp_path / "never.csv"))

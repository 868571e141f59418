"""Stereoisomers in the output of a run."""

import json

import pandas as pd
import pytest
from rdkit import Chem

from molgen.errors import InputError
from molgen.evaluation.run_record import run_record
from molgen.generation.runs import run
from molgen.generation.settings import make_settings
from molgen.models.checkpoints import load_checkpoint
from molgen.molecules.stereo import stereoisomers
from tests.cli.test_generate import call, model  # noqa: F401  (a fixture)
from tests.generation.small_run import generate


def flat(smiles: str) -> str:
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)


def test_each_stereoisomer_is_a_row_named_after_its_molecule(tmp_path):
    real = load_checkpoint("qm9-edge")
    settings = {"model": real, "num": 20, "seed": 3, "device": "cpu"}

    def made(name: str, stereo: int | None):
        return run(real, make_settings(**settings, steps=32, stereo=stereo), tmp_path / name).record

    plain, record = made("plain.csv", None), made("m.csv", 2)
    rows, before = pd.read_csv(tmp_path / "m.csv"), pd.read_csv(tmp_path / "plain.csv")
    assert rows.columns.tolist() == record["columns"]
    assert record["columns"] == [*plain["columns"], "flat_smiles", "stereoisomer", "stereoisomers"]
    assert record["counts"] == plain["counts"]
    for sample, smiles in zip(before["sample"], before["smiles"], strict=True):
        mine = rows[rows["sample"] == sample]
        expected = stereoisomers(Chem.MolFromSmiles(smiles), 2)
        assert mine["smiles"].tolist() == [isomer.smiles for isomer in expected.found]
        assert mine["stereoisomer"].tolist() == list(range(1, len(mine) + 1))
        assert (mine["flat_smiles"] == smiles).all() and (mine["stereoisomers"] == expected.possible).all()
        assert {flat(isomer) for isomer in mine["smiles"]} <= {smiles}
    told = record["stereoisomers"]
    assert told["molecules"] == len(before) and told["stereoisomers"] == record["rows"] == len(rows) > len(before)
    assert run_record(str(tmp_path / "m.csv")) is None  # its rows are no samples
    made("names.smi", 2)
    names = [line.split("\t")[1] for line in (tmp_path / "names.smi").read_text(encoding="utf-8").splitlines()]
    assert len(set(names)) == len(rows) and names[0].endswith("-1")


def test_an_sdf_in_space(tmp_path):
    record = generate(tmp_path / "m.sdf", stereo=2, three_d=True, num=12)
    mols = [mol for mol in Chem.SDMolSupplier(str(tmp_path / "m.sdf"), removeHs=False) if mol is not None]
    assert len(mols) == record["rows"] > 0
    for mol in mols:
        assert mol.GetConformer().Is3D() and mol.GetNumAtoms() > mol.GetNumHeavyAtoms()
        assert not mol.HasProp("block") and mol.GetProp("_Name").startswith("molgen-")
        assert flat(Chem.MolToSmiles(Chem.RemoveHs(mol))) == mol.GetProp("flat_smiles")


def test_wrong_numbers_and_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="1 to 64 stereoisomers of each molecule, got 0"):
        generate(tmp_path / "m.csv", stereo=0)
    with pytest.raises(InputError, match=r"3D goes into an \.sdf file"):
        generate(tmp_path / "m.csv", three_d=True)
    assert not list(tmp_path.iterdir())


def test_the_command_line_says_what_the_rows_are(model, tmp_path):  # noqa: F811
    done = call(
        *("generate", "--model", model, "--num", "20", "--steps", "5", "--seed", "3", "--workers", "1"),
        *("--stereo", "4", "--3d", "--output", str(tmp_path / "m.sdf")),
    )
    record = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    told = record["stereoisomers"]
    assert f"Wrote {record['rows']} stereoisomers of {told['molecules']} molecules" in done.stdout
    assert f"{told['cut']} molecules may have more than 4, {told['none']} have none that can exist" in done.stdout

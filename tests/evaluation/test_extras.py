"""Predicted ADMET endpoints and what can be bought: the packages' own answers, quietly, and without a network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import molbloom
import numpy as np
import pandas as pd
import pytest
from admet_ai import ADMETModel
from click.testing import CliRunner
from rdkit import Chem
from scipy.stats import percentileofscore

import molgen
from molgen.cli import cli
from molgen.errors import InputError
from molgen.evaluation.admet import COLUMNS, ENDPOINTS, AdmetTally, predictor
from molgen.evaluation.buyable import CATALOG, buyable
from tests.evaluation.real_molecules import REAL

TERFENADINE = "CC(C)(C)c1ccc(cc1)C(O)CCCN1CCC(CC1)C(O)(c1ccccc1)c1ccccc1"
ASTEMIZOLE = "COc1ccc(CCN2CCC(CC2)Nc2nc3ccccc3n2Cc2ccc(F)cc2)cc1"
GLUCOSE = "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O"
MADE_UP = "CC1C2OC1(F)N2CC#CC1CC1Br"
MOLECULES = ["CC(=O)Oc1ccccc1C(=O)O", "Cn1c(=O)c2c(ncn2C)n(C)c1=O", TERFENADINE, ASTEMIZOLE, GLUCOSE, MADE_UP]
ROWS = [*MOLECULES, "C1CC", "C", MOLECULES[0]]
# the command, on a machine where whatever wants the network fails
OFFLINE = """
import socket, sys

def refuse(*_, **__):
    raise AssertionError("something wants the network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from molgen.cli import main
sys.argv[0] = "molgen"
main()
"""


@pytest.fixture(scope="module")
def reported(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A report with all that can be included, in a process of its own, and what that said."""
    folder = tmp_path_factory.mktemp("extras")
    (folder / "mine.csv").write_text("\n".join(["smiles", *ROWS]), encoding="utf-8")
    (folder / "real.smi").write_text("\n".join(REAL), encoding="utf-8")
    (folder / "all.toml").write_text("pick = 20\n[ranges]\nmw = [10, 500]\n", encoding="utf-8")
    options = ["--reference", "real.smi", "--profile", "all.toml", "--workers", "1"]
    command = [sys.executable, "-c", OFFLINE, "report", "mine.csv", *options, "--include", "admet"]
    command += ["--include", "buyable"]
    path = {"PYTHONPATH": str(Path(molgen.__file__).parents[1])}
    done = subprocess.run(command, cwd=folder, env=os.environ | path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "report", done


@pytest.fixture(scope="module")
def own() -> pd.DataFrame:
    """What ADMET-AI itself says of MOLECULES."""
    return ADMETModel(include_physchem=False, num_workers=0).predict(smiles=MOLECULES)


def test_known_molecules_are_in_stock():
    aspirin, caffeine = MOLECULES[:2]
    assert buyable(aspirin) and buyable(caffeine) and not buyable(MADE_UP)
    assert buyable("OCC") and buyable("CCO")
    # with stereo and without it are two entries: this one is in stock as the S isomer
    assert buyable("CC(C)Cc1ccc([C@H](C)C(=O)O)cc1") and not buyable("CC(C)Cc1ccc(C(C)C(=O)O)cc1")


def test_predictions_are_those_of_the_package_in_any_batch(own):
    found = predictor().predict(MOLECULES)
    # the package itself computes in single precision
    assert np.allclose(found, own[list(ENDPOINTS)].to_numpy(float), rtol=1e-5, atol=1e-5)
    predictor()._recent.clear()
    alone = np.concatenate([predictor().predict([smiles]) for smiles in reversed(MOLECULES)])[::-1]
    assert np.allclose(found, alone, rtol=0, atol=1e-11)
    assert (predictor().predict([MOLECULES[1]] * 2) == alone[1]).all()
    assert predictor().predict([]).shape == (0, 41)


def test_blockers_of_the_herg_channel():
    blocks = predictor().predict([TERFENADINE, ASTEMIZOLE, GLUCOSE])[:, list(ENDPOINTS).index("hERG")]
    assert blocks[0] > 0.9 and blocks[1] > 0.9 and blocks[2] < 0.1


def test_what_the_networks_cannot_take_has_no_values(monkeypatch):
    usual = predictor()._featurise
    monkeypatch.setattr(predictor(), "_featurise", lambda mol: usual(mol if mol.GetNumAtoms() != 2 else None))
    monkeypatch.setattr(predictor(), "_recent", {})
    found = predictor().predict(["CCO", "CO", "CCN"])
    assert np.isfinite(found[[0, 2]]).all() and np.isnan(found[1]).all()


def test_percentiles_are_those_of_the_package(own):
    values = own[list(ENDPOINTS)].to_numpy(float)
    percentiles = own[[f"{name}_drugbank_approved_percentile" for name in ENDPOINTS]].to_numpy(float)
    for rows in (slice(0, 5), slice(0, 6)):  # an odd and an even number of molecules
        tally, parts = AdmetTally(predictor().drugs), AdmetTally(predictor().drugs)
        tally.add(values[rows])
        for row in values[rows]:
            parts.add(row[None])
        parts.add(np.full((2, len(ENDPOINTS)), np.nan))
        assert tally.endpoints() == parts.endpoints()
        one = [each.percentile for each in tally.endpoints().values()]
        assert one == pytest.approx(np.median(percentiles[rows], axis=0), abs=0.006)
        means = [each.mean for each in tally.endpoints().values()]
        assert means == pytest.approx(values[rows].mean(axis=0), abs=1e-6)
    drug = predictor().drugs[100]  # ties with a drug
    tally = AdmetTally(predictor().drugs)
    tally.add(drug[None])
    expected = [percentileofscore(column, value) for column, value in zip(predictor().drugs.T, drug, strict=True)]
    assert [each.percentile for each in tally.endpoints().values()] == pytest.approx(expected, abs=0.006)
    assert AdmetTally(predictor().drugs).endpoints()["hERG"] == (None, None, 0)


def test_nothing_of_the_packages_is_printed_and_nothing_wants_the_network(reported):
    _, done = reported
    first, *_, last = done.stdout.splitlines()
    assert first == "mine.csv: 9 rows, 8 valid, 7 pass all, 7 picked" and last.startswith("Wrote report")
    assert len(done.stdout.splitlines()) == 3  # between them the duplicate
    lines = done.stderr.splitlines()
    assert [line for line in lines if not line.startswith(("SMILES column: ", "Warning: mine.csv: "))] == []


def test_the_columns_of_a_report(reported, own):
    folder, _ = reported
    text = pd.read_csv(folder / "molecules.csv", dtype=str, keep_default_na=False)
    assert tuple(text.columns[-42:]) == (*COLUMNS, "buyable") and len(COLUMNS) == 41
    stock = [str(molbloom.buy(smiles, catalog=CATALOG)) for smiles in ROWS]
    stock[ROWS.index("C1CC")] = ""
    assert text["buyable"].tolist() == stock
    assert set(text.loc[ROWS.index("C1CC"), list(COLUMNS)]) == {""}
    table = pd.read_csv(folder / "molecules.csv")
    assert np.allclose(table.loc[: len(MOLECULES) - 1, list(COLUMNS)], own[list(ENDPOINTS)], rtol=1e-5, atol=6e-5)
    assert all(len(cell.split(".")[1]) <= 4 for cell in text["admet_hERG"] if cell)
    assert table["admet_hERG"].iloc[0] == table["admet_hERG"].iloc[-1]
    picked = [mol for mol in Chem.SDMolSupplier(str(folder / "picked.sdf")) if mol]
    assert len(picked) == 7
    for mol in picked:
        row = table[table["row"] == int(mol.GetProp("row"))].iloc[0]
        assert mol.GetProp("buyable") == str(row["buyable"])
        assert float(mol.GetProp("admet_hERG")) == row["admet_hERG"]


def test_the_figures_of_a_report(reported):
    folder, _ = reported
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    table = pd.read_csv(folder / "molecules.csv").query("valid")
    (found,) = summary["sets"]
    count = int((table["buyable"].astype(str) == "True").sum())
    assert (found["buyable"]["count"], found["buyable"]["total"]) == (count, 8)
    low, high = found["buyable"]["interval"]
    assert low < count / 8 < high
    assert list(found["admet"]) == list(ENDPOINTS)
    for name, one in found["admet"].items():
        assert one["molecules"] == 8 and 0 <= one["median percentile"] <= 100
        assert one["mean"] == pytest.approx(table[f"admet_{name}"].mean(), abs=1e-4)
    page, markdown = ((folder / name).read_text(encoding="utf-8") for name in ("report.html", "summary.md"))
    for text in (page, markdown):
        assert "7 % of all others" in text and "approved drugs of DrugBank" in text
        assert all(endpoint.meaning in text for endpoint in ENDPOINTS.values())
    assert "7 % of all others" in summary["buyable"] and "no measurements" in summary["admet"]


@pytest.mark.parametrize(("extra", "module"), [("admet", "admet_ai"), ("buyable", "molbloom")])
def test_what_is_not_installed_is_told_before_anything_is_written(extra, module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    Path("mine.smi").write_text("\n".join(REAL), encoding="utf-8")
    told = rf'{module.replace("_", "-")} is not installed: pip install "molgen-diffusion\[{extra}\]"'
    with pytest.raises(InputError, match=told):
        molgen.report("mine.smi", "report", reference="mine.smi", include=[extra])
    done = CliRunner().invoke(cli, ["report", "mine.smi", "--reference", "mine.smi", "--include", extra])
    with pytest.raises(InputError, match=told):
        raise done.exception
    assert [path.name for path in tmp_path.iterdir()] == ["mine.smi"]


def test_what_cannot_be_included_is_told(tmp_path):
    with pytest.raises(InputError, match="there is no 'herg' to include; choose from admet, buyable"):
        molgen.report(["C"], tmp_path / "report", include=["herg"])

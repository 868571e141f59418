"""The report's files: figures that add up, and nothing in them that runs."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from rdkit import Chem

from molgen.cli import cli
from molgen.data.readers import Row
from molgen.evaluation.assessment import assess_one
from molgen.evaluation.open_reference import open_reference
from molgen.evaluation.report import Report
from molgen.evaluation.screening import load_profile
from tests.evaluation.real_molecules import REAL

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A report of two files, one of them hostile."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "real.smi").write_text("\n".join(REAL), encoding="utf-8")
    rows = ["CCO,=cmd|' /C calc'!A0", f"c1ccccc1O,{HOSTILE}", "nonsense,+1", "CC(=O)Nc1ccc(Cl)cc1,@x", "CCO,again"]
    (folder / "hostile.csv").write_text("\n".join([f"smiles,name,{HOSTILE}", *rows]), encoding="utf-8")
    block = Chem.MolToMolBlock(Chem.MolFromSmiles("CC(C)Cc1ccccc1")).split("\n", 1)[1]
    (folder / "hostile.sdf").write_text(f"{HOSTILE}\n{block}>  <{HOSTILE}>\n{HOSTILE}\n\n$$$$\n", encoding="utf-8")
    (folder / "mine.toml").write_text("pick = 2\n[ranges]\nmw = [40, 180]\n", encoding="utf-8")
    files = [str(folder / "hostile.csv"), str(folder / "hostile.sdf")]
    options = ["--reference", str(folder / "real.smi"), "--profile", str(folder / "mine.toml"), "--workers", "1"]
    done = CliRunner().invoke(cli, ["report", *files, *options, "--output", str(folder / "out")])
    assert done.exit_code == 0, (done.output, done.exception)
    return folder


def test_every_row_is_in_the_table_and_no_cell_is_a_formula(folder):
    table = pd.read_csv(folder / "out" / "molecules.csv", dtype=str, keep_default_na=False)
    assert len(table) == 6
    assert table["row"].tolist() == ["2", "3", "4", "5", "6", "1"]
    assert table["reason"].tolist() == ["", "", "unparsable", "", "", ""]
    assert table["name"].tolist()[:4] == ["'=cmd|' /C calc'!A0", HOSTILE, "'+1", "'@x"]
    assert table["fails"].tolist()[2:5] == ["not valid", "", "not a repeat"]
    assert table["mw"].tolist()[2] == "" and table["lipinski"].tolist()[2] == ""


def test_the_figures_add_up(folder):
    summary = json.loads((folder / "out" / "summary.json").read_text(encoding="utf-8"))
    first = summary["sets"][0]
    assert (first["rows"], first["valid"]["count"], first["unique"]["count"]) == (5, 4, 3)
    assert (first["novel"]["count"], first["V.U.N."]["share"]) == (1, 0.2)
    assert first["requested"] == 5
    assert first["reasons"] == {"unparsable": 1}
    assert [(line["rule"], line["entered"], line["left"]) for line in first["funnel"]] == [
        ("valid", 5, 4),
        ("not a repeat", 4, 3),
        ("mw 40 to 180", 3, 3),
    ]
    assert len(first["picked"]) == 2
    low, high = first["valid"]["interval"]
    assert low < 0.8 <= high


def test_the_page_needs_no_network_and_runs_nothing(folder):
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page.lower() and HOSTILE not in page
    assert "&lt;script&gt;" in page  # the name is there, as text
    assert not re.search(r"(src|href)=[\"'](?!data:)", page)
    assert "default-src 'none'" in page
    markdown = (folder / "out" / "summary.md").read_text(encoding="utf-8")
    assert "<script" not in markdown


def test_the_picks_come_back_from_the_sdf(folder):
    picked = [mol for mol in Chem.SDMolSupplier(str(folder / "out" / "picked.sdf")) if mol]
    summary = json.loads((folder / "out" / "summary.json").read_text(encoding="utf-8"))
    assert [Chem.MolToSmiles(mol) for mol in picked] == [
        smiles for each in summary["sets"] for smiles in each["picked"]
    ]
    assert {mol.GetProp("set") for mol in picked} == {each["file"] for each in summary["sets"]}


def test_the_parts_in_which_a_set_comes_do_not_show(tmp_path, monkeypatch):
    (tmp_path / "real.smi").write_text("\n".join(REAL), encoding="utf-8")
    reference = open_reference(str(tmp_path / "real.smi"))
    frame = reference.compare(pd.DataFrame([assess_one(Row(1, "", smiles)) for smiles in REAL]))
    for name, number in (("row", 1), ("name", "=x"), ("input", "")):
        frame[name] = number
    summaries = []
    for size in (len(REAL), 4):
        parts = [frame[start : start + size].reset_index(drop=True) for start in range(0, len(REAL), size)]
        with Report(reference, replace(load_profile("fragment"), pick=5), tmp_path / str(size)) as report:
            report.add_assessed("real", parts)
            report.write()
        summaries.append(json.loads((tmp_path / str(size) / "summary.json").read_text(encoding="utf-8")))
    assert len(summaries[0]["sets"][0]["picked"]) == 5
    assert summaries[0] == summaries[1]
    tables = [(tmp_path / str(size) / "molecules.csv").read_bytes() for size in (len(REAL), 4)]
    assert tables[0] == tables[1]
    # of many that pass the pick is from an even draw, and all count
    monkeypatch.setattr("molgen.evaluation.report.PICKED_FROM", 4)
    with Report(reference, replace(load_profile("fragment"), pick=3), tmp_path / "drawn") as report:
        report.add_assessed("real", parts)
        report.write()
    drawn = json.loads((tmp_path / "drawn" / "summary.json").read_text(encoding="utf-8"))["sets"][0]
    passing = pd.read_csv(tmp_path / "drawn" / "molecules.csv", keep_default_na=False).query("fails == ''")
    assert len(passing) > 4
    assert len(set(drawn["picked"])) == 3
    assert set(drawn["picked"]) < set(passing["smiles"])
    assert drawn["passes the profile"]["count"] == len(passing)


def test_what_generate_left_out_counts(folder, monkeypatch):
    """Its table has the valid molecules alone; the run record beside it says how many were asked for."""
    monkeypatch.chdir(folder)
    run = CliRunner()
    made = run.invoke(cli, ["generate", "--num", "30", "--steps", "5", "--seed", "1", "--output", "made.csv"])
    assert made.exit_code == 0
    done = run.invoke(cli, ["report", "made.csv", "--reference", "real.smi", "--output", "made", "--workers", "1"])
    assert done.exit_code == 0, done.output
    found = json.loads((folder / "made" / "summary.json").read_text(encoding="utf-8"))["sets"][0]
    counts = json.loads((folder / "made.json").read_text(encoding="utf-8"))["counts"]
    assert (found["requested"], found["rows"]) == (30, counts["valid"])
    assert found["valid"]["share"] == counts["valid"] / 30
    assert found["reasons"] == counts["reasons"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv"], "no such file"),
        (["real.smi", "--profile", "nope"], "no profile 'nope'"),
        (["real.smi", "--output", "no/where/out"], "does not exist"),
        (["real.smi", "--reference", "qm9-digress"], "keeps no molecules"),
        (["real.smi", "--output", "out"], "holds a report already"),
    ],
)
def test_mistakes_get_one_line_and_write_nothing(folder, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    done = CliRunner().invoke(cli, ["report", *arguments, *([] if "--output" in arguments else ["--output", "new"])])
    assert done.exit_code != 0 and message in str(done.exception)
    assert sorted(folder.rglob("*")) == before

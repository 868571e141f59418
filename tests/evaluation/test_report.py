"""The report's files: figures that add up, and nothing in them that runs."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from rdkit import Chem

import molgen
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


def test_every_figure_says_what_it_stands_beside(folder):
    """Means of the reference beside each mean, what is new and rare among how many, rows that can be found again."""
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    summary = json.loads((folder / "out" / "summary.json").read_text(encoding="utf-8"))
    real = str(folder / "real.smi")
    assert set(summary["reference means"]) == {"mw", "logp", "tpsa", "qed", "sa", "np"}
    mean = summary["reference means"]["mw"]
    assert mean["molecules"] == len(REAL) and mean["mean"] == pytest.approx(98.35, abs=0.01)
    cell = f"{mean['mean']:.3g} [{mean['interval'][0]:.3g}, {mean['interval'][1]:.3g}]"
    markdown = (folder / "out" / "summary.md").read_text(encoding="utf-8")
    assert f"<td>{cell}</td></tr>" in page and f"| {cell} |" in markdown
    assert summary["novel"] == f"not in {real}" and f"novel: not in {real}" in page
    assert f"none of the 23 molecules of {real} compared has" in summary["rare rings"]
    assert "1 in 10,000" not in page and "floor" not in page  # there are too few molecules for either
    table = pd.read_csv(folder / "out" / "molecules.csv", keep_default_na=False)
    for each in summary["sets"]:
        rows = table[table["set"] == each["file"]].set_index("row")
        assert [rows["smiles"][row] for row in each["picked rows"]] == each["picked"]
        assert all(re.search(rf"<br>row {row}[,<]", page) for row in each["picked rows"])
    assert "clusters" not in page  # two molecules in two clusters: nothing is grouped


def test_clusters_are_told_where_they_group(tmp_path):
    (tmp_path / "real.smi").write_text("\n".join(REAL), encoding="utf-8")
    alike = "\n".join(f"{'C' * n}O" for n in range(8, 28))
    (tmp_path / "alike.smi").write_text(alike, encoding="utf-8")
    (tmp_path / "all.toml").write_text("pick = 3\n", encoding="utf-8")
    options = {"reference": str(tmp_path / "real.smi"), "profile": str(tmp_path / "all.toml"), "workers": 1}
    (judged,) = molgen.report(tmp_path / "alike.smi", tmp_path / "out", **options)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert judged.clusters <= 3 and f"3 of 20 that pass, in {judged.clusters} clusters; the 3 " in page


def test_a_file_that_is_given_twice_is_judged_twice(folder, monkeypatch):
    monkeypatch.chdir(folder)
    options = ["--reference", "real.smi", "--workers", "1", "--output", "twice"]
    done = CliRunner().invoke(cli, ["report", "hostile.sdf", "hostile.sdf", *options])
    assert done.exit_code == 0, (done.output, done.exception)
    assert len(pd.read_csv("twice/molecules.csv")) == 2
    again = CliRunner().invoke(cli, ["report", "hostile.sdf", *options])
    assert str(again.exception).endswith(
        "holds a report already; choose another folder, or let it be replaced (--overwrite)"
    )


def test_a_report_of_standardised_molecules(folder, monkeypatch):
    monkeypatch.chdir(folder)
    Path("salts.csv").write_text("smiles,name\nOc1ccccc1.Cl,a\nC1CCNCC1,b\nC1CC[NH2+]CC1.[Cl-],c\n", encoding="utf-8")
    Path("salts.toml").write_text('reference = "real.smi"\nworkers = 1\nprofile = "fragment"\n', encoding="utf-8")
    options = ["--config", "salts.toml", "--overwrite"]
    plain = CliRunner().invoke(cli, ["report", "salts.csv", *options, "--output", "plain"], catch_exceptions=False)
    assert "Hint: 2 of 3 rows are salts, mixtures" in plain.stderr
    done = CliRunner().invoke(
        cli, ["report", "salts.csv", *options, "--output", "standard", "--standardise"], catch_exceptions=False
    )
    assert "Hint" not in done.stderr
    assert "salts.csv: Standardised: 2 of the valid (2 fragments removed, 1 charges neutralised).\n" in done.stdout
    assert "salts.csv: Duplicates: 1 of the valid, of these 0 stereoisomers of another" in done.stdout
    tables = [pd.read_csv(f"{name}/molecules.csv", keep_default_na=False) for name in ("plain", "standard")]
    assert list(tables[1]) == [*tables[0], "changes"]
    assert tables[1]["input"].tolist() == ["Oc1ccccc1.Cl", "C1CCNCC1", "C1CC[NH2+]CC1.[Cl-]"]
    assert tables[1]["smiles"].tolist() == ["Oc1ccccc1", "C1CCNCC1", "C1CCNCC1"]
    assert tables[1]["changes"].tolist() == ["fragments removed", "", "fragments removed; charges neutralised"]
    summary = json.loads(Path("standard/summary.json").read_text(encoding="utf-8"))
    (found,) = summary["sets"]
    assert summary["standardise"] is True
    assert found["duplicates"] == {"stereoisomers": 0, "exact repeats": 1}
    assert found["standardised"] == {"rows": 2, "fragments removed": 2, "charges neutralised": 1}
    plain_summary = json.loads(Path("plain/summary.json").read_text(encoding="utf-8"))
    assert "standardise" not in plain_summary and "standardised" not in plain_summary["sets"][0]


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


def test_the_page_about_reports_counts_their_columns_right(folder):
    columns = len(pd.read_csv(folder / "out" / "molecules.csv").columns)
    page = Path(__file__).parents[2] / "docs" / "tasks" / "screen.md"
    assert f"a row for each row of the input with {columns} columns" in page.read_text(encoding="utf-8")

"""Distances between sets, the reference, and the report's files: figures that add up, and nothing in them that runs."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from rdkit import Chem

from molgen.cli import cli
from molgen.data.readers import Row
from molgen.evaluation.assessment import assess_one
from molgen.evaluation.descriptors import passes_moses_filters, sketch
from molgen.evaluation.reference import file_reference
from molgen.evaluation.report import Report, Target
from molgen.evaluation.scores import EvenDraw, chemnet_activations
from molgen.evaluation.screening import load_profile
from molgen.evaluation.set_metrics import interval, kl_score, moses_suite
from molgen.molecules.fingerprints import nearest_of

REAL = [
    *("CCO", "CCN", "CCC", "CCCC", "CC(C)O", "c1ccccc1", "Cc1ccccc1", "Oc1ccccc1", "c1ccncc1", "C1CCCCC1", "CC=O"),
    *("CC(=O)O", "CC(=O)Oc1ccccc1C(=O)O", "CC(=O)Nc1ccc(O)cc1", "c1ccc(-c2ccccc2)cc1", "O=C(Nc1ccccc1)c1ccccc1"),
    *("CN1CCCC1c1cccnc1", "COc1ccccc1", "CCOC(C)=O", "NCCc1ccc(O)cc1", "c1ccc2ccccc2c1", "O=C1CCCN1", "C1CCNCC1"),
]
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def sketched() -> pd.DataFrame:
    return pd.DataFrame([sketch(smiles, "moses") | sketch(smiles, "kl") for smiles in REAL])


def test_a_set_is_at_no_distance_from_itself(sketched):
    suite = moses_suite(sketched, sketched)
    assert suite["SNN"] == pytest.approx(1.0)
    assert suite["Frag"] == pytest.approx(1.0) and suite["Scaf"] == pytest.approx(1.0)
    assert [suite[name] for name in ("logP", "SA", "QED", "weight")] == [0.0] * 4
    assert kl_score(sketched, sketched) == pytest.approx(1.0)


def test_another_set_is_further(sketched):
    half = sketched.iloc[:11]
    suite = moses_suite(half, sketched)
    assert suite["weight"] > 10 and suite["Frag"] < 0.99
    assert kl_score(half, sketched) < 0.95


def test_fragments_are_compared_whatever_their_number(sketched):
    one, other = sketched.iloc[:12], sketched.iloc[6:]
    few = moses_suite(one, other)["Frag"]
    assert 0 < few < 0.99
    # a hundred thousand times each
    many = one.assign(fragments=one["fragments"] + "." + "CC." * 99_999 + "CC")
    assert moses_suite(many, many)["Frag"] == pytest.approx(1)
    assert moses_suite(many, other)["Frag"] < few


def test_internal_diversity_of_two_molecules(sketched):
    pair = sketched.iloc[[0, 5]]  # ethanol and benzene share no bit
    suite = moses_suite(pair, pair)
    # the mean over both with both is 1/2, its root that of 1/2
    assert suite["IntDiv"] == pytest.approx(0.5)
    assert suite["IntDiv2"] == pytest.approx(1 - 0.5**0.5)


@pytest.mark.parametrize(
    ("smiles", "passes"),
    [
        ("CC(=O)Nc1ccc(O)cc1", True),
        ("C1CCCCCCC1", False),  # a ring of eight
        ("C[N+](C)(C)C", False),  # a charge
        ("CP(C)C", False),  # phosphorus
        ("c1ccccc1N=Nc1ccccc1", False),  # an alert
    ],
)
def test_the_filters_of_moses(smiles, passes):
    assert passes_moses_filters(Chem.MolFromSmiles(smiles)) == passes


def test_intervals_hold_the_mean_and_narrow_with_the_sample():
    random = np.random.default_rng(0)
    widths = []
    for count in (100, 10_000, 40_000):
        values = random.normal(3.0, 1.0, count)
        low, high = interval(values)
        assert low < values.mean() < high
        assert high - low == pytest.approx(2 * 1.96 / count**0.5, rel=0.3)
        widths.append(high - low)
    assert widths[0] > widths[1] > widths[2]
    low, high = interval(np.repeat([1.0, 0.0], [30, 70]))
    assert low == pytest.approx(0.21, abs=0.03) and high == pytest.approx(0.39, abs=0.03)
    assert np.isnan(interval(np.array([]))).all()


def test_the_nearest_is_the_most_similar():
    records = [assess_one(Row(1, "", smiles)) for smiles in REAL]
    packed = np.frombuffer(b"".join(record["fingerprint"] for record in records), np.uint8).reshape(-1, 256)
    which, similarity = nearest_of(packed, packed)
    assert which.tolist() == list(range(len(REAL))) and similarity.tolist() == [1.0] * len(REAL)
    which, similarity = nearest_of(packed[6:7], packed[[5, 9]])  # toluene: benzene is nearer than cyclohexane
    bits = [set(np.flatnonzero(np.unpackbits(packed[k], bitorder="little"))) for k in (6, 5)]
    assert which.tolist() == [0]
    assert similarity[0] == pytest.approx(len(bits[0] & bits[1]) / len(bits[0] | bits[1]), abs=1e-6)


def test_a_reference_tells_the_new_from_the_known(tmp_path):
    (tmp_path / "real.smi").write_text("\n".join(REAL), encoding="utf-8")
    reference = file_reference(str(tmp_path / "real.smi"), 1)
    rows = [assess_one(Row(1, "", smiles)) for smiles in ("CCO", "bad", "C1CC2CC12")]
    frame = reference.compare(pd.DataFrame(rows))
    assert frame["novel"].tolist() == [False, None, True]
    assert (frame["nearest"][0], frame["similarity"][0], frame["nearest"][1]) == ("CCO", 1.0, "")
    assert frame["rare_rings"].tolist() == ["", "", "C1CC2CC12 (0)"]


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
    reference = file_reference(str(tmp_path / "real.smi"), 1)
    frame = reference.compare(pd.DataFrame([assess_one(Row(1, "", smiles)) for smiles in REAL]))
    for name, number in (("row", 1), ("name", "=x"), ("input", "")):
        frame[name] = number
    target = Target(chemnet_activations(REAL), "real", lambda count: None)
    summaries = []
    for size in (len(REAL), 4):
        parts = [frame[start : start + size].reset_index(drop=True) for start in range(0, len(REAL), size)]
        with Report(reference, replace(load_profile("fragment"), pick=5), target, tmp_path / str(size)) as report:
            report.add_assessed("real", parts)
            summaries.append(report.write())
    assert len(summaries[0]["sets"][0]["picked"]) == 5
    assert summaries[0] == summaries[1]
    tables = [(tmp_path / str(size) / "molecules.csv").read_bytes() for size in (len(REAL), 4)]
    assert tables[0] == tables[1]
    # of many that pass the pick is from an even draw, and all count
    monkeypatch.setattr("molgen.evaluation.report.PICKED_FROM", 4)
    with Report(reference, replace(load_profile("fragment"), pick=3), target, tmp_path / "drawn") as report:
        report.add_assessed("real", parts)
        drawn = report.write()["sets"][0]
    passing = pd.read_csv(tmp_path / "drawn" / "molecules.csv", keep_default_na=False).query("fails == ''")
    assert len(passing) > 4
    assert len(set(drawn["picked"])) == 3
    assert set(drawn["picked"]) < set(passing["smiles"])
    assert drawn["passes the profile"]["count"] == len(passing)


def test_an_even_draw_is_of_the_size_asked_for_and_in_order():
    parts = [list(range(start, start + 100)) for start in range(0, 5_000, 100)]
    counts = np.zeros(5_000)
    draw = EvenDraw(500)
    for part in parts:
        draw.add(part)
    counts[draw.items] += 1
    assert draw.items == sorted(set(draw.items)) and len(draw.items) == 500
    assert counts[:2_500].sum() == pytest.approx(250, abs=50)  # 4.7 times the standard deviation of 10.6
    small = EvenDraw(500)
    small.add(parts[0])
    assert small.items == parts[0]


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

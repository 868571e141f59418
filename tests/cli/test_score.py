"""molgen score as a user calls it: tables, denominators, the run record, bad input."""

import gzip
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner, Result
from rdkit import Chem

from molgen.cli.score import command
from molgen.errors import InputError
from molgen.evaluation.draws import sample
from molgen.evaluation.fcd import fcd_distance
from molgen.models.checkpoints import list_models
from molgen.molecules.parsing import clean, parse_smiles

MOLECULES = [start + "C" * length + end for start in ("", "O", "N") for end in ("", "#N") for length in range(1, 6)]


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("reference.smi").write_text("\n".join(MOLECULES) + "\n", encoding="utf-8")
    return tmp_path


def score(*arguments: str, text: str | None = None) -> Result:
    """A call in this process; the errors a user can meet are raised."""
    result = CliRunner().invoke(command, [*arguments, "--workers", "1"], input=text)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def scored(*arguments: str) -> dict:
    assert score(*arguments, "--output", "scores.json").exit_code == 0
    return json.loads(Path("scores.json").read_text(encoding="utf-8"))


def counts(report: dict) -> tuple[int, ...]:
    return tuple(report[name] for name in ("requested", "sanitised", "valid", "unique", "novel"))


def test_a_table_of_another_program_is_judged_row_by_row():
    rows = ["id,SMILES", "a,OCC", "b,CCO", "c,c1ccccc1", "d,CC.C", "e,", "f,C1CC", "g,[CH3]"]
    Path("molecules.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    result = score("molecules.csv", "--reference", "reference.smi", "--output", "scores.json")
    report = json.loads(Path("scores.json").read_text(encoding="utf-8"))
    assert counts(report) == (7, 4, 3, 2, 1)  # ethanol is in the reference
    assert report["reasons"] == {"several fragments": 1, "empty": 1, "unparsable": 1, "radical": 1}
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["valid", "42.86%", "3", "7", "requested"] in lines
    assert ["unique", "66.67%", "2", "3", "valid"] in lines
    assert ["novel", "50.00%", "1", "2", "unique"] in lines
    assert ["V.U.N.", "14.29%", "1", "7", "requested"] in lines
    assert any(line[0] == "FCD" and line[2:] == ["3", "30", "of", "reference.smi"] for line in lines if line)
    assert "Warning: 3 generated molecules do not span" in result.stderr


def test_a_file_against_itself_has_no_distance_and_nothing_novel():
    report = scored("reference.smi", "--reference", "reference.smi")
    assert counts(report) == (30, 30, 30, 30, 0)
    assert report["fcd"]["fcd"] == pytest.approx(0, abs=1e-3)
    assert (report["fcd"]["molecules"], report["fcd"]["reference_molecules"]) == (30, 30)
    assert report["fcd"]["floor"] is None and any("no floor" in text for text in report["warnings"])


def test_salts_bring_a_hint_and_standardised_they_are_molecules():
    lines = ["CC(=O)[O-].[Na+]", "CC(=O)O", "C1CCNCC1.Cl", "[13CH3]O", "[Na+].[Cl-]", "C[C@H](F)O", "C[C@@H](F)O"]
    Path("drugs.smi").write_text("\n".join(lines), encoding="utf-8")
    Path("salts.smi").write_text("C1CCNCC1.Br\nCCO\n", encoding="utf-8")
    plain = score("drugs.smi", "--output", "scores.json")
    assert "Hint: 3 of 7 rows are salts, mixtures or metal compounds; --standardise keeps" in plain.stderr
    assert "Duplicates: 1 of the valid, of these 1 stereoisomers of another" in plain.stdout
    report = json.loads(Path("scores.json").read_text(encoding="utf-8"))
    assert report["duplicates"] == {"stereoisomers": 1, "exact repeats": 0} and "standardised" not in report
    result = score("drugs.smi", "--standardise", "--reference", "salts.smi", "--output", "scores.json")
    report = json.loads(Path("scores.json").read_text(encoding="utf-8"))
    assert counts(report) == (7, 7, 6, 4, 3)  # piperidine is in the reference, once that is standardised
    assert report["reasons"] == {"no organic fragment": 1}
    assert report["duplicates"] == {"stereoisomers": 1, "exact repeats": 1}
    assert report["standardised"] == {
        "rows": 3,
        "fragments removed": 2,
        "charges neutralised": 1,
        "isotopes removed": 1,
    }
    assert (
        "Standardised: 3 of the valid (2 fragments removed, 1 charges neutralised, 1 isotopes removed).\n"
        in result.stdout
    )
    assert "Hint" not in result.stderr


def test_options_may_come_from_a_file():
    Path("judge.toml").write_text('reference = "reference.smi"\nnum = 40\noutput = "x.json"\n', encoding="utf-8")
    score("reference.smi", "--config", "judge.toml", "--num", "50")
    report = json.loads(Path("x.json").read_text(encoding="utf-8"))
    assert (report["requested"], report["reference"]) == (50, "reference.smi")
    Path("judge.toml").write_text("suites = true\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"judge\.toml: unknown setting 'suites'; it takes address, engine, log, "):
        score("reference.smi", "--config", "judge.toml")


def test_formats_agree():
    Path("a.smi").write_text("OCC ethanol\nC1=CC=CC=C1\tbenzene\n", encoding="utf-8")
    with gzip.open("b.csv.gz", "wt", encoding="utf-8") as file:
        file.write("name,structure\nethanol,OCC\nbenzene,c1ccccc1\n")
    with Chem.SDWriter("c.sdf") as writer:
        for smiles in ("OCC", "c1ccccc1"):
            writer.write(Chem.MolFromSmiles(smiles))
    reports = [scored(name, "--reference", "reference.smi") for name in ("a.smi", "b.csv.gz", "c.sdf")]
    assert [counts(report) for report in reports] == [(2, 2, 2, 2, 1)] * 3
    assert len({report["fcd"]["fcd"] for report in reports}) == 1


def test_no_valid_molecule_is_a_result():
    Path("bad.smi").write_text("C1CC\nxyz\n", encoding="utf-8")
    report = scored("bad.smi", "--reference", "reference.smi")
    assert counts(report) == (2, 0, 0, 0, 0)
    assert report["fcd"]["fcd"] is None and report["shares"]["unique"]["share"] is None
    assert "no FCD: it needs 2 valid generated molecules" in report["warnings"][0]


def test_num_is_the_denominator():
    report = scored("reference.smi", "--reference", "reference.smi", "--num", "60")
    assert report["shares"]["valid"] == {"share": 0.5, "count": 30, "total": 60, "of": "requested"}
    assert report["reasons"] == {"not in the file": 30} and report["requested_from"] == "--num"


def test_the_run_record_counts_the_failures_that_are_not_in_the_file():
    Path("molecules.csv").write_text("smiles\nCCO\nOCC\nCCCCCCCC\n", encoding="utf-8")
    record: dict = {
        "output_sha256": hashlib.sha256(Path("molecules.csv").read_bytes()).hexdigest(),
        "counts": {"requested": 10, "sanitised": 5, "valid": 4, "reasons": {"radical": 5, "several fragments": 1}},
    }
    Path("molecules.json").write_text(json.dumps(record), encoding="utf-8")
    report = scored("molecules.csv", "--reference", "reference.smi")
    assert counts(report) == (10, 5, 4, 2, 1)
    assert report["reasons"] == record["counts"]["reasons"] and report["rows"] == 3
    assert report["requested_from"] == "run record molecules.json"

    with Path("molecules.csv").open("a", encoding="utf-8") as file:
        file.write("CCC\n")  # the record is no longer this file's
    report = scored("molecules.csv", "--reference", "reference.smi")
    assert counts(report) == (4, 4, 4, 3, 1)
    assert any("molecules.json does not fit molecules.csv" in text for text in report["warnings"])
    with pytest.raises(InputError, match="run record"):
        score("molecules.csv", "--reference", "reference.smi", "--output", "molecules.json")


def test_a_prepared_set_gives_novelty_by_its_train_and_fcd_by_its_test_split(in_folder, monkeypatch):
    splits = {"train": MOLECULES[:20], "valid": ["CCS"] * 3, "test": MOLECULES[20:]}
    canonical = {name: [clean(parse_smiles(text)).smiles for text in part] for name, part in splits.items()}
    sizes = {name: len(part) for name, part in splits.items()}
    prepared = SimpleNamespace(folder=in_folder, name="qm9", splits=sizes, smiles=canonical.get)
    monkeypatch.setattr("molgen.evaluation.open_reference.prepare", lambda source, progress: prepared)
    Path("m.smi").write_text("\n".join(splits["test"]) + "\n", encoding="utf-8")
    report = scored("m.smi", "--reference", "qm9")
    assert counts(report) == (10, 10, 10, 10, 10)
    assert report["fcd"]["fcd"] == pytest.approx(0, abs=1e-3) and report["fcd"]["reference"] == "qm9 test"
    real = sample(canonical["train"], 10)
    expected = fcd_distance(real, canonical["test"])
    assert report["fcd"]["floor"] == pytest.approx(expected, abs=1e-3)
    assert scored("m.smi", "--reference", "qm9", "--split", "valid")["fcd"]["reference_molecules"] == 3
    with pytest.raises(InputError, match=r"'train'.*choose from valid, test"):
        score("m.smi", "--reference", "qm9", "--split", "train")


def test_the_floor_of_a_large_file_is_drawn_from_the_rest_of_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("molgen.evaluation.open_reference.FCD_SAMPLE", 12)
    Path("m.smi").write_text("\n".join(MOLECULES[:10]) + "\n", encoding="utf-8")
    report = scored("m.smi", "--reference", "reference.smi")
    assert (report["fcd"]["molecules"], report["fcd"]["reference_molecules"]) == (10, 12)
    mixed = sample([clean(parse_smiles(text)).smiles for text in MOLECULES], 30)
    assert report["fcd"]["floor"] == pytest.approx(fcd_distance(mixed[12:22], mixed[:12]), abs=1e-3)


def test_standard_input():
    result = score("-", "--reference", "reference.smi", text="CCO\nCC.C\n")
    assert "2 requested" in result.stdout
    assert [path.name for path in Path().iterdir()] == ["reference.smi"]


@pytest.mark.parametrize("name", ["m.smi", "m.csv.gz"])
def test_the_scores_are_written_beside_the_input(name: str):
    Path("results").mkdir()
    with (gzip.open if name.endswith("gz") else open)(f"results/{name}", "wt", encoding="utf-8") as file:
        file.write("smiles\nCCO\n" if name.endswith("gz") else "CCO\n")
    for _ in range(2):  # scores of before are replaced
        assert score(f"results/{name}", "--reference", "reference.smi").exit_code == 0
    assert {path.name for path in Path("results").iterdir()} == {name, "m.scores.json"}
    assert counts(json.loads(Path("results/m.scores.json").read_text(encoding="utf-8"))) == (1, 1, 1, 1, 0)


def test_a_model_gives_novelty_and_no_fcd():
    known = "C"  # methane is in the training part of QM9
    Path("m.smi").write_text(f"{known}\nCCCCCCCCCCCCCCC\n", encoding="utf-8")
    folder = str(list_models()["qm9-digress"])
    for model in ("qm9-digress", folder):
        result = score("m.smi", "--reference", model)
        report = json.loads(Path("m.scores.json").read_text(encoding="utf-8"))
        assert counts(report) == (2, 2, 2, 2, 1)
        assert report["fcd"] is None and report["reference"] == "qm9-digress"
        assert "FCD" not in result.stdout and "Warning: no FCD: the model" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.csv", "--reference", "reference.smi"], "missing.csv"),
        (["reference.smi", "--reference", "zinc"], "no reference 'zinc'; give qm9, moses, "),
        (
            ["reference.smi", "--reference", "reference.smi", "--num", "29"],
            "has 30 rows, more than the 29 molecules asked for",
        ),
        (["reference.smi", "--reference", "reference.smi", "--split", "test"], "has no parts"),
        (["reference.smi", "--reference", "reference.smi", "--output", "reference.smi"], "would be lost"),
        (["reference.smi", "--reference", "reference.smi", "--output", "no/scores.json"], "does not exist"),
    ],
)
def test_bad_input_is_told(arguments: list[str], message: str):
    with pytest.raises(InputError, match=message):
        score(*arguments)
    assert sorted(path.name for path in Path().iterdir()) == ["reference.smi"]


def test_the_program_ends_bad_input_with_one_line_and_code_2():
    Path("bad.smi").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    for file in ("missing.smi", "bad.smi"):
        call = [
            sys.executable,
            "-c",
            "from molgen.cli import main; main()",
            "score",
            file,
            "--reference",
            "reference.smi",
        ]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and done.stdout == ""
        assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1 and file in done.stderr


def test_scores_do_not_depend_on_workers():
    one = score("reference.smi", "--reference", "reference.smi").stdout
    two = CliRunner().invoke(command, ["reference.smi", "--reference", "reference.smi", "--workers", "2"]).stdout
    assert one == two and np.char.count(one, "requested") == 4

"""molgen data: the account it prints, and errors that name the option that helps."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from molgen.cli import cli
from molgen.cli.bars import NOT_PLAIN, tell_salts
from molgen.cli.data import rare_atoms, shown
from molgen.data.dataset import Statistics
from molgen.data.importing import LOST
from molgen.errors import InputError
from molgen.molecules.vocabulary import AtomClass, Vocabulary
from tests.data.small_set import SMILES


def test_the_command_prints_the_account_and_writes_the_rejects(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path / "cache"))
    source, rejects = tmp_path / "x.smi", tmp_path / "r.csv"
    source.write_text("\n".join([*SMILES, "[13CH3]Br", "nope"]), encoding="utf-8")
    result = CliRunner().invoke(cli, ["data", str(source), "--rejects", str(rejects)], catch_exceptions=False)
    assert result.exit_code == 0
    table = dict(line.rsplit("  ", 1) for line in result.stdout.splitlines() if "  " in line)
    table = {key.strip(): value.strip() for key, value in table.items()}
    assert table["rows read"] == "26"
    assert table["kept"] == "25"
    assert table["rejected"] == table["unparsable"] == "1"
    assert table["kept, isotopes dropped"] == "1"
    assert table["heavy atoms"] == "1 to 9"
    assert table["atom classes"] == "C N O Br"
    assert Path(table["prepared set"]).is_dir()
    assert rejects.read_text(encoding="utf-8").splitlines()[1:] == ["26,nope,,unparsable"]


def test_salts_bring_a_hint_and_the_option_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "x.smi"
    salts = ["CC(=O)[O-].[Na+]", "C1CCNCC1.Cl", "[Na+].[Cl-]", "C[C@H](F)Cl", "C[C@@H](F)Cl", "CCO"]
    source.write_text("\n".join([*SMILES, *salts]), encoding="utf-8")
    plain = CliRunner().invoke(cli, ["data", str(source)], catch_exceptions=False)
    assert (
        "Hint: 3 of 30 rows are salts, mixtures or metal compounds; --standardise keeps the organic part of most of "
        "them\n" in plain.stderr
    )
    assert "standardised" not in plain.stdout
    result = CliRunner().invoke(cli, ["data", str(source), "--standardise"], catch_exceptions=False)
    assert "Hint" not in result.stderr
    table = dict(line.rsplit("  ", 1) for line in result.stdout.splitlines() if "  " in line)
    table = {key.strip(): value.strip() for key, value in table.items()}
    assert (table["duplicate"], table["stereoisomers"], table["exact repeats"]) == ("2", "1", "1")
    assert (table["no organic fragment"], table["kept, standardised"]) == ("1", "2")
    assert (table["fragments removed"], table["charges neutralised"]) == ("2", "1")
    assert Path(table["list of changes"]).read_text(encoding="utf-8").count("\n") == 3
    assert Path(table["prepared set"]) == Path(table["list of changes"]).parent


def test_a_file_of_salts_alone_is_an_error_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "x.smi").write_text("CCO.Cl\nCCN.Cl\n", encoding="utf-8")
    result = CliRunner().invoke(cli, ["data", str(tmp_path / "x.smi")])
    assert isinstance(result.exception, InputError)
    assert str(result.exception) == (
        "none of the 2 rows holds a usable molecule (2 several fragments); salts and mixtures can be standardised "
        "(--standardise)"
    )


def test_few_salts_bring_no_hint(capsys):
    tell_salts({"several fragments": 9, "unparsable": 500}, 1_000)
    tell_salts({}, 0)
    assert capsys.readouterr().err == ""
    tell_salts({"several fragments": 9, LOST: 1}, 1_000)
    assert capsys.readouterr().err.startswith("Hint: 10 of 1,000 rows")
    assert LOST in NOT_PLAIN


def test_very_many_atom_classes_are_told():
    classes = [AtomClass(element, charge) for element in "CNOFSPBI" for charge in (0, 1, -1, 2, -2, 3)]
    shares = (0.95, 0.042, *[0.008 / 46] * 46)
    statistics = Statistics((0,) * 10 + (1000,), shares, (1.0, 0.0, 0.0, 0.0))
    warning = rare_atoms(Vocabulary(tuple(classes)), statistics)
    assert warning.startswith("48 atom classes are many") and "Of 46 there are fewer than 10 atoms" in warning
    assert "C- (2)" in warning
    assert rare_atoms(Vocabulary(tuple(classes[:20])), statistics) == ""


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        (["data", "x.csv"], " (--smiles-column)"),
        (["report", "x.csv", "--output", "r"], " (--smiles-column)"),
        (["train", "--data", "x.csv", "--output", "r"], " (--smiles-column)"),
    ],
)
def test_an_error_ends_with_the_option_that_helps(tmp_path, monkeypatch, command, flag):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "x.csv").write_text("a,b\n1,hello\n2,world\n", encoding="utf-8")
    result = CliRunner().invoke(cli, command)
    assert isinstance(result.exception, InputError)
    assert str(result.exception) == f"no column of x.csv holds SMILES; columns: 'a', 'b'; name the column{flag}"


def test_each_stage_has_one_bar(capsys):
    with shown() as progress:
        for stage in ("reading", "measuring"):
            for done in (2_000, 4_000, 6_000):
                progress(stage, done, 6_000)
    lines = [line for line in capsys.readouterr().err.replace("\r", "\n").split("\n") if "rows/s" in line]
    begun = [line for line in lines if " 0.00/6.00k" in line]
    assert len(begun) == 2

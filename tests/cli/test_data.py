"""molgen data: the account it prints, and errors that name the option that helps."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from molgen.cli import cli
from molgen.cli.data import rare_atoms
from molgen.data.dataset import Statistics
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

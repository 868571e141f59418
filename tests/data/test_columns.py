"""Which column holds the SMILES: told, and asked for where it is not clear."""

import pandas as pd
import pytest
from click.testing import CliRunner

from molgen.cli import cli
from molgen.data.readers import read_molecules
from molgen.errors import InputError
from tests.data.small_set import SMILES

TEXTS = ["CCO", "CCN", "CCC"]
OTHERS = ["CC(=O)O", "c1ccccc1", "C1CC1"]


def used(path, content, **options):
    """The column that is read of a table, and the molecules in it."""
    path.write_text(content, encoding="utf-8")
    columns = []
    rows = [row.text for row in read_molecules(path, on_column=columns.append, **options)]
    return columns, rows


def table(*names):
    return "\n".join(",".join(cells) for cells in [names, *zip(TEXTS, OTHERS, strict=True)]) + "\n"


def test_the_column_is_told(tmp_path):
    assert used(tmp_path / "a.csv", table("SMILES", "product_smiles")) == (["SMILES"], TEXTS)
    assert used(tmp_path / "b.csv", table("isomeric_smiles", "canonical_smiles")) == (["canonical_smiles"], OTHERS)
    assert used(tmp_path / "c.csv", table("a", "b"), smiles_column="B") == (["b"], OTHERS)
    assert used(tmp_path / "d.csv", "n,what\n1,CCO\n2,CCN\n3,CCC\n") == (["what"], TEXTS)
    assert used(tmp_path / "e.csv", "1,CCO\n2,CCN\n3,CCC\n") == (["2 (the table has no header)"], TEXTS)
    assert used(tmp_path / "f.smi", "CCO\nCCN\nCCC\n") == ([], TEXTS)
    assert used(tmp_path / "g.csv", "molecule,ligand SMILES\nAspirin,CCO\nIbuprofen,CCN\n") == (
        ["ligand SMILES"],
        ["CCO", "CCN"],
    )


@pytest.mark.parametrize(
    "names", [("smiles_1", "smiles_2"), ("payload", "linker"), ("reactant", "product"), ("Smiles", "smiles ")]
)
def test_of_several_columns_none_is_picked_without_a_word(tmp_path, names):
    with pytest.raises(InputError, match=f"several columns of .* can be the SMILES: '{names[0]}', '{names[1]}'; ") as e:
        used(tmp_path / "x.csv", table(*names))
    assert e.value.parameter == "smiles_column"
    pd.DataFrame({names[0]: TEXTS, names[1]: OTHERS}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"several columns of .* can be the SMILES"):
        list(read_molecules(tmp_path / "x.parquet"))
    assert used(tmp_path / "y.csv", table(*names), smiles_column=names[0])[1] == TEXTS


def test_several_columns_without_a_header(tmp_path):
    with pytest.raises(InputError, match=r"the columns 1, 2 of .* all hold SMILES; write a first line of names"):
        used(tmp_path / "x.csv", table("CCCC", "CCCCC"))


def test_a_name_that_is_there_twice_says_nothing(tmp_path):
    with pytest.raises(InputError, match="has 2 columns called 'a'; give them different names"):
        used(tmp_path / "x.csv", table("a", "a"), smiles_column="a")


@pytest.mark.parametrize("name", ["CID", "molecule_chembl_id", "PUBCHEM_COMPOUND_CID", "Name", "Compound-Name"])
def test_names_are_known_by_their_column(tmp_path, name):
    (tmp_path / "x.csv").write_text(f"note,{name},smiles\nx,m1,CCO\n", encoding="utf-8")
    assert [row.name for row in read_molecules(tmp_path / "x.csv")] == ["m1"]


def test_the_commands_tell_the_column(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "x.csv"
    path.write_text("n,what\n" + "".join(f"{n},{smiles}\n" for n, smiles in enumerate(SMILES)), encoding="utf-8")
    training = ["train", "--data", str(path), "--output", str(tmp_path / "run"), "--check"]
    reference = tmp_path / "r.smi"
    reference.write_text("CCO\nCCN\n", encoding="utf-8")
    report = ["report", str(path), "--reference", str(reference), "--output", str(tmp_path / "report")]
    score = ["score", str(path), "--reference", "qm9-digress"]
    for command in (["data", str(path)], ["data", str(path)], training, score, report):
        result = CliRunner().invoke(cli, [*command, *(["--workers", "1"] if command in (score, report) else [])])
        assert result.exit_code == 0, result.output
        assert "SMILES column: what\n" in result.stderr, command

"""Every format comes back as it was written, and a failed write leaves nothing."""

import io

import pandas as pd
import pytest
from rdkit import Chem

from molgen.data import writers
from molgen.data.writers import FORMATS, open_writer, safe_cells
from molgen.errors import InputError

ROWS = pd.DataFrame(
    {
        "smiles": ["C[NH+](C)CC(=O)[O-]", "c1cc[nH]c1", "C#N"],
        "mw": [103.12, 67.09, 27.03],
        "rings": pd.array([0, 1, None], dtype="Int64"),
        "novel": [True, False, True],
        "sample": [1, 2, 1234567],
    }
)


def write(path, rows=ROWS, chunk=2):
    with open_writer(path) as writer:
        for start in range(0, max(len(rows), 1), chunk):
            writer.write(rows[start : start + chunk])


def test_csv_in_chunks_is_the_csv_in_one(tmp_path):
    write(tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_bytes().decode() == (
        "smiles,mw,rings,novel,sample\n"
        "C[NH+](C)CC(=O)[O-],103.12,0,True,1\n"
        "c1cc[nH]c1,67.09,1,False,2\n"
        "C#N,27.03,,True,1234567\n"
    )


def test_smi_is_smiles_tab_name(tmp_path):
    write(tmp_path / "m.smi")
    assert (tmp_path / "m.smi").read_bytes() == (
        b"C[NH+](C)CC(=O)[O-]\tmolgen-000001\nc1cc[nH]c1\tmolgen-000002\nC#N\tmolgen-1234567\n"
    )


def test_molecules_keep_their_names(tmp_path):
    named = ROWS.assign(name=["betaine\tof beet\n", "$$$$", None])
    write(tmp_path / "m.smi", named)
    assert (tmp_path / "m.smi").read_text().splitlines() == [
        "C[NH+](C)CC(=O)[O-]\tbetaine of beet",
        "c1cc[nH]c1\tmolgen-000002",
        "C#N\tmolgen-1234567",
    ]
    write(tmp_path / "m.sdf", named)
    titles = [mol.GetProp("_Name") for mol in Chem.SDMolSupplier(str(tmp_path / "m.sdf"))]
    assert titles == ["betaine of beet", "molgen-000002", "molgen-1234567"]


def test_sdf_comes_back_as_the_same_molecules_flat_and_with_their_fields(tmp_path):
    write(tmp_path / "m.sdf")
    mols = list(Chem.SDMolSupplier(str(tmp_path / "m.sdf")))
    assert [Chem.MolToSmiles(mol) for mol in mols] == ROWS.smiles.tolist()
    assert [mol.GetProp("_Name") for mol in mols] == ["molgen-000001", "molgen-000002", "molgen-1234567"]
    assert mols[0].GetPropsAsDict()["mw"] == 103.12
    assert mols[1].GetProp("rings") == "1" and not mols[2].HasProp("rings")
    for mol in mols:
        places = mol.GetConformer().GetPositions()
        assert not places[:, 2].any() and len({tuple(place) for place in places.tolist()}) == mol.GetNumAtoms()


@pytest.mark.parametrize("group", [1, 2, 1000])
def test_parquet_comes_back_whatever_its_row_groups(tmp_path, monkeypatch, group):
    monkeypatch.setattr(writers, "ROW_GROUP", group)
    write(tmp_path / "m.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "m.parquet"), ROWS)


@pytest.mark.parametrize("extension", FORMATS)
def test_no_rows_still_make_a_file(tmp_path, extension):
    write(tmp_path / f"m{extension}", ROWS[:0])
    content = (tmp_path / f"m{extension}").read_bytes()
    assert content[:4] == {".csv": b"smil", ".parquet": b"PAR1"}.get(extension, b"")


def test_extensions_in_capitals_are_known_and_others_refused(tmp_path):
    write(tmp_path / "M.CSV")
    assert (tmp_path / "M.CSV").exists()
    for name in ("m.xlsx", "m", "m.csv.gz"):
        with pytest.raises(InputError, match=r"\.csv, \.smi, \.sdf, \.parquet"):
            write(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["M.CSV"]


@pytest.mark.parametrize("extension", FORMATS)
def test_a_failed_write_leaves_the_old_file(tmp_path, extension):
    path = tmp_path / f"m{extension}"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), open_writer(path) as writer:
        writer.write(ROWS)
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_standard_output_gets_the_csv(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    write("-")
    assert stream.buffer.getvalue().startswith(b"smiles,mw,rings,novel,sample\nC[NH+]")
    assert stream.buffer.getvalue().count(b"\n") == 4


def test_text_is_kept_from_spreadsheets_but_not_smiles_or_numbers():
    rows = pd.DataFrame({"smiles": ["=C"], "name": ["=1+1"], "note": ["-x"], "plain": ["a=b"], "charge": [-1]})
    assert safe_cells(rows).iloc[0].tolist() == ["=C", "'=1+1", "'-x", "a=b", -1]
    assert rows["name"][0] == "=1+1"

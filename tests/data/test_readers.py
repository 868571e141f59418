import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from rdkit import Chem

from molgen.data.readers import FORMATS, MAX_LINE, Row, Wanted, expected_rows, read_molecules
from molgen.data.readers.streams import text_lines
from molgen.errors import InputError
from molgen.molecules.parsing import MAX_BLOCK_LENGTH, MAX_SMILES_LENGTH, Rejected, parse_block, parse_smiles

MOLECULES = [("CCO", "ethanol"), ("c1ccccc1", "benzene"), ("CC(=O)O", "NA")]


def written(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


SDF = "ethanol" + Chem.MolToMolBlock(Chem.MolFromSmiles("CCO"))


def read(path: Path, content: str | bytes, **options) -> list[Row]:
    return list(read_molecules(written(path, content), **options))


def table(separator: str, *header: str) -> str:
    return "\n".join(separator.join(cells) for cells in [header, *MOLECULES]) + "\n"


@pytest.mark.parametrize("gz", ["", ".gz"])
@pytest.mark.parametrize(
    ("extension", "content", "first"),
    [
        (".smi", "CCO\tethanol\nc1ccccc1 benzene\n\nCC(=O)O\tNA", [1, 2, 4]),
        (".smiles", "SMILES\tName\nCCO ethanol\nc1ccccc1 benzene\nCC(=O)O NA\n".replace(" ", "\t"), [2, 3, 4]),
        (".txt", "smiles\nCCO ethanol\nc1ccccc1 benzene\nCC(=O)O NA\n", [2, 3, 4]),
        (".csv", table(",", "SMILES", "Name"), [2, 3, 4]),
        (".csv", "\ufeff" + table(";", "Canonical Smiles", "ID").replace("\n", "\r\n"), [2, 3, 4]),
        (".tsv", table("\t", "structure", "title"), [2, 3, 4]),
        (".csv", "note,smiles,id\n" + "".join(f'"a, ""b""\nc",{s},{n}\n' for s, n in MOLECULES), [2, 4, 6]),
    ],
)
def test_every_format_gives_line_name_and_text(tmp_path, extension, content, first, gz):
    rows = read(tmp_path / f"x{extension}{gz}", content)
    assert [(row.text, row.name) for row in rows] == MOLECULES
    assert [row.line for row in rows] == first
    assert not any(row.is_block for row in rows)


@pytest.mark.parametrize("gz", ["", ".gz"])
def test_about_how_many_rows_there_will_be(tmp_path, gz):
    read(tmp_path / f"x.smi{gz}", "CCO\n" * 300_000)
    assert expected_rows(tmp_path / f"x.smi{gz}") == 300_000
    assert expected_rows("-") is None
    assert expected_rows(tmp_path / "none.smi") is None


def test_a_name_that_sounds_like_a_header_is_a_name(tmp_path):
    rows = read(tmp_path / "x.smi", "C1CC1\tno smiles\nCCO\tsmiles\n")
    assert [(row.line, row.text, row.name) for row in rows] == [(1, "C1CC1", "no smiles"), (2, "CCO", "smiles")]
    rows = read(tmp_path / "y.smi", "N\tsmiles\n1\tC1CC1\n")
    assert [(row.line, row.text) for row in rows] == [(2, "C1CC1")]


def test_a_cell_may_be_as_long_as_a_line(tmp_path):
    for name, content in (("x.csv", "smiles,note\nCCO,"), ("x.smi", "CCO ")):
        assert [row.text for row in read(tmp_path / name, content + "x" * 900_000 + "\n")] == ["CCO"]


def test_utf_16_is_read_by_its_mark(tmp_path):
    rows = read(tmp_path / "x.csv", "smiles,name\r\nCCO,Äthanol\r\n".encode("utf-16"))
    assert rows == [Row(2, "Äthanol", "CCO")]
    assert expected_rows(tmp_path / "x.csv") == 2


def test_a_line_of_a_table_among_smiles_is_a_row(tmp_path):
    rows = read(tmp_path / "x.smi", "CCO,ethanol\nCCN\nCCO |$;;R1$|\n")
    assert [row.text for row in rows] == ["CCO,ethanol", "CCN", "CCO"]


def test_what_is_too_long_for_a_molecule_is_cut_and_still_rejected(tmp_path):
    [row] = read(tmp_path / "x.smi", "C" * 500_000 + " " + "n" * 400_000)
    assert (len(row.text), len(row.name)) == (MAX_SMILES_LENGTH + 1, 1_000)
    with pytest.raises(Rejected, match="SMILES longer than 2000 characters"):
        parse_smiles(row.text)
    [row] = read(tmp_path / "x.sdf", SDF.replace("M  END", "x" * 300 + "\n" + ("y" * 80 + "\n") * 30_000 + "M  END"))
    assert len(row.text) == MAX_BLOCK_LENGTH + 1
    with pytest.raises(Rejected, match="mol block longer than 200000 characters"):
        parse_block(row.text)


def test_a_record_without_a_title_is_named_by_a_data_field(tmp_path):
    untitled = SDF.removeprefix("ethanol")
    fields = "> <PUBCHEM_COMPOUND_CID>\n702\n\n> <CAS>\n64-17-5\n\n"
    rows = read(tmp_path / "x.sdf", f"{untitled}{fields}$$$$\n{SDF}{fields}$$$$\n{untitled}$$$$\n")
    assert [row.name for row in rows] == ["702", "ethanol", ""]


def test_parquet(tmp_path):
    frame = pd.DataFrame({"n": [1, 2, 3], "name": [n for _, n in MOLECULES], "Smiles": [s for s, _ in MOLECULES]})
    frame.to_parquet(tmp_path / "x.parquet")
    expected = [Row(line, name, smiles) for line, (smiles, name) in enumerate(MOLECULES, 1)]
    assert list(read_molecules(tmp_path / "x.parquet")) == expected
    assert expected_rows(tmp_path / "x.parquet") == 3
    assert read(tmp_path / "y.parquet.gz", (tmp_path / "x.parquet").read_bytes()) == expected


def test_missing_cells_are_rows(tmp_path):
    pd.DataFrame({"smiles": ["C", None]}).to_parquet(tmp_path / "x.parquet")
    assert [row.text for row in read_molecules(tmp_path / "x.parquet")] == ["C", ""]
    assert [row.text for row in read(tmp_path / "x.csv", "id,smiles\n1,C\n2,\n3\n")] == ["C", "", ""]
    assert [row.text for row in read(tmp_path / "y.csv", 'smiles\nC\n""\n')] == ["C", ""]


def test_words_that_pandas_takes_for_missing_stay_words(tmp_path):
    rows = read(tmp_path / "x.csv", "smiles,name\nNA,None\nnull,NaN\n")
    assert [(row.text, row.name) for row in rows] == [("NA", "None"), ("null", "NaN")]


def test_a_column_without_a_telling_name_is_found_by_its_content(tmp_path):
    body = "".join(f"{k},C,{smiles}\n" for k, (smiles, _) in enumerate(MOLECULES))
    with_header = read(tmp_path / "x.csv", "number,element,what\n" + body)
    without = read(tmp_path / "y.csv", body)
    assert [row.text for row in with_header] == [row.text for row in without] == [smiles for smiles, _ in MOLECULES]
    assert [row.line for row in without] == [1, 2, 3]


def test_the_column_can_be_named(tmp_path):
    content = "smiles,product\nC,CCO\nC,CCN\n"
    assert [row.text for row in read(tmp_path / "x.csv", content, smiles_column="PRODUCT")] == ["CCO", "CCN"]
    with pytest.raises(InputError, match=r"no column 'educt'; columns: 'smiles', 'product'"):
        read(tmp_path / "x.csv", content, smiles_column="educt")


def test_sdf_with_a_broken_record_in_the_middle(tmp_path):
    blocks = ["ethanol" + Chem.MolToMolBlock(Chem.MolFromSmiles("CCO")), "broken\n\n\nnonsense\n", ""]
    blocks.append("methane" + Chem.MolToMolBlock(Chem.MolFromSmiles("C")))
    content = ">  <note>\nx\n\n$$$$\n".join(blocks)
    rows = read(tmp_path / "x.sdf", content)
    assert [row.name for row in rows] == ["ethanol", "broken", ">  <note>", "methane"]
    assert all(row.is_block for row in rows)
    lines = content.splitlines()
    assert [lines[row.line - 1] for row in rows] == [row.name for row in rows]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", "pIC50,smiles,Charge\n6.5,CCO,-1\n,CCN, 2e0 \nNA,CCC,nan\n7,CCS\n"),
        ("x.tsv.gz", "PIC50 \tsmiles\tcharge\n6.5\tCCO\t-1\n\tCCN\t2\nNaN\tCCC\t\n7\tCCS\tna\n"),
        ("x.smi", "smiles\tcharge\tpIC50\nCCO\t-1\t6.5\nCCN\t2\t\nCCC\t\t\nCCS\t\t7\n"),
    ],
)
def test_columns_of_numbers_come_with_the_molecules(tmp_path, name, content):
    rows = read(tmp_path / name, content, properties=("pIC50", "charge"))
    assert [row.text for row in rows] == ["CCO", "CCN", "CCC", "CCS"]
    assert str([row.values for row in rows]) == "[(6.5, -1.0), (nan, 2.0), (nan, nan), (7.0, nan)]"
    assert [row.values for row in read_molecules(tmp_path / name)] == [()] * 4


def test_columns_of_numbers_in_parquet(tmp_path):
    frame = {"smiles": ["CCO", "CCN"], "n": [3, -4], "float": [0.25, None], "text": ["1.5", None], "word": ["1", "x"]}
    pd.DataFrame(frame).to_parquet(tmp_path / "x.parquet")
    rows = list(read_molecules(tmp_path / "x.parquet", properties=("Float", "n", "text")))
    assert [row.text for row in rows] == ["CCO", "CCN"]
    assert str([row.values for row in rows]) == "[(0.25, 3.0, 1.5), (nan, -4.0, nan)]"
    with pytest.raises(InputError, match=r"column 'word' of .*x.parquet: 'x' on line 2 is not a number"):
        list(read_molecules(tmp_path / "x.parquet", properties=("word",)))
    with pytest.raises(InputError, match=r"no column 'ki'; columns: 'smiles', 'n', 'float', 'text', 'word'"):
        list(read_molecules(tmp_path / "x.parquet", properties=("ki",)))


def test_data_fields_of_numbers_in_an_sdf(tmp_path):
    fields = [
        ">  <note>\n> 12\nmore\n\n> 25 <pIC50> (1)\n6.5\n\n>  <Ki>\n\n",
        ">  <ki>\n3\n>  <PIC50>\n-7\n\n",  # no empty line between the fields
        "",
        ">  <Ki>\nnan\n\n",
    ]
    content = "".join(SDF + part + "$$$$\n" for part in fields)
    rows = read(tmp_path / "x.sdf", content, properties=("pIC50", "Ki"))
    assert str([row.values for row in rows]) == "[(6.5, nan), (-7.0, 3.0), (nan, nan), (nan, nan)]"
    assert [row.text for row in rows] == [row.text for row in read_molecules(tmp_path / "x.sdf")]
    assert {row.values for row in read_molecules(tmp_path / "x.sdf")} == {()}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "smiles,pIC50\nCCO,1\n\nCCN,>5\n", "column 'pIC50' of .*x.csv: '>5' on line 4 is not a number"),
        ("x.csv", "smiles,pIC50\nCCO,inf\n", "'inf' on line 2 is not a number"),
        ("x.csv", "smiles,pIC50\nCCO,-1e39\n", "'-1e39' on line 2 is not a number"),
        ("x.csv", 'smiles,pIC50\nCCO,"3,5"\n', "'3,5' on line 2 is not a number"),
        ("x.csv", "smiles,Ki\nCCO,1\n", r"x.csv has no column 'pIC50'; columns: 'smiles', 'Ki'"),
        ("x.csv", "CCO,1\nCCN,2\n", "x.csv has no column 'pIC50'; columns: 'CCO', '1'"),
        ("x.smi", "CCO 1\nCCN 2\n", "x.smi has no column 'pIC50'; columns: 'CCO 1'"),
        ("x.sdf", SDF + "> <Ki>\n1\n\n$$$$\n", "x.sdf has no column 'pIC50'; columns: 'Ki'"),
        ("x.sdf", SDF + "$$$$\n", "x.sdf has no column 'pIC50'; columns: none are named"),
        ("x.sdf", SDF + "> <pIC50>\n<5\n\n$$$$\n", "'<5' on line 12 is not a number"),
        ("x.sdf", SDF + "> <pIC50>\n5\n6\n\n$$$$\n", "a second value of 'pIC50' in one record: '6' .line 13."),
    ],
)
def test_a_property_that_is_not_there_or_not_a_number_is_an_error(tmp_path, name, content, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path / name, content, properties=("pIC50",))


@pytest.mark.parametrize("content", ["CCO\tethanol\nCCN\t\n", "Smiles,Name\nCCO,ethanol\nCCN,\n"])
def test_standard_input(monkeypatch, content):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content.encode())))
    assert [(row.text, row.name) for row in read_molecules("-")] == [("CCO", "ethanol"), ("CCN", "")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.smi", "", "holds no molecules"),
        ("x.csv", "\n\n\n", "holds no molecules"),
        ("x.csv", "smiles,name\n", "holds no molecules"),
        ("x.smi", "CCO\n" + "C" * (MAX_LINE + 5), "line 2 of .* is longer than 1,000,000 characters"),
        ("x.csv", "smiles,name\nCCO,é\n".encode("latin-1"), "not UTF-8 text .byte 0xe9 near line 1.; save it as UTF-8"),
        ("x.csv", "smiles,name\nCCO,x\n".encode("utf-16-le"), "a binary file .or UTF-16 without its mark., not UTF-8"),
        ("x.csv", "smiles,name\n".encode("utf-16") + b"C", "is not UTF-16 text .byte 0x43 near line 2."),
        ("x.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", "is a binary file"),
        ("x.smi", b"C\n" * 5000 + b"C\0C\n", "is a binary file"),
        ("x.csv", "a,b\n1,hello\n2,world\n", "no column of .* holds SMILES; columns: 'a', 'b'; name the column$"),
        ("x.csv", 'smiles,b\nCCO,"x\n' + "CCN,y\n" * 30_000, "is not a table: .*from line 2"),
        (
            "x.csv.gz",
            'smiles,b\nC,"\n' + '","\n' * 500_000,
            "not a table: the row from line 2 is longer than 1,000,000",
        ),
        ("x.smi", "CCO,ethanol\nCCN,amine\n", "the lines of .*x.smi hold cells, separated by ','; call it .csv, or"),
        ("x.smi", "1;CCO\n2;CCN\n", "hold cells, separated by ';'; call it .csv"),
        ("x.smi", "InChI=1S/CH4/h1H4\n", "holds InChI, which is not read; write SMILES"),
        ("x.csv", "id,inchi\n1,InChI=1S/CH4/h1H4\n", "column 'inchi' of .*x.csv holds InChI, which is not read"),
        ("x.tar.gz", "CCO\n", "x.tar.gz is packed; unpack it, and give the file of molecules that is inside"),
        ("x.zip", "CCO\n", "x.zip is packed; unpack it"),
        ("x.csv", b"PK\x03\x04 and so on", "is a ZIP archive or a spreadsheet, not text; unpack it"),
        ("x.smi.gz", b"x.smi".ljust(257, b"\0") + b"ustar\0", "is a tar archive, not text; unpack it"),
        ("x.xlsx", "CCO\n", "is a spreadsheet; save the table with the molecules as .csv"),
        ("x.parquet", b"PAR1 nonsense PAR1", "cannot be read as Parquet"),
        ("x.docx", "CCO\n", "cannot tell the format of .* from its extension; allowed: .smi"),
    ],
)
def test_garbage_gives_one_clear_error(tmp_path, name, content, message):
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path / name, content)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_molecules(tmp_path / "x.smi")
    with pytest.raises(InputError, match="is a folder"):
        read_molecules(tmp_path)


def test_a_damaged_gzip_file(tmp_path):
    path = written(tmp_path / "x.smi.gz", "CCO\n" * 1000)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="damaged gzip"):
        list(read_molecules(path))


@pytest.mark.parametrize("name", ["x.smi.gz", "x.parquet.gz"])
def test_what_is_unpacked_is_limited(tmp_path, name):
    with pytest.raises(InputError, match="unpacks to more than the 1 MB allowed"):
        read(tmp_path / name, b"CCO\n" * 1_000_000, max_bytes=1_000_000)


def test_gzip_is_known_by_its_content(tmp_path):
    path = tmp_path / "x.smi"
    path.write_bytes(gzip.compress(b"CCO\n"))
    assert [row.text for row in read_molecules(path)] == ["CCO"]


def test_a_new_format_is_a_reader_and_a_line(tmp_path, monkeypatch):
    def read_backwards(stream: io.BufferedReader, wanted: Wanted) -> Iterator[Row]:
        for number, line in enumerate(text_lines(stream, wanted.label), 1):
            yield Row(number, "", line.strip()[::-1])

    with pytest.raises(InputError, match=r"cannot tell the format .* allowed: \.smi.*\.parquet, also \.gz"):
        read(tmp_path / "x.backwards", "OCC\n")
    monkeypatch.setitem(FORMATS, ".backwards", read_backwards)
    for name in ("x.backwards", "x.backwards.gz"):
        assert read(tmp_path / name, "OCC\nNCC\n") == [Row(1, "", "CCO"), Row(2, "", "CCN")]
        assert expected_rows(tmp_path / name) is None
    with pytest.raises(InputError, match="holds no molecules"):
        read(tmp_path / "y.backwards", "")
    with pytest.raises(InputError, match="unpacks to more than the 1 MB allowed"):
        read(tmp_path / "z.backwards.gz", "OCC\n" * 300_000, max_bytes=1_000_000)
    with pytest.raises(InputError, match=r"allowed: .*\.parquet, \.backwards, also"):
        read(tmp_path / "x.forwards", "CCO\n")

"""Parquet files that unpack to far more than they are, and damaged ones, from outside: clear errors, little memory."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from molgen.data.readers import parquet, read_molecules
from molgen.data.readers.rows import Row
from molgen.errors import InputError

READ = """
import resource, sys
from molgen.data.readers import read_molecules
from molgen.errors import InputError
resource.setrlimit(resource.RLIMIT_AS, (4_000_000_000, 4_000_000_000))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows, longest, error = 0, 0, ""
try:
    for row in read_molecules(sys.argv[1]):
        rows, longest = rows + 1, max(longest, len(row.text))
except InputError as found:
    error = str(found)
more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1000
print(rows, longest, more, error)
"""


def repeated(path: Path, length: int, rows: int, schema: bool = False, page: int = 20_000) -> Path:
    """A file of one text in each row, stored once."""
    places = pa.repeat(pa.scalar(0, pa.int32()), rows)
    texts = pa.DictionaryArray.from_arrays(places, pa.array(["C" * length]))
    pq.write_table(pa.table({"smiles": texts}), path, compression="zstd", store_schema=schema, max_rows_per_page=page)
    return path


def read_apart(path: Path) -> tuple[int, int, int, str]:
    """Rows, the longest text, MB of memory that the reading took, and the error."""
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows, longest, more, error = done.stdout.rstrip("\n").split(" ", 3)
    return int(rows), int(longest), int(more), error


@pytest.mark.parametrize("schema", [False, True])
def test_one_text_in_many_rows_stays_small(tmp_path, schema):
    path = repeated(tmp_path / "x.parquet", 300_000, 10_000, schema)
    assert path.stat().st_size < 1_500
    rows, longest, more, error = read_apart(path)
    assert (rows, longest, error) == (10_000, 2_001, "")
    assert more < 200


def test_what_is_read_is_limited(tmp_path):
    path = repeated(tmp_path / "x.parquet", 300_000, 10_000)
    with pytest.raises(InputError, match=r"x.parquet unpacks to more than the 50 MB allowed"):
        list(read_molecules(path, max_bytes=50_000_000))


def test_a_long_cell_is_refused(tmp_path):
    rows, _, more, error = read_apart(repeated(tmp_path / "x.parquet", 3_000_000, 10_000))
    assert rows == 0
    assert error.startswith("column 'smiles' of ") and error.endswith(
        "x.parquet has a cell of 3,000,000 bytes; at most 1,000,000 are read"
    )
    assert more < 300


def test_a_block_that_unpacks_too_far_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "BLOCK_BYTES", 2_000_000)
    texts = pa.array(["C" * 900_000] * 3)
    pq.write_table(pa.table({"smiles": texts}), tmp_path / "x.parquet", compression="zstd", use_dictionary=False)
    with pytest.raises(InputError, match=r"column 'smiles' of .* at once; write the file in smaller row groups"):
        list(read_molecules(tmp_path / "x.parquet"))
    pq.write_table(pa.table({"smiles": texts}), tmp_path / "y.parquet", use_dictionary=False, row_group_size=1)
    assert len(list(read_molecules(tmp_path / "y.parquet"))) == 3


def test_more_rows_than_the_bytes_can_hold(tmp_path):
    path = repeated(tmp_path / "x.parquet", 1, 30_000_000, page=30_000_000)
    assert path.stat().st_size < 10_000
    rows, _, more, error = read_apart(path)
    assert rows == 0 and "has 30,000,000 rows in" in error and more < 200


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.large_string())]
)
def test_every_kind_of_text_is_read(tmp_path, kind):
    texts = pa.array(["CCO", None, "CCO", "C"])
    texts = texts.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else texts.cast(kind)
    numbers = pa.array([1, 2, 1, None]).dictionary_encode()
    table = pa.table({"smiles": texts, "name": texts, "text": pa.array(["1", "2.5", "", None]), "n": numbers})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    rows = list(read_molecules(tmp_path / "x.parquet", properties=("text",)))
    assert [(row.line, row.name, row.text) for row in rows] == [
        (1, "CCO", "CCO"),
        (2, "", ""),
        (3, "CCO", "CCO"),
        (4, "C", "C"),
    ]
    assert str([row.values for row in rows]) == "[(1.0,), (2.5,), (nan,), (nan,)]"
    numbers = [row.values for row in read_molecules(tmp_path / "x.parquet", properties=("n",))]
    assert str(numbers) == "[(1.0,), (2.0,), (1.0,), (nan,)]"


def test_a_name_that_is_there_twice(tmp_path):
    table = pa.Table.from_arrays([pa.array(["CCO"]), pa.array(["CCN"])], names=["smiles", "smiles"])
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"x.parquet has 2 columns called 'smiles'; give them different names"):
        list(read_molecules(tmp_path / "x.parquet"))
    table = pa.Table.from_arrays([pa.array(["CCO"]), pa.array([1]), pa.array([2])], names=["smiles", "n", "n"])
    pq.write_table(table, tmp_path / "y.parquet")
    with pytest.raises(InputError, match=r"y.parquet has 2 columns called 'n'; give them different names"):
        list(read_molecules(tmp_path / "y.parquet", properties=("n",)))
    assert list(read_molecules(tmp_path / "y.parquet")) == [Row(1, "", "CCO")]


@pytest.mark.parametrize("dictionary", [True, False])
def test_text_that_is_not_utf_8(tmp_path, dictionary):
    texts = pa.Array.from_buffers(pa.string(), 2, pa.array([b"CCO", b"\xff\xfe"]).buffers())
    pq.write_table(pa.table({"smiles": texts}), tmp_path / "x.parquet", use_dictionary=dictionary)
    with pytest.raises(InputError, match=r"x.parquet holds text that is not UTF-8"):
        list(read_molecules(tmp_path / "x.parquet"))


def test_a_property_that_is_no_number(tmp_path):
    pq.write_table(pa.table({"smiles": ["CCO"], "list": pa.array([[1, 2]])}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"column 'list' of .*x.parquet holds list<.*>, not numbers"):
        list(read_molecules(tmp_path / "x.parquet", properties=("list",)))

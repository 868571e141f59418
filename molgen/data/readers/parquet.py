"""Apache Parquet files, of which a few hundred bytes can unpack to gigabytes: what is read is measured on the way."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from molgen.data.readers.columns import LOOK_AT, find_column, name_column
from molgen.data.readers.rows import Row, Wanted, column_position, listed, number
from molgen.data.readers.streams import MAX_LINE, too_large
from molgen.errors import InputError

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import ParquetFile

BATCH = 10_000  # rows in memory, fewer where they are long
BATCH_BYTES = 16_000_000
# A column is stored in blocks, and pyarrow may hold a whole one: a block this large is refused where it is packed as
# tightly as text never is. Blocks that fill the file they come in are as large as the user made them.
BLOCK_BYTES, PACKED = 200_000_000, 50
MANY_ROWS, ROWS_PER_BYTE = 1_000_000, 2_000


class Columns(NamedTuple):
    """The names of the columns to read."""

    smiles: str
    name: str | None
    properties: list[str]

    @property
    def distinct(self) -> list[str]:
        """Each once."""
        return list(dict.fromkeys([self.smiles, *([] if self.name is None else [self.name]), *self.properties]))


def read_parquet(stream: io.BufferedReader, wanted: Wanted) -> Iterator[Row]:
    """The rows of a table; SMILES and names are columns of text.

    Raises InputError for what is not Parquet, has a cell longer than MAX_LINE, or unpacks to more than it may.
    """
    import pyarrow
    from pyarrow.parquet import ParquetFile

    label = wanted.label
    with tempfile.TemporaryFile() as copy:  # since Parquet is read from its end
        while piece := stream.read(1 << 20):
            copy.write(piece)
        file_bytes = copy.tell()
        try:
            schema = ParquetFile(copy).schema_arrow
            texts = [field.name for field in schema if _is_text(field.type)]
            for name in texts:
                column_position(schema.names, name, label)  # refuses a name that is there twice
            # text is read as places in a list of different texts: one that is in each row is in memory once
            table = ParquetFile(copy, read_dictionary=texts)
            _check_size(table, file_bytes, wanted)
            columns = _columns(table, schema, texts, wanted)
            yield from _rows(table, columns, wanted)
        except UnicodeDecodeError:
            raise InputError(f"{label} holds text that is not UTF-8") from None
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(f"{label} cannot be read as Parquet ({str(error).splitlines()[0]})") from None


def count_rows(path: Path) -> int:
    """The number of rows, from the footer of a file that is not gzipped."""
    from pyarrow.parquet import ParquetFile

    with path.open("rb") as source:
        return int(ParquetFile(source).metadata.num_rows)


def _is_text(kind: pyarrow.DataType) -> bool:
    import pyarrow

    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    types = pyarrow.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_number(kind: pyarrow.DataType) -> bool:
    import pyarrow

    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    types = pyarrow.types
    return any(test(kind) for test in (types.is_integer, types.is_floating, types.is_decimal, types.is_null))


def _check_size(table: ParquetFile, file_bytes: int, wanted: Wanted) -> None:
    """Raise InputError where the footer tells of more rows or bytes than there can be."""
    rows = table.metadata.num_rows
    if rows > MANY_ROWS and rows > ROWS_PER_BYTE * file_bytes:
        raise InputError(f"{wanted.label} has {rows:,} rows in {file_bytes:,} bytes; that can be no table of molecules")
    groups = range(table.metadata.num_row_groups)
    if sum(table.metadata.row_group(group).total_byte_size for group in groups) > wanted.max_bytes:
        raise too_large(wanted.label, wanted.max_bytes)


def _columns(table: ParquetFile, schema: pyarrow.Schema, texts: list[str], wanted: Wanted) -> Columns:
    """Which columns to read. Raises InputError where one is missing."""
    every, label = schema.names, wanted.label
    if not texts:
        raise InputError(f"{label} has no column of text; columns: {listed(every)}")
    first = next(_batches(table, texts, LOOK_AT, label), None)
    cells = [] if first is None else [_texts(first.column(name), name, label) for name in texts]
    position, _ = find_column(texts, [texts, *map(list, zip(*cells, strict=True))], wanted)
    named = name_column(texts)
    properties = [every[column_position(every, name, label)] for name in wanted.properties]
    for name in properties:
        kind = schema.field(name).type
        if not _is_text(kind) and not _is_number(kind):
            raise InputError(f"column {name!r} of {label} holds {kind}, not numbers")
    return Columns(texts[position], None if named is None else texts[named], properties)


def _batches(table: ParquetFile, columns: list[str], most: int, label: str) -> Iterator[pyarrow.RecordBatch]:
    """Batches of at most `most` rows, fewer where they are long. Raises InputError for a block that unpacks too far."""
    for place in range(table.metadata.num_row_groups):
        group = table.metadata.row_group(place)
        if not group.num_rows:
            continue
        blocks = [group.column(k) for k in range(group.num_columns)]
        blocks = [block for block in blocks if block.path_in_schema in columns]
        for block in blocks:
            size, packed = block.total_uncompressed_size, block.total_compressed_size
            if size > BLOCK_BYTES and size > PACKED * packed:
                raise InputError(
                    f"column {block.path_in_schema!r} of {label} unpacks from {packed:,} to {size:,} bytes at once; "
                    "write the file in smaller row groups"
                )
        each = sum(block.total_uncompressed_size for block in blocks) / group.num_rows
        rows = max(1, min(most, int(BATCH_BYTES / max(each, 1))))
        yield from table.iter_batches(rows, row_groups=[place], columns=columns)


def _rows(table: ParquetFile, columns: Columns, wanted: Wanted) -> Iterator[Row]:
    label = wanted.label
    row_number = size = 0
    for batch in _batches(table, columns.distinct, BATCH, label):
        read = {name: _cells(batch.column(name), name, label) for name in columns.distinct}
        smiles = read[columns.smiles]
        names = [""] * len(batch) if columns.name is None else read[columns.name]
        values = [read[name] for name in columns.properties]
        size += sum(map(len, smiles)) + sum(map(len, names)) + 2 * len(batch)
        if size > wanted.max_bytes:
            raise too_large(label, wanted.max_bytes)
        for k, (text, name) in enumerate(zip(smiles, names, strict=True)):
            row_number += 1
            numbers = tuple(
                number(cells[k], asked, row_number, label)
                for cells, asked in zip(values, wanted.properties, strict=True)
            )
            yield Row(row_number, name.strip(), text, values=numbers)


def _cells(column: pyarrow.Array, name: str, label: str) -> list[str]:
    """The cells as text, empty where there is none."""
    if _is_text(column.type):
        return _texts(column, name, label)
    return ["" if value is None else str(value) for value in column.to_pylist()]


def _texts(column: pyarrow.DictionaryArray, name: str, label: str) -> list[str]:
    """The cells of a column of text; equal ones are one object. Raises InputError for one that is too long."""
    import pyarrow.compute as compute

    places = compute.unique(column.indices.drop_null())
    texts = column.dictionary.take(places)
    longest = compute.max(compute.binary_length(texts)).as_py() or 0
    if longest > MAX_LINE:
        raise InputError(f"column {name!r} of {label} has a cell of {longest:,} bytes; at most {MAX_LINE:,} are read")
    found = dict(zip(places.to_pylist(), texts.to_pylist(), strict=True))
    return [found.get(place) or "" for place in column.indices.to_pylist()]

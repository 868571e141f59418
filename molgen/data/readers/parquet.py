"""Apache Parquet files."""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

from molgen.data.readers.rows import Row, Wanted, column_position, listed, number
from molgen.data.readers.streams import too_large
from molgen.data.readers.tables import LOOK_AT, NAME_COLUMNS, find_column, named_column
from molgen.errors import InputError

BATCH = 10_000  # rows in memory


def read_parquet(stream: io.BufferedReader, wanted: Wanted) -> Iterator[Row]:
    """The rows of a table; SMILES and names are columns of text. Raises InputError for what is not Parquet."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    label = wanted.label
    with tempfile.TemporaryFile() as copy:  # since Parquet is read from its end
        while piece := stream.read(1 << 20):
            copy.write(piece)
        try:
            table = ParquetFile(copy)
            groups = range(table.metadata.num_row_groups)
            if sum(table.metadata.row_group(group).total_byte_size for group in groups) > wanted.max_bytes:
                raise too_large(label, wanted.max_bytes)
            every = table.schema_arrow.names
            kinds = (pyarrow.types.is_string, pyarrow.types.is_large_string)
            texts = [field.name for field in table.schema_arrow if any(is_kind(field.type) for is_kind in kinds)]
            if not texts:
                raise InputError(f"{label} has no column of text; columns: {listed(every)}")
            first = next(table.iter_batches(LOOK_AT, columns=texts), None)
            head = [[value or "" for value in row.values()] for row in first.to_pylist()] if first else []
            position, _ = find_column(texts, [texts, *head], wanted.smiles_column, label)
            smiles_column, name_position = texts[position], named_column(texts, NAME_COLUMNS)
            name_column = None if name_position is None else texts[name_position]
            properties = [every[column_position(every, name, label)] for name in wanted.properties]
            needed = [smiles_column, *([] if name_column is None else [name_column]), *properties]
            row_number = 0
            for batch in table.iter_batches(BATCH, columns=list(dict.fromkeys(needed))):
                smiles = batch.column(smiles_column).to_pylist()
                names = [None] * len(batch) if name_column is None else batch.column(name_column).to_pylist()
                columns = [batch.column(name).to_pylist() for name in properties]
                for k, (text, name) in enumerate(zip(smiles, names, strict=True)):
                    row_number += 1
                    values = tuple(
                        number("" if cells[k] is None else str(cells[k]), asked, row_number, label)
                        for cells, asked in zip(columns, wanted.properties, strict=True)
                    )
                    yield Row(row_number, (name or "").strip(), text or "", values=values)
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(f"{label} cannot be read as Parquet ({str(error).splitlines()[0]})") from None


def count_rows(path: Path) -> int:
    """The number of rows, from the footer of a file that is not gzipped."""
    from pyarrow.parquet import ParquetFile

    with path.open("rb") as source:
        return int(ParquetFile(source).metadata.num_rows)

"""Write tables of molecules, chunk by chunk, in the format that the file's extension names."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from rdkit import Chem
from rdkit.Chem import rdDepictor

from molgen.errors import InputError
from molgen.files import atomic_write, spreadsheet_safe

# smaller row groups make a Parquet file of many chunks slow to open
ROW_GROUP = 65_536


class Writer(Protocol):
    """Takes rows in chunks. Every chunk has the same columns and dtypes; `smiles` holds SMILES, `sample` a number.

    SMILES and SDF files call a molecule by its `name`, where there is such a column and it is not empty.
    """

    def write(self, rows: pd.DataFrame) -> None:
        """Append rows; the first chunk, which may be empty, gives the header."""
        ...

    def close(self) -> None:
        """Write what is still held back; the file stays open."""
        ...


class CsvWriter:
    """UTF-8, a header, lines that end in a line feed. Text cells cannot be taken for formulas."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.header = True

    def write(self, rows: pd.DataFrame) -> None:
        """Append rows; the first chunk writes the header."""
        text = safe_cells(rows).to_csv(index=False, header=self.header, lineterminator="\n")
        self.file.write(text.encode("utf-8"))
        self.file.flush()  # a reader at the other end of a pipe sees each chunk
        self.header = False

    def close(self) -> None:
        """Nothing is held back."""


class SmiWriter:
    """SMILES, tab, name; no header. Stereoisomers have the name of their molecule and a number."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def write(self, rows: pd.DataFrame) -> None:
        """Append one line for each row."""
        lines = [f"{smiles}\t{name}\n" for smiles, name in zip(rows.smiles, _titles(rows), strict=True)]
        self.file.write("".join(lines).encode("utf-8"))

    def close(self) -> None:
        """Nothing is held back."""


class SdfWriter:
    """Mol blocks with 2D coordinates, or those of a column "block"; the other columns are data fields."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def write(self, rows: pd.DataFrame) -> None:
        """Append one record for each row."""
        for row, title in zip(rows.to_dict("records"), _titles(rows), strict=True):
            if block := row.pop("block", ""):
                mol = Chem.MolFromMolBlock(block, removeHs=False)
            else:
                mol = Chem.MolFromSmiles(row["smiles"])
                rdDepictor.Compute2DCoords(mol)
            mol.SetProp("_Name", title)
            for name, value in row.items():
                if not pd.isna(value):
                    mol.SetProp(str(name), str(value))
            self.file.write(Chem.SDWriter.GetText(mol).encode("utf-8"))

    def close(self) -> None:
        """Nothing is held back."""


class ParquetWriter:
    """Apache Parquet, readable by pandas, Spark, DuckDB and others."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.writer: pq.ParquetWriter | None = None
        self.waiting: list[pa.Table] = []

    def write(self, rows: pd.DataFrame) -> None:
        """Append rows; the first chunk gives the schema."""
        schema = None if self.writer is None else self.writer.schema
        table = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.file, table.schema)
        self.waiting.append(table)
        if sum(map(len, self.waiting)) >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Write the last rows and the footer."""
        self._flush()
        if self.writer is not None:
            self.writer.close()

    def _flush(self) -> None:
        if self.writer is not None and self.waiting:
            self.writer.write_table(pa.concat_tables(self.waiting))
        self.waiting = []


# A new format is a Writer and a line.
FORMATS: dict[str, Callable[[IO[bytes]], Writer]] = {
    ".csv": CsvWriter,
    ".smi": SmiWriter,
    ".sdf": SdfWriter,
    ".parquet": ParquetWriter,
}


def check_extension(path: Path | str) -> str:
    """The extension of a file that can be written, in lower case. Raises InputError for any other."""
    extension = Path(path).suffix.lower()
    if extension not in FORMATS:
        raise InputError(f"cannot write {path}: a name should end in {', '.join(FORMATS)}, or be - (standard output)")
    return extension


@contextmanager
def open_writer(path: Path | str) -> Iterator[Writer]:
    """Yield the writer for the extension of `path`; "-" writes CSV to standard output.

    The file appears when the block ends, whole; when the block fails, `path` stays as it was.
    Raises InputError for an extension that is not in FORMATS or a folder that does not exist.
    """
    if str(path) == "-":
        yield CsvWriter(sys.stdout.buffer)
        return
    kind = FORMATS[check_extension(path)]
    with atomic_write(path, "wb") as file:
        writer = kind(file)
        try:
            yield writer
        finally:
            writer.close()  # also after a failure: PyArrow complains of a file that it can no longer finish


def molecule_name(sample: int) -> str:
    """The name of a generated molecule from the number of its sample, such as molgen-000123."""
    return f"molgen-{sample:06d}"


def _titles(rows: pd.DataFrame) -> list[str]:
    """What each molecule is called, on one line; a title of "$$$$" would end the record of an SDF."""
    names = rows["name"].fillna("") if "name" in rows else [""] * len(rows)
    titles = (" ".join(str(name).split()).lstrip("$") for name in names)
    titles = (title or molecule_name(sample) for title, sample in zip(titles, rows["sample"], strict=True))
    if "stereoisomer" not in rows:
        return list(titles)
    return [f"{title}-{number}" for title, number in zip(titles, rows["stereoisomer"], strict=True)]


def safe_cells(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with an apostrophe before each text that a spreadsheet would run; SMILES and numbers unchanged."""
    rows = rows.copy()
    for name in rows.columns:
        if name != "smiles" and (rows[name].dtype == object or pd.api.types.is_string_dtype(rows[name].dtype)):
            rows[name] = [spreadsheet_safe(cell) if isinstance(cell, str) else cell for cell in rows[name]]
    return rows

"""Read molecule files of any supported format, row by row, whatever their size.

A new format is a file of this folder and a line in FORMATS.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from molgen.data.readers.parquet import count_rows, read_parquet
from molgen.data.readers.rows import Reader, Row, Wanted
from molgen.data.readers.sdf import count_records, read_sdf
from molgen.data.readers.smiles import read_smiles
from molgen.data.readers.streams import MAX_BYTES, MAX_LINE, count_of, unpacked
from molgen.data.readers.tables import read_csv, read_tsv
from molgen.errors import InputError
from molgen.molecules.parsing import MAX_BLOCK_LENGTH, MAX_SMILES_LENGTH

__all__ = [
    "COUNTERS",
    "FORMATS",
    "MAX_BYTES",
    "MAX_LINE",
    "Reader",
    "Row",
    "Wanted",
    "expected_rows",
    "file_format",
    "read_molecules",
]

FORMATS: dict[str, Reader] = {
    ".smi": read_smiles,
    ".smiles": read_smiles,
    ".txt": read_smiles,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".sdf": read_sdf,
    ".mol": read_sdf,
    ".parquet": read_parquet,
}

ARCHIVED = (".tar", ".tgz", ".zip", ".7z", ".rar", ".bz2", ".xz", ".zst")
WORKBOOKS = (".xlsx", ".xls", ".ods")
MAX_NAME = 1_000  # characters of a name that are kept

# How the rows of a format are counted without reading them; for one that is not here no time left is told.
COUNTERS: dict[str, Callable[[Path], int]] = {
    **dict.fromkeys((".smi", ".smiles", ".txt", ".csv", ".tsv"), partial(count_of, b"\n")),
    ".sdf": count_records,
    ".parquet": count_rows,
}


def read_molecules(
    path: Path | str,
    smiles_column: str | None = None,
    max_bytes: int = MAX_BYTES,
    label: str | None = None,
    properties: tuple[str, ...] = (),
    on_column: Callable[[str], object] | None = None,
) -> Iterator[Row]:
    """The rows of a file in one of FORMATS, which may be gzipped; "-" is standard input.

    Text is UTF-8. In .smi, .smiles, .txt and standard input the SMILES ends at the first white space and the name
    follows; a first line that names a SMILES column makes it a table instead. In a table the column is
    `smiles_column`, or the one whose header says so, or the one whose content parses; a row with an empty cell is a
    row, an empty line is not. Memory stays flat: text that is too long for a molecule is cut, and still too long.
    label: what errors call the file. on_column: called with the name of a table's SMILES column, once it is found.

    properties: columns of a table, or data fields of an SDF, to be read as the numbers Row.values, in this order; an
    empty cell, NA, NaN and a record without the field are NaN.

    Raises InputError for a file that cannot be read, holds no molecule, has a line or cell longer than MAX_LINE, or
    unpacks to more than max_bytes; where several columns can be the SMILES and none is plainly called so; and for a
    property that the file does not have (an SDF: in none of its records) or whose cell is not a number.
    """
    label = label or ("standard input" if str(path) == "-" else str(path))
    if str(path) != "-" and not Path(path).is_file():
        raise InputError(f"{path} is a folder, not a file" if Path(path).is_dir() else f"no such file: {path}")
    read = FORMATS[file_format(path, label)]
    return _rows(path, read, Wanted(label, smiles_column, properties, max_bytes, on_column))


def file_format(path: Path | str, label: str | None = None) -> str:
    """The extension that says how a file is read, without .gz; for "-" it is .smi.

    Raises InputError, which calls the file `label`, when it is none of FORMATS.
    """
    if str(path) == "-":
        return ".smi"
    extension = Path(Path(path).name.lower().removesuffix(".gz")).suffix
    if extension in ARCHIVED:
        raise InputError(f"{label or path} is packed; unpack it, and give the file of molecules that is inside")
    if extension in WORKBOOKS:
        raise InputError(f"{label or path} is a spreadsheet; save the table with the molecules as .csv")
    if extension not in FORMATS:
        raise InputError(
            f"cannot tell the format of {label or path} from its extension; allowed: {', '.join(FORMATS)}, also .gz"
        )
    return extension


def expected_rows(path: Path | str) -> int | None:
    """About how many rows a file will give, to tell the time left; None where that cannot be seen beforehand."""
    count = COUNTERS.get(file_format(path))
    if str(path) == "-" or count is None:
        return None
    with suppress(InputError, OSError, ValueError):
        return count(Path(path))
    return None


def _rows(path: Path | str, read: Reader, wanted: Wanted) -> Iterator[Row]:
    empty = True
    with unpacked(path, wanted.label, wanted.max_bytes) as stream:
        for row in read(stream, wanted):
            empty = False
            yield _shortened(row)
    if empty:
        raise InputError(f"{wanted.label} holds no molecules")


def _shortened(row: Row) -> Row:
    """The row without what nobody reads: thousands of rows are held in memory at a time."""
    if len(row.name) > MAX_NAME:
        row = row._replace(name=row.name[:MAX_NAME])
    longest = MAX_BLOCK_LENGTH if row.is_block else MAX_SMILES_LENGTH
    if len(row.text) > longest:
        text = row.text if row.is_block else row.text.strip()
        if len(text) > longest:
            text = text[:longest] + "…"  # longer than it may be, as it was
        row = row._replace(text=text)
    return row

"""Read molecule files of any supported format, row by row, whatever their size."""

import csv
import gzip
import io
import math
import re
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple

from molgen.errors import InputError
from molgen.molecules.parsing import Rejected, parse_smiles

FORMATS = (".smi", ".smiles", ".txt", ".csv", ".tsv", ".sdf", ".parquet")
MAX_LINE = 1_000_000  # characters; no molecule needs it, and a line is held in memory
MAX_BYTES = 8_000_000_000  # unpacked; 200 MB gzip to 190 kB, so the size on disk says nothing
SMILES_COLUMNS = ("smiles", "canonical_smiles", "canonicalsmiles", "isomeric_smiles", "structure", "molecule", "mol")
NAME_COLUMNS = ("name", "id", "title", "identifier", "compound", "compound_id", "molecule_name", "chembl_id", "zinc_id")
LOOK_AT = 100  # rows read to find a SMILES column by its content
MISSING = ("", "na", "nan")  # cells without a value, as pandas and R write them
LARGEST = 3.4e38  # of the numbers that float32 holds
SDF_TAG = re.compile(r">.*<(.+)>")  # the line before the value of a data field


class Row(NamedTuple):
    """One molecule as its file writes it.

    line: number of its (first) line in the file, counted from 1; in Parquet, the number of the row.
    text: SMILES, or a mol block where is_block. values: of the columns that were asked for; NaN where there is none.
    """

    line: int
    name: str
    text: str
    is_block: bool = False
    values: tuple[float, ...] = ()


def read_molecules(
    path: Path | str,
    smiles_column: str | None = None,
    max_bytes: int = MAX_BYTES,
    label: str | None = None,
    properties: tuple[str, ...] = (),
) -> Iterator[Row]:
    """The rows of a .smi, .smiles, .txt, .csv, .tsv, .sdf or .parquet file, each also gzipped; "-" is standard input.

    Text is UTF-8. In .smi, .smiles, .txt and standard input the SMILES ends at the first white space and the name
    follows; a first line that names a SMILES column makes it a table instead. In a table the column is
    `smiles_column`, or the one whose header says so, or the one whose content parses; a row with an empty cell is a
    row, an empty line is not. Memory stays flat. label: what errors call the file.

    properties: columns of a table, or data fields of an SDF, to be read as the numbers Row.values, in this order; an
    empty cell, NA, NaN and a record without the field are NaN.

    Raises InputError for a file that cannot be read, holds no molecule, has a line longer than MAX_LINE, or unpacks to
    more than max_bytes, and for a property that the file does not have (an SDF: in none of its records) or whose cell
    is not a number.
    """
    label = label or ("standard input" if str(path) == "-" else str(path))
    if str(path) != "-" and not Path(path).is_file():
        raise InputError(f"{path} is a folder, not a file" if Path(path).is_dir() else f"no such file: {path}")
    kind = file_format(path, label)
    return _rows(path, label, kind, smiles_column, max_bytes, properties)


def file_format(path: Path | str, label: str | None = None) -> str:
    """The ending that says how a file is read, without .gz. Raises InputError, which calls the file
    `label`, when it is none of FORMATS.
    """
    if str(path) == "-":
        return ".smi"
    name = Path(path).name.lower().removesuffix(".gz")
    kind = Path(name).suffix
    if kind not in FORMATS:
        raise InputError(
            f"cannot tell the format of {label or path} from its ending; allowed: {', '.join(FORMATS)}, also .gz"
        )
    return kind


def expected_rows(path: Path | str) -> int | None:
    """About how many rows a file will give, to tell the time left; None where that cannot be seen beforehand."""
    kind = file_format(path)
    if str(path) == "-":
        return None
    with suppress(InputError, OSError, ValueError), Path(path).open("rb") as source:
        if kind == ".parquet":
            import pyarrow.parquet as parquet

            return parquet.ParquetFile(source).metadata.num_rows
        stream = _unpacked(source, str(path), MAX_BYTES)
        end = b"$$$$" if kind == ".sdf" else b"\n"
        return sum(piece.count(end) for piece in iter(lambda: stream.read(1 << 20), b""))
    return None


def _rows(
    path: Path | str, label: str, kind: str, column: str | None, max_bytes: int, properties: tuple[str, ...]
) -> Iterator[Row]:
    count = 0
    csv.field_size_limit(MAX_LINE)  # of this process; Python's own is below what a line may have
    with ExitStack() as stack:
        source: Any = sys.stdin.buffer if str(path) == "-" else stack.enter_context(Path(path).open("rb"))
        stream = _unpacked(source, label, max_bytes)
        if kind == ".parquet":
            rows = _parquet_rows(stream, label, column, max_bytes, stack, properties)
        else:
            lines = _lines(stream, label)
            if kind == ".sdf":
                rows = _sdf_rows(lines, label, properties)
            elif kind in (".csv", ".tsv"):
                rows = _table_rows(lines, label, column, "\t" if kind == ".tsv" else None, properties)
            else:
                rows = _smiles_rows(lines, label, column, properties)
        for row in rows:
            count += 1
            yield row
    if count == 0:
        raise InputError(f"{label} holds no molecules")


class _Limited(io.RawIOBase):
    """A binary stream that refuses to give more than `limit` bytes, with errors in the user's words."""

    def __init__(self, source: Any, label: str, limit: int) -> None:
        self.source, self.label, self.limit, self.total = source, label, limit, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self.source.read1(len(buffer))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(f"{self.label} is a damaged gzip file ({error})") from None
        self.total += len(data)
        if self.total > self.limit:
            raise InputError(f"{self.label} unpacks to more than the {self.limit / 1e6:,.0f} MB allowed")
        buffer[: len(data)] = data
        return len(data)


def _unpacked(source: Any, label: str, max_bytes: int) -> io.BufferedReader:
    raw = io.BufferedReader(source)
    if raw.peek(2)[:2] == b"\x1f\x8b":  # by content: a wrong ending is no reason to fail
        return io.BufferedReader(_Limited(gzip.GzipFile(fileobj=raw), label, max_bytes))
    return io.BufferedReader(_Limited(raw, label, max_bytes))


def _lines(stream: io.BufferedReader, label: str) -> Iterator[str]:
    head = stream.peek(4096)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{label} is written in UTF-16; save it as UTF-8")
    if b"\0" in head:
        raise InputError(f"{label} is a binary file (or UTF-16), not UTF-8 text")
    number = 0
    try:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig")
        while line := text.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                raise InputError(f"line {number} of {label} is longer than {MAX_LINE:,} characters")
            if "\0" in line:
                raise InputError(f"{label} is a binary file, not UTF-8 text (line {number} holds a zero byte)")
            yield line
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        where = f"byte 0x{byte:02x} near line {number + 1}"  # near: text is decoded in pieces
        raise InputError(f"{label} is not UTF-8 text ({where}); save it as UTF-8") from None


def _smiles_rows(lines: Iterator[str], label: str, column: str | None, properties: tuple[str, ...]) -> Iterator[Row]:
    first = next(lines, "")
    fields = next(csv.reader([first], delimiter=_delimiter(first)), [])
    # "CCO<tab>smiles-like" is a molecule with a name, "id<tab>pubchem smiles" is a header, and so is "N<tab>smiles"
    named = _named_column(fields) if len(fields) > 1 else None
    exact = named is not None and fields[named].strip().lower() in SMILES_COLUMNS
    if column is not None or properties or exact or (named is not None and not _is_smiles(fields[0])):
        yield from _table_rows(chain([first], lines), label, column, None, properties)
        return
    words = first.split()
    if not (words and words[0].lower() in SMILES_COLUMNS):
        lines = chain([first], lines)
        start = 1
    else:
        start = 2
    for number, line in enumerate(lines, start):
        if line.strip():
            parts = line.rstrip("\r\n").split("\t" if "\t" in line else None, 1)
            yield Row(number, parts[1].strip() if len(parts) > 1 else "", parts[0])


def _sdf_rows(lines: Iterator[str], label: str, properties: tuple[str, ...]) -> Iterator[Row]:
    block: list[str] = []
    start, size, ended = 1, 0, False
    fields = _SdfFields(label, properties)
    for number, line in enumerate(lines, 1):
        if line.startswith("$$$$"):
            yield _sdf_row(start, block, fields.taken())
            block, start, size, ended = [], number + 1, 0, False
            continue
        size += len(line)
        if ended and properties:
            fields.read(number, line)
        if not ended and size <= MAX_LINE:  # other data fields are not needed, nor what cannot be a molecule
            block.append(line)
        ended = ended or line.startswith("M  END")
    if any(line.strip() for line in block):
        yield _sdf_row(start, block, fields.taken())
    fields.check()


def _sdf_row(start: int, block: list[str], values: tuple[float, ...]) -> Row:
    return Row(start, block[0].strip() if block else "", "".join(block), is_block=True, values=values)


class _SdfFields:
    """Reads the wanted data fields of one record after another, line by line."""

    def __init__(self, label: str, properties: tuple[str, ...]) -> None:
        self.label, self.properties = label, properties
        self.wanted = {_plain(name): name for name in properties}
        self.found: dict[str, float] = {}  # of this record
        self.seen: dict[str, None] = {}  # fields of any record, in order
        self.field = ""  # whose value comes next

    def read(self, number: int, line: str) -> None:
        """Take one line behind the mol block; number: of the line in the file."""
        line = line.strip()
        header = SDF_TAG.match(line)
        if header is not None:
            self.field = _plain(header[1])
            self.seen.setdefault(header[1])
        elif not line:
            self.field = ""
        elif self.field in self.wanted:
            if self.field in self.found:
                raise InputError(
                    f"{self.label} has a second value of {self.wanted[self.field]!r} in one record: {line[:40]!r} "
                    f"(line {number})"
                )
            self.found[self.field] = _number(line, self.wanted[self.field], number, self.label)

    def taken(self) -> tuple[float, ...]:
        """The values of the record that ends; the next one begins."""
        values = tuple(self.found.get(_plain(name), math.nan) for name in self.properties)
        self.found, self.field = {}, ""
        return values

    def check(self) -> None:
        """Raise InputError for a field that no record had."""
        for name in self.properties:
            _position(list(self.seen), name, self.label)


def _table_rows(
    lines: Iterable[str], label: str, column: str | None, delimiter: str | None, properties: tuple[str, ...]
) -> Iterator[Row]:
    lines = iter(lines)
    first = next(lines, "")
    # strict: a quote that is never closed is an error, and does not swallow the rows after it
    reader = csv.reader(chain([first], lines), delimiter=delimiter or _delimiter(first), strict=True)
    records = _records(reader, label)
    head = list(islice(records, 1 + LOOK_AT))
    if not head:
        raise InputError(f"{label} holds no molecules")
    header = head[0][1]
    places = [(_position(header, wanted, label), wanted) for wanted in properties]
    position, has_header = _find_column(header, [cells for _, cells in head], column, label)
    name = _named_column(header, NAME_COLUMNS) if has_header else None
    for line, cells in chain(head[1:] if has_header else head, records):
        yield Row(
            line,
            cells[name].strip() if name is not None and name < len(cells) else "",
            cells[position] if position < len(cells) else "",
            values=tuple(
                _number(cells[place] if place < len(cells) else "", wanted, line, label) for place, wanted in places
            ),
        )


def _records(reader: Any, label: str) -> Iterator[tuple[int, list[str]]]:
    start = 1
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:  # for example a quote that is never closed
        raise InputError(f"{label} is not a table: {error} (from line {start})") from None


def _parquet_rows(
    stream: io.BufferedReader,
    label: str,
    column: str | None,
    max_bytes: int,
    stack: ExitStack,
    properties: tuple[str, ...],
) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet as parquet

    copy: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 the stack closes it
    # a copy, since Parquet is read from its end
    while piece := stream.read(1 << 20):
        copy.write(piece)
    try:
        table = parquet.ParquetFile(copy)
        groups = range(table.metadata.num_row_groups)
        if sum(table.metadata.row_group(group).total_byte_size for group in groups) > max_bytes:
            raise InputError(f"{label} unpacks to more than the {max_bytes / 1e6:,.0f} MB allowed")
        kinds = (pyarrow.types.is_string, pyarrow.types.is_large_string)
        texts = [column.name for column in table.schema_arrow if any(is_kind(column.type) for is_kind in kinds)]
        if not texts:
            raise InputError(f"{label} has no column of text; columns: {_listed(table.schema_arrow.names)}")
        first = next(table.iter_batches(LOOK_AT, columns=texts), None)
        cells = [[value or "" for value in row.values()] for row in first.to_pylist()] if first else []
        position, _ = _find_column(texts, [texts, *cells], column, label)
        name = _named_column(texts, NAME_COLUMNS)
        every = table.schema_arrow.names
        wanted = [every[_position(every, asked, label)] for asked in properties]
        columns = [texts[position]] + ([texts[name]] if name is not None else [])
        number = 0
        for batch in table.iter_batches(10_000, columns=list(dict.fromkeys([*columns, *wanted]))):
            names = batch.column(columns[1]).to_pylist() if len(columns) > 1 else [""] * len(batch)
            cells_of = [batch.column(found).to_pylist() for found in wanted]
            for k, (text, title) in enumerate(zip(batch.column(columns[0]).to_pylist(), names, strict=True)):
                number += 1
                values = tuple(
                    _number("" if cells[k] is None else str(cells[k]), asked, number, label)
                    for cells, asked in zip(cells_of, properties, strict=True)
                )
                yield Row(number, (title or "").strip(), text or "", values=values)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{label} cannot be read as Parquet ({str(error).splitlines()[0]})") from None


def _delimiter(line: str) -> str:
    return max(",\t;|", key=line.count)  # a comma where there is none of them


def _named_column(header: list[str], names: tuple[str, ...] = SMILES_COLUMNS) -> int | None:
    lower = [cell.strip().lower().replace(" ", "_") for cell in header]
    for name in names:
        if name in lower:
            return lower.index(name)
    if names is SMILES_COLUMNS:
        return next((position for position, cell in enumerate(lower) if "smiles" in cell), None)
    return None


def _find_column(header: list[str], rows: list[list[str]], column: str | None, label: str) -> tuple[int, bool]:
    """Position of the SMILES column, and whether the first row is a header; rows include the first one."""
    if column is not None:
        return _position(header, column, label), True
    named = _named_column(header)
    if named is not None:
        return named, True
    best = None
    longest = 2.0 if len(header) > 1 else 0.0  # "F" and "I" parse: a column of such letters is seldom one of molecules
    for position in range(len(header)):
        cells = [row[position] for row in rows[1:] if position < len(row) and row[position].strip()]
        cells = cells or [header[position]]
        share = sum(_is_smiles(cell) for cell in cells) / len(cells)
        length = sum(map(len, cells)) / len(cells)
        if share >= 0.5 and length > longest:  # the longest: a column of elements or letters parses as well
            best, longest = position, length
    if best is None:
        raise InputError(f"no column of {label} holds SMILES; columns: {_listed(header)}; name it with --smiles-column")
    return best, not _is_smiles(header[best])


def _position(header: list[str], column: str, label: str) -> int:
    """Where a column stands, whatever its capitals. Raises InputError, naming those there are, where it does not."""
    for position, cell in enumerate(header):
        if _plain(cell) == _plain(column):
            return position
    raise InputError(f"{label} has no column {column!r}; columns: {_listed(header) if header else 'none are named'}")


def _plain(name: str) -> str:
    return name.strip().lower()


def _number(cell: str, column: str, line: int, label: str) -> float:
    cell = cell.strip()
    if cell.lower() in MISSING:
        return math.nan
    with suppress(ValueError):
        value = float(cell)
        if abs(value) <= LARGEST:
            return value
    raise InputError(f"column {column!r} of {label}: {cell[:40]!r} on line {line} is not a number")


def _is_smiles(text: str) -> bool:
    try:
        parse_smiles(text)
    except Rejected:
        return False
    return True


def _listed(header: list[str]) -> str:
    shown = ", ".join(repr(cell[:40]) for cell in header[:10])
    return shown + (", ..." if len(header) > 10 else "")

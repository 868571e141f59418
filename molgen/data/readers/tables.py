"""Tables of text, and which of their columns holds the SMILES."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

from molgen.data.readers.rows import Row, Wanted, column_position, listed, number
from molgen.data.readers.streams import MAX_LINE, text_lines
from molgen.errors import InputError
from molgen.molecules.parsing import Rejected, parse_smiles

if TYPE_CHECKING:
    from _csv import Reader

SMILES_COLUMNS = ("smiles", "canonical_smiles", "canonicalsmiles", "isomeric_smiles", "structure", "molecule", "mol")
NAME_COLUMNS = ("name", "id", "title", "identifier", "compound", "compound_id", "molecule_name", "chembl_id", "zinc_id")
LOOK_AT = 100  # rows read to find a SMILES column by its content


def read_csv(stream: io.BufferedReader, wanted: Wanted) -> Iterator[Row]:
    """The rows of a table whose first line tells what its cells are separated by: a comma, tab, semicolon or bar."""
    return table_rows(text_lines(stream, wanted.label), wanted)


def read_tsv(stream: io.BufferedReader, wanted: Wanted) -> Iterator[Row]:
    """The rows of a table whose cells are separated by tabs."""
    return table_rows(text_lines(stream, wanted.label), wanted, "\t")


def table_rows(lines: Iterator[str], wanted: Wanted, delimiter: str | None = None) -> Iterator[Row]:
    """The rows of a table with or without a header; delimiter: None finds it in the first line.

    Raises InputError for what is no table, has no column of SMILES, or lacks a column that was asked for.
    """
    label = wanted.label
    first = next(lines, "")
    # strict: a quote that is never closed is an error, and does not swallow the rows after it
    records = _records(_csv_reader(chain([first], lines), delimiter or _delimiter(first), strict=True), label)
    head = list(islice(records, 1 + LOOK_AT))
    if not head:
        return
    header = head[0][1]
    places = [(column_position(header, name, label), name) for name in wanted.properties]
    position, has_header = find_column(header, [cells for _, cells in head], wanted.smiles_column, label)
    name_position = named_column(header, NAME_COLUMNS) if has_header else None
    for line, cells in chain(head[1:] if has_header else head, records):
        yield Row(
            line,
            "" if name_position is None else _cell(cells, name_position).strip(),
            _cell(cells, position),
            values=tuple(number(_cell(cells, place), name, line, label) for place, name in places),
        )


def find_column(header: list[str], rows: list[list[str]], column: str | None, label: str) -> tuple[int, bool]:
    """Position of the SMILES column, and whether the first row is a header; rows: the first ones, the header included.

    column: its name, where that is known; otherwise one whose header says so, or else whose cells parse. Raises
    InputError where there is none.
    """
    if column is not None:
        return column_position(header, column, label), True
    named = named_column(header)
    if named is not None:
        return named, True
    best = None
    longest = 2.0 if len(header) > 1 else 0.0  # "F" and "I" parse: a column of such letters is seldom one of molecules
    for position in range(len(header)):
        cells = [row[position] for row in rows[1:] if position < len(row) and row[position].strip()]
        cells = cells or [header[position]]
        share = sum(is_smiles(cell) for cell in cells) / len(cells)
        length = sum(map(len, cells)) / len(cells)
        if share >= 0.5 and length > longest:  # the longest: a column of elements or letters parses as well
            best, longest = position, length
    if best is None:
        raise InputError(
            f"no column of {label} holds SMILES; columns: {listed(header)}; name the column", parameter="smiles_column"
        )
    return best, not is_smiles(header[best])


def named_column(header: list[str], names: tuple[str, ...] = SMILES_COLUMNS) -> int | None:
    """Position of the first of `names` in a header; for SMILES_COLUMNS, else of a column with "smiles" in its name."""
    lower = [cell.strip().lower().replace(" ", "_") for cell in header]
    for name in names:
        if name in lower:
            return lower.index(name)
    if names is SMILES_COLUMNS:
        return next((position for position, cell in enumerate(lower) if "smiles" in cell), None)
    return None


def split_line(line: str) -> list[str]:
    """The cells of one line, by the delimiter that it has most of."""
    return next(_csv_reader([line], _delimiter(line)), [])


def is_smiles(text: str) -> bool:
    """Whether RDKit reads it as a molecule."""
    try:
        parse_smiles(text)
    except Rejected:
        return False
    return True


def _records(reader: "Reader", label: str) -> Iterator[tuple[int, list[str]]]:
    """The number of the first line of each record that is not empty, and its cells."""
    start = 1
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:  # for example a quote that is never closed
        raise InputError(f"{label} is not a table: {error} (from line {start})") from None


def _csv_reader(lines: Iterable[str], delimiter: str, strict: bool = False) -> "Reader":
    csv.field_size_limit(MAX_LINE)  # of this process; Python's own is below what a line may have
    return csv.reader(lines, delimiter=delimiter, strict=strict)


def _delimiter(line: str) -> str:
    return max(",\t;|", key=line.count)  # a comma where there is none of them


def _cell(cells: list[str], position: int) -> str:
    """A cell, empty where the row is too short."""
    return cells[position] if position < len(cells) else ""

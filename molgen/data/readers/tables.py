"""Tables of text."""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from molgen.data.readers.columns import LOOK_AT, find_column, name_column
from molgen.data.readers.rows import Row, Wanted, column_position, number
from molgen.data.readers.streams import MAX_LINE, text_lines
from molgen.errors import InputError

if TYPE_CHECKING:
    from _csv import Reader

HEAD = 4_000_000  # characters of the rows that are looked at, since they are held in memory


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
    records = _records(chain([first], lines), delimiter or _delimiter(first), label)
    head: list[tuple[int, list[str]]] = []
    size = 0
    for record in records:
        head.append(record)
        size += sum(map(len, record[1])) + len(record[1])
        if len(head) > LOOK_AT or size > HEAD:
            break
    if not head:
        return
    header = head[0][1]
    places = [(column_position(header, name, label), name) for name in wanted.properties]
    position, has_header = find_column(header, [cells for _, cells in head], wanted)
    name_position = name_column(header) if has_header else None
    for line, cells in chain(head[1:] if has_header else head, records):
        yield Row(
            line,
            "" if name_position is None else _cell(cells, name_position).strip(),
            _cell(cells, position),
            values=tuple(number(_cell(cells, place), name, line, label) for place, name in places),
        )


def split_line(line: str) -> list[str]:
    """The cells of one line, by the delimiter that it has most of."""
    return next(_csv_reader([line], _delimiter(line)), [])


def _records(lines: Iterator[str], delimiter: str, label: str) -> Iterator[tuple[int, list[str]]]:
    """The number of the first line of each record that is not empty, and its cells.

    A record may go over several lines, where a cell is quoted; all of it is held in memory, so its size is limited.
    """
    start, size = 1, 0

    def measured() -> Iterator[str]:
        nonlocal size
        for line in lines:
            size += len(line)
            if size > len(line) and size > MAX_LINE:
                raise InputError(
                    f"{label} is not a table: the row from line {start} is longer than {MAX_LINE:,} characters; "
                    "perhaps a quote is never closed"
                )
            yield line

    reader = _csv_reader(measured(), delimiter, strict=True)
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start, size = reader.line_num + 1, 0
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

"""What every reader is asked for and gives, and how columns are named and numbers written in all formats."""

import io
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from molgen.errors import InputError

MISSING = ("", "na", "nan")  # cells without a value, as pandas and R write them
LARGEST = 3.4e38  # of the numbers that float32 holds


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


class Wanted(NamedTuple):
    """What is to be read of a file; see `molgen.data.readers.read_molecules`. label: what errors call the file."""

    label: str
    smiles_column: str | None
    properties: tuple[str, ...]
    max_bytes: int
    on_column: Callable[[str], object] | None = None


# Reads the rows of an unpacked binary stream, which gives no more than Wanted.max_bytes.
Reader = Callable[[io.BufferedReader, Wanted], Iterator[Row]]


def same_name(name: str) -> str:
    """A column's name in the form in which names are compared: capitals and outer spaces do not matter."""
    return name.strip().lower()


def column_position(columns: list[str], name: str, label: str) -> int:
    """Position of the column of that name. Raises InputError where there is none, or more than one.

    Capitals matter only between columns that differ by nothing else.
    """
    positions = [position for position, column in enumerate(columns) if same_name(column) == same_name(name)]
    if len(positions) > 1:
        positions = [position for position in positions if columns[position] == name] or positions
    if len(positions) > 1:
        raise InputError(f"{label} has {len(positions)} columns called {name!r}; give them different names")
    if not positions:
        raise no_column(columns, name, label)
    return positions[0]


def no_column(columns: list[str], name: str, label: str) -> InputError:
    """The error for a column that a file does not have; it names those it has."""
    return InputError(f"{label} has no column {name!r}; columns: {listed(columns) if columns else 'none are named'}")


def listed(columns: list[str]) -> str:
    """The first names of columns, shortened, for an error."""
    shown = ", ".join(repr(column[:40]) for column in columns[:10])
    return shown + (", ..." if len(columns) > 10 else "")


def number(cell: str, column: str, line: int, label: str) -> float:
    """The number in a cell, NaN where it is one of MISSING. Raises InputError where float32 cannot hold it."""
    cell = cell.strip()
    if cell.lower() in MISSING:
        return math.nan
    with suppress(ValueError):
        value = float(cell)
        if abs(value) <= LARGEST:
            return value
    raise InputError(f"column {column!r} of {label}: {cell[:40]!r} on line {line} is not a number")

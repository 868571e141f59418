"""Files of one SMILES a line, with a name behind it."""

import io
from collections.abc import Iterator
from itertools import chain

from molgen.data.readers.rows import Row, Wanted
from molgen.data.readers.streams import text_lines
from molgen.data.readers.tables import SMILES_COLUMNS, is_smiles, named_column, split_line, table_rows


def read_smiles(stream: io.BufferedReader, wanted: Wanted) -> Iterator[Row]:
    """One row for each line that is not empty; a file whose first line names a SMILES column is read as a table."""
    lines = text_lines(stream, wanted.label)
    first = next(lines, "")
    if wanted.smiles_column is not None or wanted.properties or _is_header(split_line(first)):
        yield from table_rows(chain([first], lines), wanted)
        return
    words = first.split()
    if words and words[0].lower() in SMILES_COLUMNS:
        start = 2
    else:
        start = 1
        lines = chain([first], lines)
    for number, line in enumerate(lines, start):
        if line.strip():
            parts = line.rstrip("\r\n").split("\t" if "\t" in line else None, 1)
            yield Row(number, parts[1].strip() if len(parts) > 1 else "", parts[0])


def _is_header(cells: list[str]) -> bool:
    """Whether the first line is the header of a table.

    "CCO<tab>smiles-like" is a molecule with a name, "id<tab>pubchem smiles" is a header, and so is "N<tab>smiles".
    """
    named = named_column(cells) if len(cells) > 1 else None
    if named is None:
        return False
    return cells[named].strip().lower() in SMILES_COLUMNS or not is_smiles(cells[0])

"""Files of one SMILES a line, with a name behind it."""

import io
from collections.abc import Iterator
from itertools import chain, islice

from molgen.data.readers.columns import SMILES_COLUMNS, is_inchi, is_smiles, smiles_named
from molgen.data.readers.rows import Row, Wanted
from molgen.data.readers.streams import text_lines
from molgen.data.readers.tables import split_line, table_rows
from molgen.errors import InputError

LOOK_AT = 5  # lines that tell whether they are of one SMILES


def read_smiles(stream: io.BufferedReader, wanted: Wanted) -> Iterator[Row]:
    """One row for each line that is not empty; a file whose first line names a SMILES column is read as a table.

    Raises InputError for the lines of a table without such a name, and for InChI.
    """
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
    head = list(islice(lines, LOOK_AT))
    _check([line for line in head if line.strip()], wanted.label)
    for number, line in enumerate(chain(head, lines), start):
        if line.strip():
            parts = line.rstrip("\r\n").split("\t" if "\t" in line else None, 1)
            yield Row(number, parts[1].strip() if len(parts) > 1 else "", parts[0])


def _is_header(cells: list[str]) -> bool:
    """Whether the first line is the header of a table.

    "CCO<tab>smiles-like" is a molecule with a name, "id<tab>pubchem smiles" is a header, and so is "N<tab>smiles".
    """
    named = smiles_named(cells) if len(cells) > 1 else []
    if not named:
        return False
    return any(cells[place].strip().lower() in SMILES_COLUMNS for place in named) or not is_smiles(cells[0])


def _check(lines: list[str], label: str) -> None:
    """Raise InputError where the first lines are of InChI, or cells of a table."""
    words = [line.split()[0] for line in lines]
    if words and all(is_inchi([word]) for word in words):
        raise InputError(f"{label} holds InChI, which is not read; write SMILES, for example with RDKit or Open Babel")
    for separator in ",;|":
        tables = [
            not is_smiles(word) and any(map(is_smiles, word.split(separator)[:10])) and separator in word
            for word in words
        ]
        if tables and all(tables):
            raise InputError(
                f"the lines of {label} hold cells, separated by {separator!r}; call it .csv, or write a tab between "
                "SMILES and name"
            )

"""Structure-data files: mol blocks, each followed by data fields."""

import io
import math
import re
from collections.abc import Iterator
from pathlib import Path

from molgen.data.readers.columns import is_name
from molgen.data.readers.rows import Row, Wanted, no_column, number, same_name
from molgen.data.readers.streams import count_of, text_lines
from molgen.errors import InputError
from molgen.molecules.parsing import MAX_BLOCK_LENGTH

END = "$$$$"  # begins the last line of a record
TAG = re.compile(r">.*<(.+)>")  # the line before the value of a data field
MAX_FIELDS = 1_000  # names of data fields that an error can list


def read_sdf(stream: io.BufferedReader, wanted: Wanted) -> Iterator[Row]:
    """One row for each record. Raises InputError where no record has a data field that was asked for."""
    block: list[str] = []
    start, size, ended = 1, 0, False
    fields = _Fields(wanted)
    for line_number, line in enumerate(text_lines(stream, wanted.label), 1):
        if line.startswith(END):
            yield _row(start, block, fields)
            block, start, size, ended = [], line_number + 1, 0, False
            continue
        if ended and (wanted.properties or not block[0].strip()):
            fields.read(line_number, line)
        if not ended and size <= MAX_BLOCK_LENGTH:  # data fields are not needed, nor what cannot be a molecule
            block.append(line)
        size += len(line)
        ended = ended or line.startswith("M  END")
    if any(line.strip() for line in block):
        yield _row(start, block, fields)
    fields.check()


def count_records(path: Path) -> int:
    """About how many records a file has."""
    return count_of(END.encode(), path)


def _row(start: int, block: list[str], fields: "_Fields") -> Row:
    name, values = fields.taken()
    return Row(start, (block[0].strip() if block else "") or name, "".join(block), is_block=True, values=values)


class _Fields:
    """Reads the wanted data fields, and a name, of one record after another, line by line."""

    def __init__(self, wanted: Wanted) -> None:
        self.label, self.properties = wanted.label, wanted.properties
        self.names = {same_name(name): name for name in wanted.properties}
        self.found: dict[str, float] = {}  # of this record
        self.seen: dict[str, None] = {}  # fields of any record, in order
        self.given: set[str] = set()  # wanted ones among them
        self.field = ""  # whose value comes next
        self.name = ""  # of this record, where a field has it

    def read(self, line_number: int, line: str) -> None:
        """Take one line behind the mol block."""
        line = line.strip()
        header = TAG.match(line)
        if header is not None:
            self.field = same_name(header[1])
            if len(self.seen) < MAX_FIELDS:
                self.seen.setdefault(header[1])
            if self.field in self.names:
                self.given.add(self.field)
            return
        if not line:
            self.field = ""
            return
        if is_name(self.field):
            self.name = self.name or line
        if self.field in self.names:
            name = self.names[self.field]
            if self.field in self.found:
                raise InputError(
                    f"{self.label} has a second value of {name!r} in one record: {line[:40]!r} (line {line_number})"
                )
            self.found[self.field] = number(line, name, line_number, self.label)

    def taken(self) -> tuple[str, tuple[float, ...]]:
        """The name and the values of the record that ends; the next one begins."""
        values = tuple(self.found.get(same_name(name), math.nan) for name in self.properties)
        name, self.name, self.found, self.field = self.name, "", {}, ""
        return name, values

    def check(self) -> None:
        """Raise InputError for a field that no record had."""
        for name in self.properties:
            if same_name(name) not in self.given:
                raise no_column(list(self.seen), name, self.label)

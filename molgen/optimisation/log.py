"""The log of a search, an SQLite database: every molecule in the order asked, and every value as soon as it is known.

A value that was written is on the disk: a search that is killed goes on from there, and asks for nothing twice. The
database itself refuses the same molecule, or the same value, a second time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from math import nan
from pathlib import Path
from typing import NamedTuple

import numpy as np

from molgen.errors import InputError

_TABLES = """
CREATE TABLE IF NOT EXISTS asked (
    number INTEGER PRIMARY KEY,
    smiles TEXT NOT NULL UNIQUE,
    generation INTEGER NOT NULL,
    move TEXT NOT NULL,
    parents TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS found (
    number INTEGER NOT NULL REFERENCES asked,
    component TEXT NOT NULL,
    value REAL,
    PRIMARY KEY (number, component)
);
"""


class Asked(NamedTuple):
    """A molecule of a search. number: from 1, in the order asked; move: how it was made, from parents, by number."""

    number: int
    smiles: str
    generation: int
    move: str
    parents: tuple[int, ...]


class Log:
    """What has been asked and found. Raises InputError for a file that is damaged or of another program."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Asked] = []
        self.smiles: set[str] = set()
        self._values: dict[str, dict[int, float]] = {}
        self.database = sqlite3.connect(path, isolation_level=None)
        try:
            self.database.execute("PRAGMA synchronous = FULL")
            self.database.execute("PRAGMA foreign_keys = ON")
            state = self.database.execute("PRAGMA quick_check").fetchone()[0]
            if state != "ok":
                raise sqlite3.DatabaseError(state)
            self.database.executescript(_TABLES)
            self._load()
        except (sqlite3.DatabaseError, TypeError, ValueError) as error:
            self.database.close()
            raise InputError(f"{path} cannot be read as the log of a search ({error})") from None

    def __len__(self) -> int:
        return len(self.rows)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    @property
    def generation(self) -> int:
        """The number of the last generation, from 0; -1 where there is none."""
        return self.rows[-1].generation if self.rows else -1

    def ask(self, generation: int, molecules: Iterable[tuple[str, str, tuple[int, ...]]]) -> None:
        """Write down the next generation at once: SMILES, move and parents of each molecule."""
        new = [
            Asked(number, smiles, generation, move, parents)
            for number, (smiles, move, parents) in enumerate(molecules, len(self.rows) + 1)
        ]
        rows = [(row.number, row.smiles, row.generation, row.move, " ".join(map(str, row.parents))) for row in new]
        self._write("INSERT INTO asked VALUES (?, ?, ?, ?, ?)", rows)
        self.rows += new
        self.smiles.update(row.smiles for row in new)

    def lacking(self, component: str) -> list[Asked]:
        """Molecules for which a component has not answered yet."""
        there = self._values.get(component, {})
        return [row for row in self.rows if row.number not in there]

    def answered(self, component: str) -> int:
        """How many molecules a component has answered for."""
        return len(self._values.get(component, {}))

    def keep(self, component: str, rows: Sequence[Asked], values: Sequence[float]) -> None:
        """Write down the values of a component; NaN: it was asked, and has none."""
        found = [(row.number, component, float(value)) for row, value in zip(rows, values, strict=True)]
        self._write("INSERT INTO found VALUES (?, ?, ?)", found)
        self._values.setdefault(component, {}).update({number: value for number, _, value in found})

    def values(self, component: str) -> np.ndarray:
        """Of all molecules asked, float64 [m]; NaN where a value is missing or not there yet."""
        there = self._values.get(component, {})
        return np.array([there.get(row.number, nan) for row in self.rows], float)

    def _load(self) -> None:
        for number, smiles, generation, move, parents in self.database.execute("SELECT * FROM asked ORDER BY number"):
            if number != len(self.rows) + 1:
                raise ValueError(f"molecule {len(self.rows) + 1} is missing")
            self.rows.append(Asked(number, smiles, generation, move, tuple(map(int, parents.split()))))
        self.smiles = {row.smiles for row in self.rows}
        for number, component, value in self.database.execute("SELECT * FROM found"):
            self._values.setdefault(component, {})[number] = nan if value is None else value

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        """All rows or none, and on the disk when this returns. Raises OSError, as for a full disk."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            self.database.executemany(statement, rows)
            self.database.execute("COMMIT")
        except BaseException as error:
            if self.database.in_transaction:
                self.database.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise OSError(f"{self.path} cannot be written ({error})") from None
            raise

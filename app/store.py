"""Visitors' sets on the disk: a server that is ended, or killed, loses none that was there."""

import json
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from jobs import Basket, MoleculeSet
from references import Known, References

KEPT_DAYS = 30
MOST_BYTES = 2_000_000_000  # of all sets
BUSY_SECONDS = 30
SCHEMA = """
CREATE TABLE IF NOT EXISTS sets (
    key TEXT PRIMARY KEY, basket INTEGER NOT NULL, about TEXT NOT NULL, molecules BLOB NOT NULL, seen REAL NOT NULL
)
"""
CROWDED_OUT = """
DELETE FROM sets WHERE key IN (
    SELECT key FROM (SELECT key, sum(length(molecules)) OVER (ORDER BY seen DESC) AS held FROM sets) WHERE held > ?
)
"""


class Stored(MoleculeSet):
    """A set that was read again. numbers: what its `counts` were; drawn: its `drawn_for`."""

    def __init__(self, known: Known, numbers: dict[str, int], drawn: int | None) -> None:
        super().__init__("", 0, known)
        self.numbers, self.drawn = numbers, drawn

    def counts(self) -> dict[str, int]:
        """As when it was put down."""
        return dict(self.numbers)

    @property
    def drawn_for(self) -> int | None:
        """As when it was put down."""
        return self.drawn


class Store:
    """Sets by their key, in an SQLite file. What cannot be kept is logged: the app goes on without it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, job: MoleculeSet) -> None:
        """Put a set down, in place of what is there under its key; sets that nobody has opened for long go."""
        content = BytesIO()
        job.frame().to_parquet(content)
        row = (job.key, isinstance(job, Basket), json.dumps(described(job)), content.getvalue(), time.time())
        self._do("INSERT OR REPLACE INTO sets VALUES (?, ?, ?, ?, ?)", row)
        self._do("DELETE FROM sets WHERE seen < ?", (time.time() - 86_400 * KEPT_DAYS,))
        self._do(CROWDED_OUT, (MOST_BYTES,))

    def load(self, key: str, references: References) -> MoleculeSet | None:
        """The set of a key, None where there is none."""
        found = self._do("SELECT basket, about, molecules FROM sets WHERE key = ?", (key,))
        if not found:
            return None
        self._do("UPDATE sets SET seen = ? WHERE key = ?", (time.time(), key))
        try:
            return _read(key, *found[0], references)
        except (KeyError, ValueError, OSError) as error:  # ValueError: also of JSON and of pyarrow
            logging.getLogger(__name__).warning("a set in %s is damaged: %s", self.path, error)
            return None

    def has(self, key: str) -> bool:
        """Whether a set is there; also where that cannot be read."""
        found = self._do("SELECT EXISTS (SELECT 1 FROM sets WHERE key = ?)", (key,))
        return not found or bool(found[0][0])

    def tell(self, key: str, what: str, text: str) -> None:
        """Change what is told of a set, if it is there: its label or note."""
        self._do("UPDATE sets SET about = json_set(about, ?, ?) WHERE key = ?", (f"$.{what}", text, key))

    def remove(self, key: str) -> None:
        """Forget a set, if it is there."""
        self._do("DELETE FROM sets WHERE key = ?", (key,))

    def _do(self, statement: str, values: Sequence[object]) -> list[Any]:
        """One change, whole or not at all, or a question and its answer."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, BUSY_SECONDS)) as connection, connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(SCHEMA)
                return connection.execute(statement, values).fetchall()
        except (OSError, sqlite3.Error) as error:
            logging.getLogger(__name__).warning("sets are not kept in %s: %s", self.path, error)
            return []


def described(job: MoleculeSet) -> dict[str, Any]:
    """What is kept of a set beside its molecules, as JSON holds it."""
    return {
        **{"label": job.label, "source": job.known.source, "novel_to": job.novel_to, "command": job.command},
        **{"requested": job.requested, "drawn_for": job.drawn_for, "counts": job.counts(), "reasons": job.reasons},
        **{"state": job.state, "error": job.error, "core": job.core, "note": job.note},
    }


def put_back(about: Mapping[str, Any], references: References, basket: bool = False) -> MoleculeSet:
    """A set of what `described` told of it, without molecules. Raises KeyError."""
    known = references.known(about["source"])
    job = Basket(known) if basket else Stored(known, about["counts"], about["drawn_for"])
    job.label, job.state, job.error = about["label"], about["state"], about["error"]
    job.novel_to, job.command, job.requested = about["novel_to"], about["command"], about["requested"]
    job.core, job.note, job.doing = about["core"], about.get("note", ""), ""
    job.reasons = Counter(about["reasons"])
    job.over.set()
    return job


def _read(key: str, basket: int, text: str, molecules: bytes, references: References) -> MoleculeSet:
    """A set of what is kept of it. Raises KeyError, ValueError, OSError where that is damaged."""
    job = put_back(json.loads(text), references, bool(basket))
    job.key, job.whole = key, pd.read_parquet(BytesIO(molecules))
    if isinstance(job, Basket) and "note" not in job.whole:
        job.whole["note"] = ""
    return job

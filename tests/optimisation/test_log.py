"""The log keeps what was written, refuses repeats, and is not fooled by a damaged file."""

import math
import sqlite3

import pytest

from molgen.errors import InputError
from molgen.optimisation.log import Asked, Log

MOLECULES = [("C", "fresh", ()), ("CC", "grow", (1,)), ("CCO", "combine", (1, 2))]


def test_what_was_written_is_there_again(tmp_path):
    with Log(tmp_path / "log") as log:
        assert (len(log), log.generation) == (0, -1)
        log.ask(0, MOLECULES)
        log.keep("logp", log.rows[:2], [1.5, float("nan")])
    with Log(tmp_path / "log") as log:
        assert log.rows[2] == Asked(3, "CCO", 0, "combine", (1, 2)) and log.generation == 0
        assert log.smiles == {"C", "CC", "CCO"}
        # a missing value was asked for, one that is lacking was not
        assert log.lacking("logp") == log.rows[2:] and log.answered("logp") == 2 and log.answered("qed") == 0
        first, *others = log.values("logp")
        assert first == 1.5 and all(map(math.isnan, others))
        log.ask(1, [("N", "fresh", ())])
        assert log.rows[3].number == 4


def test_nothing_is_asked_or_answered_twice(tmp_path):
    with Log(tmp_path / "log") as log:
        log.ask(0, MOLECULES)
        log.keep("logp", log.rows, [1, 2, 3])
        with pytest.raises(sqlite3.IntegrityError):
            log.ask(1, [("N", "fresh", ()), ("CC", "fresh", ())])
        with pytest.raises(sqlite3.IntegrityError):
            log.keep("logp", log.rows[:1], [4])
    with Log(tmp_path / "log") as log:  # nor half of it
        assert len(log) == 3 and log.values("logp").tolist() == [1, 2, 3]


def test_a_damaged_log_is_refused(tmp_path):
    (tmp_path / "log").write_bytes(b"not a database, whatever its length may be" * 100)
    with pytest.raises(InputError, match="cannot be read as the log of a search"):
        Log(tmp_path / "log")
    with Log(tmp_path / "other") as log:
        log.ask(0, MOLECULES)
        log.database.execute("PRAGMA foreign_keys = OFF")
        log.database.execute("DELETE FROM asked WHERE number = 2")
    with pytest.raises(InputError, match="molecule 2 is missing"):
        Log(tmp_path / "other")

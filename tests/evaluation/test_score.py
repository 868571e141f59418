"""Scores from Python: SMILES in, a typed result out, the same as `molgen score` writes and prints."""

import json

import pytest

from molgen.errors import InputError
from molgen.evaluation.open_reference import open_reference
from molgen.evaluation.score import score, score_file
from tests.evaluation.real_molecules import REAL


@pytest.fixture
def real(tmp_path) -> str:
    path = tmp_path / "real.smi"
    path.write_text("\n".join([*REAL, "C1CC"]), encoding="utf-8")
    return str(path)


def test_smiles_and_a_file_of_them_have_the_same_scores(real, tmp_path):
    smiles = ["CCO", "OCC", "C1CC", "CC.C", "Clc1ccccc1"]
    told: list[tuple[str, int, int | None]] = []
    found = score(smiles, open_reference(real), name="mine", progress=lambda *what: told.append(what))
    summary = found.summary
    assert (summary.requested, summary.sanitised, summary.valid, summary.unique, summary.novel) == (5, 4, 3, 2, 1)
    assert (found.rows, found.requested_from, found.reference) == (5, "rows of the file", real)
    assert found.fcd is not None and (found.fcd.molecules, found.fcd.reference_molecules) == (3, len(REAL))
    assert found.suite is None
    assert found.warnings[0] == f"1 of the {len(REAL) + 1} rows of {real} are not valid molecules and were left out"
    assert told == [("judging", 5, None), ("ChemNet", 3, 3)]
    path = tmp_path / "mine.smi"
    path.write_text("\n".join(smiles), encoding="utf-8")
    again = score_file(str(path), real)
    assert again.to_json() == found.to_json() | {"file": str(path)}
    assert again.table() == found.table()


def test_the_result_is_json_with_its_keys_in_order(real):
    record = score(["CCO", "CCN"], open_reference(real), num=4).to_json()
    assert list(record) == [
        *("file", "rows", "requested_from", "reference"),
        *("requested", "sanitised", "valid", "unique", "novel", "reasons", "shares", "fcd", "warnings"),
    ]
    assert list(record["fcd"]) == ["fcd", "molecules", "reference", "reference_molecules", "floor", "floor_of"]
    assert (record["requested"], record["rows"], record["reasons"]) == (4, 2, {"not in the file": 2})
    assert json.loads(json.dumps(record)) == record


def test_the_suite_needs_the_parts_of_a_data_set(real):
    for ask in (lambda: score(["CCO"], open_reference(real), suite=True), lambda: score_file("-", real, suite=True)):
        with pytest.raises(InputError, match="the suite compares with the parts of a data set") as caught:
            ask()
        assert caught.value.parameter == "suite"

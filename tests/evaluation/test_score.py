"""Scores from Python: SMILES in, a typed result out, the same as `molgen score` writes and prints."""

import json

import pytest

from molgen.data.prepared import prepare
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
        *("file", "rows", "requested_from", "reference", "novel_to", "new_to_all"),
        *("requested", "sanitised", "valid", "unique", "novel", "reasons", "shares", "fcd", "warnings"),
        "duplicates",
    ]
    assert list(record["fcd"]) == ["fcd", "molecules", "reference", "reference_molecules", "floor", "floor_of"]
    assert (record["requested"], record["rows"], record["reasons"]) == (4, 2, {"not in the file": 2})
    assert json.loads(json.dumps(record)) == record


def test_without_a_reference_novelty_is_left_out_and_offered(tmp_path):
    path = tmp_path / "mine.smi"
    path.write_text("CCO\nOCC\nC1CC\n", encoding="utf-8")
    found = score_file(str(path))
    summary = found.summary
    assert (summary.requested, summary.valid, summary.unique, summary.novel) == (3, 2, 1, None)
    assert (found.reference, found.novel_to, found.new_to_all, found.fcd) == (None, None, None, None)
    assert (
        "novel" in found.table()
        and "A reference (qm9, moses, chembl, a file of molecules, a model) would add" in found.table()
    )
    for options, parameter in (({"suite": True}, "suite"), ({"split": "test"}, "split")):
        with pytest.raises(InputError) as caught:
            score_file(str(path), **options)
        assert caught.value.parameter == parameter


def test_novel_is_not_new_where_it_stands_in_a_part_held_out(tmp_path):
    source = tmp_path / "set.smi"
    source.write_text("\n".join(REAL), encoding="utf-8")
    prepared = prepare(str(source), cache=tmp_path / "cache")
    held_out = [smiles for part in ("valid", "test") for smiles in prepared.smiles(part)]
    found = score([*held_out, prepared.smiles("train")[0], "FC(F)(F)CCl"], open_reference(str(prepared.folder)))
    assert found.summary.novel == len(held_out) + 1
    assert found.new_to_all == 1
    assert found.novel_to == f"the training part of {prepared.name}"
    table = found.table()
    assert f"Novel: not in the training part of {prepared.name}." in table
    assert f"New to {prepared.name}: in none of its parts" in table


def test_the_suite_needs_the_parts_of_a_data_set(real):
    for ask in (lambda: score(["CCO"], open_reference(real), suite=True), lambda: score_file("-", real, suite=True)):
        with pytest.raises(InputError, match="the suite compares with the parts of a data set") as caught:
            ask()
        assert caught.value.parameter == "suite"

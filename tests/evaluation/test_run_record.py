"""The record of a run beside its molecules: found, believed only where it fits, and nothing else taken for one."""

import hashlib
import json

import pytest

from molgen.evaluation.run_record import record_path, run_record

COUNTS = {"requested": 10, "sanitised": 5, "valid": 4, "unique": 3, "reasons": {"radical": 5}}


def test_a_record_fits_the_file_as_it_was_written(tmp_path):
    path = tmp_path / "made.csv"
    path.write_text("smiles\nCCO\n", encoding="utf-8")
    record = {"output_sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "counts": COUNTS}
    record_path(str(path)).write_text(json.dumps(record), encoding="utf-8")
    found = run_record(str(path))
    assert found == (tmp_path / "made.json", True, 10, 5, 4, {"radical": 5})
    path.write_text("smiles\nCCO\nCCN\n", encoding="utf-8")
    found = run_record(str(path))
    assert found is not None and not found.fits


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"counts": 3}', '{"output_sha256": "", "counts": {"valid": 1}}'])
def test_what_is_no_record(tmp_path, text):
    path = tmp_path / "made.csv"
    path.write_text("smiles\nCCO\n", encoding="utf-8")
    assert run_record(str(path)) is None
    record_path(str(path)).write_text(text, encoding="utf-8")
    assert run_record(str(path)) is None
    assert run_record("-") is None

"""One changed bit in what is read back: told, or mended, and never another result without a word."""

import json
from pathlib import Path

import numpy as np
import pytest

from molgen.data.measured import TargetTable, read_table, write_table
from molgen.data.prepared import open_prepared, prepare
from molgen.errors import InputError, TrainingError
from molgen.files import sealed, unsealed
from molgen.generation import runs
from molgen.training.log import append_line, read_log
from molgen.training.state import RunSettings, read_state, saved_settings, write_state
from tests.data.small_set import small_set
from tests.generation.small_run import StoppedError, generate, stop_after


def flip(path: Path, place: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def replace(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def test_an_object_knows_when_it_was_changed():
    record = {"a": (1, 2.5), 3: None, "ü": ["x"]}
    kept = json.loads(json.dumps(sealed(record)))
    assert unsealed(kept) == {"a": [1, 2.5], "3": None, "ü": ["x"]}
    assert unsealed({"a": 1}) == {"a": 1}  # of an earlier version
    for name in kept:
        assert unsealed({**kept, name: "other"}) is None
        assert unsealed({f"{one}x" if one == name else one: entry for one, entry in kept.items()}) is None


@pytest.mark.parametrize("name", ["train.safetensors", "valid.smi", "rejects.csv"])
def test_a_changed_file_of_a_prepared_set_is_told(tmp_path, name):
    found = small_set(tmp_path)
    flip(found.folder / name, -1)
    with pytest.raises(InputError, match=rf"{name} is damaged; delete .* and prepare again"):
        found = open_prepared(found.folder)
        found.graphs("train")
        found.smiles("valid")
        prepare(str(found.folder), rejects=tmp_path / "rejects.csv")


def test_a_changed_record_of_a_prepared_set_is_told(tmp_path):
    found = small_set(tmp_path)
    replace(found.folder / "meta.json", b'"kept": 24', b'"kept": 25')
    with pytest.raises(InputError, match=r"meta\.json is damaged; delete"):
        open_prepared(found.folder)


def test_a_prepared_set_of_an_earlier_version_is_taken_as_it_is(tmp_path):
    found = small_set(tmp_path)
    record = {name: value for name, value in found.record.items() if name != "files"}
    (found.folder / "meta.json").write_text(json.dumps(record), encoding="utf-8")
    assert len(open_prepared(found.folder).graphs("train")) == 20


def test_changed_targets_are_measured_again(tmp_path):
    path = tmp_path / "targets.safetensors"
    write_table(path, TargetTable(("a", "b"), np.ones((3, 2), np.float32)))
    assert read_table(path, ("a", "b"), 3) is not None
    flip(path, -1)
    assert read_table(path, ("a", "b"), 3) is None


def test_changed_settings_of_a_stopped_run_are_told(tmp_path):
    """The seed was drawn, and stands there alone: with another one the rest of the molecules would be others."""
    output = tmp_path / "m.csv"
    with pytest.raises(StoppedError):
        generate(output, num=1500, seed=None, progress=stop_after(1100))
    manifest = tmp_path / "m.csv.partial" / "settings.json"
    seed = json.loads(manifest.read_text(encoding="utf-8"))["seed"]
    replace(manifest, str(seed).encode(), str(seed ^ 1).encode())
    with pytest.raises(InputError, match=r"settings.json is damaged, .* delete .*m\.csv\.partial"):
        generate(output, num=1500, seed=None)
    assert generate(output, num=1500, overwrite=True)["rows"] > 0


def test_an_output_with_a_changed_record_is_made_again(tmp_path, monkeypatch, caplog):
    generate(tmp_path / "whole.csv", num=1500)
    output = tmp_path / "m.csv"
    with monkeypatch.context() as patch:
        patch.setattr(runs, "deliver", lambda *_: (_ for _ in ()).throw(StoppedError))
        with pytest.raises(StoppedError):
            generate(output, num=1500)
    replace(tmp_path / "m.csv.partial" / "record.json", b'"requested": 1500', b'"requested": 1501')
    record = generate(output, num=1500)
    assert "record.json is damaged" in caplog.text
    assert record["counts"]["requested"] == 1500 and record["samples_of_earlier_starts"] == 1500
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    written = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert not written.keys() & {"sealed", "checksum"}


@pytest.mark.parametrize(("old", "new"), [(b"step", b"stup"), (b"41.0", b"40.0"), (b"digress", b"dhgress")])
def test_changed_settings_and_position_of_a_training_are_told(tmp_path, old, new):
    settings = RunSettings("digress", "data", (), {"width": 16})
    write_state(tmp_path, {}, settings, {"step": 41.0})
    assert read_state(tmp_path).position == {"step": 41.0}
    replace(tmp_path / "state.safetensors", old, new)
    with pytest.raises(TrainingError, match="damaged"):
        read_state(tmp_path)
    with pytest.raises(TrainingError, match="no saved state that can be read"):
        saved_settings(tmp_path)


@pytest.mark.parametrize(("old", "new"), [(b"step", b"stup"), (b"12", b"1\xb2"), (b"0.5", b"0,5"), (b"0.5", b"0.u")])
def test_a_changed_log_of_a_training_is_told(tmp_path, old, new):
    append_line(tmp_path, {"step": 12, "loss": 0.5})
    assert read_log(tmp_path)[0]["loss"] == "0.5"
    replace(tmp_path / "log.csv", old, new)
    with pytest.raises(TrainingError, match=r"log.csv is damaged .* delete it"):
        read_log(tmp_path)

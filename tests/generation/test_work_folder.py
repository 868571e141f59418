"""Unfinished work: nothing is lost, replaced or left behind, whenever a run is stopped."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock

from molgen.errors import InputError
from molgen.generation import work_folder
from tests.generation.small_run import MODEL_THAT_DIES, StoppedError, generate, stop_after


@pytest.mark.parametrize("seed", [5, None])
@pytest.mark.parametrize("moment", ["output", "record", "clean-up", "last file"])
def test_a_kill_while_the_files_are_moved_is_made_good_by_the_same_command(tmp_path, monkeypatch, moment, seed):
    """Each moment is that before the named thing is done; the files are as a kill leaves them."""
    path, folder = tmp_path / "m.csv", tmp_path / "m.csv.partial"
    replace, write_json, remove = Path.replace, work_folder._write_json, work_folder._remove_work

    def stop_at(name):
        def step(first, *rest):
            where = {"output": rest and rest[0] == path, "record": first == path.with_suffix(".json")}
            if where.get(name, (folder / "record.json").exists()):
                if name == "last file":
                    for left in (*folder.glob("shard-*"), *folder.glob("settings.json")):
                        left.unlink()
                raise StoppedError
            return {"output": replace, "record": write_json}.get(name, remove)(first, *rest)

        return step

    with monkeypatch.context() as patch:
        if moment == "output":
            patch.setattr(Path, "replace", stop_at("output"))
        elif moment == "record":
            patch.setattr("molgen.generation.work_folder._write_json", stop_at("record"))
        else:
            patch.setattr("molgen.generation.work_folder._remove_work", stop_at(moment))
        with pytest.raises(StoppedError):
            generate(path, seed=seed)
    assert (folder / "record.json").exists()
    record = generate(path, MODEL_THAT_DIES, seed=seed)  # nothing is drawn again
    assert {file.name for file in tmp_path.iterdir()} == {"m.csv", "m.json"}
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8")) == record
    generate(tmp_path / "whole.csv", seed=record["seed"])
    assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    with pytest.raises(InputError, match="exists"):
        generate(path, seed=seed)


def test_a_finished_output_that_is_lost_is_made_again(tmp_path, monkeypatch):
    path, remove = tmp_path / "m.csv", work_folder._remove_work

    def stop(folder: Path) -> None:
        if (folder / "record.json").exists():
            raise StoppedError
        remove(folder)

    with monkeypatch.context() as patch:
        patch.setattr("molgen.generation.work_folder._remove_work", stop)
        with pytest.raises(StoppedError):
            generate(path)
    before = path.read_bytes()
    path.unlink()
    (tmp_path / "m.json").unlink()
    generate(path)
    assert path.read_bytes() == before and not (tmp_path / "m.csv.partial").exists()


def test_a_file_put_there_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "m.csv"

    def progress(stage: str, done: int, total: int | None) -> None:
        path.write_text("mine", encoding="utf-8")

    with pytest.raises(InputError, match="exists"):
        generate(path, progress=progress)
    assert path.read_text(encoding="utf-8") == "mine"
    generate(path, MODEL_THAT_DIES, overwrite=True)
    assert len(pd.read_csv(path)) > 0 and not (tmp_path / "m.csv.partial").exists()


def test_other_settings_are_refused_until_told_to_start_over(tmp_path):
    path = tmp_path / "m.csv"
    with pytest.raises(StoppedError):
        generate(path, num=1500, progress=stop_after(1100))
    with pytest.raises(InputError, match=re.escape("steps (4 then, 7 now), seed (5 then, 6 now)")):
        generate(path, num=1500, seed=6, steps=7)
    generate(path, num=1500, seed=6, steps=7, overwrite=True)
    generate(tmp_path / "fresh.csv", num=1500, seed=6, steps=7)
    assert path.read_bytes() == (tmp_path / "fresh.csv").read_bytes()


def test_an_output_is_replaced_only_when_told(tmp_path):
    path = tmp_path / "m.csv"
    generate(path, num=20)
    before = path.read_bytes()
    with pytest.raises(InputError, match="allow it to be replaced") as refused:
        generate(path, num=20, seed=6)
    assert refused.value.parameter == "overwrite"
    with pytest.raises(InputError, match=r"m\.json exists"):  # the record of m.csv
        generate(tmp_path / "m.smi", num=20)
    assert path.read_bytes() == before
    with pytest.raises(StoppedError):
        generate(path, num=1500, seed=6, overwrite=True, progress=stop_after(1100))
    assert path.read_bytes() == before
    generate(path, num=1500, seed=6, overwrite=True)
    assert path.read_bytes() != before


def test_a_second_writer_is_refused(tmp_path):
    (tmp_path / "m.csv.partial").mkdir()
    with FileLock(tmp_path / "m.csv.partial" / "lock"), pytest.raises(InputError, match="another molgen"):
        generate(tmp_path / "m.csv", num=20)
    generate(tmp_path / "m.csv", num=20)


def test_files_of_others_in_the_work_folder_stay(tmp_path):
    (tmp_path / "m.csv.partial").mkdir()
    (tmp_path / "m.csv.partial" / "notes.txt").write_text("mine", encoding="utf-8")
    generate(tmp_path / "m.csv", num=20)
    assert [path.name for path in (tmp_path / "m.csv.partial").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["m.xls", "", "missing/m.csv"])
def test_outputs_that_cannot_be_written_leave_nothing(tmp_path, name):
    with pytest.raises(InputError):
        generate(tmp_path / name, num=5)
    assert not list(tmp_path.iterdir())

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


OWN = ("notes.txt", "output.txt", "shard-list.csv", ".mine.tmp", "shard-000000.parquet.bak")


@pytest.mark.parametrize("name", [*OWN, "shard-000000.parquet", "settings.json"])
def test_a_folder_of_others_is_not_used(tmp_path, name):
    folder = tmp_path / "m.csv.partial"
    folder.mkdir()
    (folder / name).write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=f"not of an unfinished run, such as {name}"):
        generate(tmp_path / "m.csv", num=20, overwrite=True)
    assert [path.name for path in folder.iterdir()] == [name] and not (tmp_path / "m.csv").exists()


def test_a_file_in_the_place_of_the_work_folder_is_told(tmp_path):
    (tmp_path / "m.csv.partial").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="in the way"):
        generate(tmp_path / "m.csv", num=20)
    assert (tmp_path / "m.csv.partial").read_text(encoding="utf-8") == "mine"


def test_files_of_others_in_the_work_folder_stay(tmp_path):
    path, folder = tmp_path / "m.csv", tmp_path / "m.csv.partial"
    with pytest.raises(StoppedError):
        generate(path, num=1500, progress=stop_after(1100))
    left = folder / ".shard-000001.parquet.0123abcd.tmp"  # of a kill
    for name in (*OWN, left.name):
        (folder / name).write_text("mine", encoding="utf-8")
    generate(path, num=1500, seed=6, overwrite=True)
    assert {path.name for path in folder.iterdir()} == set(OWN)


def test_a_damaged_shard_is_drawn_again_and_one_without_a_checksum_is_taken(tmp_path, caplog):
    path, folder = tmp_path / "m.csv", tmp_path / "m.csv.partial"
    generate(tmp_path / "whole.csv", num=2500)
    with pytest.raises(StoppedError):
        generate(path, num=2500, progress=stop_after(2100))
    damaged = folder / "shard-000000.parquet"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 3] ^= 4
    damaged.write_bytes(content)
    (folder / "checksum-000001.txt").unlink()  # as an earlier version leaves it
    record = generate(path, num=2500)
    assert "shard-000000.parquet is damaged" in caplog.text and "shard-000001" not in caplog.text
    assert record["samples_of_earlier_starts"] == 1000
    assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not folder.exists()


def test_a_name_that_is_no_text_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"should be UTF-8, got .*m\\xff\.csv"):
        generate(tmp_path / "m\udcff.csv", num=5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["m.xls", "", "missing/m.csv"])
def test_outputs_that_cannot_be_written_leave_nothing(tmp_path, name):
    with pytest.raises(InputError):
        generate(tmp_path / name, num=5)
    assert not list(tmp_path.iterdir())

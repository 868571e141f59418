"""A disk that is full, by a limit on the size of files: a message, nothing half-written, and all goes on with room."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from molgen.cli import main
from molgen.data.prepared import prepare
from molgen.files import atomic_write
from tests.data.small_set import SMILES
from tests.generation.small_run import generate


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """No file may have more bytes: the write that goes beyond fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("extension", ["csv", "smi", "sdf", "parquet"])
@pytest.mark.parametrize("room", [3_000, 20_000])
def test_a_generation_is_resumed_when_there_is_room(tmp_path, extension, room):
    """The smaller room is too small for a shard, the larger one for the output."""
    output, whole = tmp_path / f"m.{extension}", tmp_path / f"whole.{extension}"
    with at_most(room), pytest.raises(OSError, match="too large"):
        generate(output, num=2500)
    assert not output.exists() and not output.with_suffix(".json").exists()
    assert not [name for name in names(tmp_path) if name.endswith(".tmp")]
    generate(output, num=2500)
    generate(whole, num=2500)
    assert output.read_bytes() == whole.read_bytes()
    assert not output.with_name(output.name + ".partial").exists()


def test_a_set_that_could_not_be_written_is_not_there(tmp_path):
    path = tmp_path / "molecules.smi"
    path.write_text("\n".join(SMILES) + "\n", encoding="utf-8")
    with at_most(150), pytest.raises(OSError):
        prepare(str(path), cache=tmp_path / "cache", workers=1)
    assert {name for name in names(tmp_path / "cache") if not name.endswith(".lock")} == set()
    assert prepare(str(path), cache=tmp_path / "cache", workers=1).splits["train"] > 0


def test_a_full_disk_is_one_line(tmp_path, monkeypatch, capfd):
    path = tmp_path / "molecules.smi"
    path.write_text("\n".join(SMILES) + "\n", encoding="utf-8")
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.argv", ["molgen", "data", str(path)])
    with at_most(1_000), pytest.raises(SystemExit) as stop:  # what is captured goes to a file, too
        main()
    assert stop.value.code == 1
    told = capfd.readouterr().err
    assert "Traceback" not in told and "too large" in told.strip().splitlines()[-1].lower()


def test_the_old_file_stays_when_the_new_one_does_not_fit(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old", encoding="utf-8")
    with at_most(1_000), pytest.raises(OSError), atomic_write(path) as file:
        file.write("new" * 10_000)
    assert path.read_text(encoding="utf-8") == "old" and names(tmp_path) == {"x.txt"}

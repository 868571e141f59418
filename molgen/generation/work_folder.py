"""Where a generation run keeps its unfinished work, so that a stopped one can be resumed.

Beside molecules.csv it is the folder molecules.csv.partial: settings.json, one Parquet file for each finished shard,
its checksum, and a lock; at the end also the output and record.json, until both are moved. The folder goes when
molecules.csv and its record molecules.json are in place. Files of others there are never touched.
"""

import dataclasses
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, cast

from filelock import FileLock, Timeout

from molgen.data.dataset import read_json
from molgen.data.writers import check_extension
from molgen.errors import InputError
from molgen.files import atomic_write, sealed, sha256_of, unsealed
from molgen.generation.settings import Settings

MANIFEST, RECORD, LOCK = "settings.json", "record.json", "lock"
SHARD = re.compile(r"shard-\d{6,}\.parquet")
# All that runs leave there, but for the lock; the second part is what `atomic_write` leaves when it is killed.
_WORK = rf"output\.(csv|smi|sdf|parquet)|{SHARD.pattern}|checksum-\d{{6,}}\.txt|{MANIFEST}|{RECORD}"
_OURS = re.compile(rf"({_WORK})|\.({_WORK})\.[0-9a-f]{{8}}\.tmp")


class Work(NamedTuple):
    """folder: of unfinished work; settings: those that hold, with a seed; record: where an earlier start of the same
    run had ended but for moving its files."""

    folder: Path
    settings: Settings
    record: dict[str, object] | None = None


@contextmanager
def work_folder(output: Path | str, settings: Settings, overwrite: bool) -> Iterator[Work]:
    """The work on an output, locked; "-" is standard output, whose work is lost with the block.

    Raises InputError where the output exists, cannot be written, or belongs to a run that is going on or had other
    settings, and where the folder of its work holds files of others.
    """
    if str(output) == "-":
        with tempfile.TemporaryDirectory(prefix="molgen-") as temporary:
            yield Work(Path(temporary), settings.seeded())
        return
    output = Path(output)
    _check_name(output)
    check_extension(output)
    folder = output.with_name(output.name + ".partial")
    if not folder.exists():
        _refuse_existing(output, overwrite)
    else:
        _refuse_foreign(folder)
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except (Timeout, FileNotFoundError):  # not found: the other one has just deleted the folder
        raise InputError(f"another molgen is writing {output}; wait for it, or choose another name") from None
    try:
        record = deliver(folder, output, overwrite)
        if record is not None and not settings.differences(record):
            yield Work(folder, settings, record)
        else:
            _refuse_existing(output, overwrite)  # again: another run may have ended just now
            yield Work(folder, _resume(folder, settings, overwrite))
            _remove_work(folder)
    except BaseException:
        if not _has_shards(folder) and not (folder / RECORD).exists():
            _remove_work(folder)
        raise
    finally:
        # While it is locked, so that no other run can be between taking the lock and using the folder. Windows deletes
        # no open file, so there the lock goes first: the next run's own open lock then keeps the folder.
        if os.name == "nt":
            lock.release()
        if not (folder / MANIFEST).exists():
            with suppress(OSError):  # the next run has taken it already, or someone keeps files of their own there
                (folder / LOCK).unlink(missing_ok=True)
                folder.rmdir()
        lock.release()


def unfinished_output(folder: Path, output: Path | str) -> Path:
    """Where the output is until it is whole."""
    return folder / f"output{check_extension(output)}"


def write_settings(folder: Path, settings: Settings) -> None:
    """Say what the shards in the folder are made with."""
    _write_json(folder / MANIFEST, sealed(dataclasses.asdict(settings)))


def write_record(folder: Path, record: Mapping[str, object]) -> None:
    """Say that the output in the folder is whole; then `deliver` may move it."""
    _write_json(folder / RECORD, sealed(record))


def deliver(folder: Path, output: Path, overwrite: bool) -> dict[str, object] | None:
    """Move a finished output out of the work folder, write its record beside it, and clean up.

    Returns the record, None where the folder holds no finished output. Stopped at any point, the next call does the
    rest. Raises InputError where someone else has put a file there.
    """
    if not (folder / RECORD).exists():
        return None
    record = unsealed(read_json(folder / RECORD))
    finished = unfinished_output(folder, output)
    if record is None:
        logging.getLogger(__name__).warning("Warning: %s is damaged; the output is made again", RECORD)
        (folder / RECORD).unlink()
        return None
    if finished.exists() and sha256_of(finished) == record["output_sha256"]:
        _refuse_existing(output, overwrite)  # again: someone else may have put a file there meanwhile
        finished.replace(output)
    elif not output.is_file() or sha256_of(output) != record["output_sha256"]:
        (folder / RECORD).unlink()  # the output is lost: it is made again, of what shards there are
        return None
    _write_json(output.with_suffix(".json"), record)
    _remove_work(folder)
    return record


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(content, indent=1) + "\n")


def _refuse_existing(output: Path, overwrite: bool) -> None:
    if output.is_dir():
        raise InputError(f"{output} is a folder; give the name of a file")
    if not output.parent.is_dir():
        raise InputError(f"the folder {output.parent} does not exist")
    for path in (output, output.with_suffix(".json")):
        if path.exists() and not overwrite:
            raise InputError(f"{path} exists; choose another name, or allow it to be replaced", "overwrite")


def _check_name(output: Path) -> None:
    try:
        str(output).encode()
    except UnicodeEncodeError:
        name = os.fsencode(output).decode(errors="backslashreplace")
        raise InputError(f"the name of the output should be UTF-8, got {name}") from None


def _refuse_foreign(folder: Path) -> None:
    """Raise InputError where the folder is not one of a run: empty, or with its settings or record."""
    if not folder.is_dir():
        raise InputError(
            f"{folder} is in the way: it should be a folder for unfinished work; move it, or choose another name"
        )
    for name, key in ((MANIFEST, "weights_sha256"), (RECORD, "output_sha256")):
        if (folder / name).exists() and key in read_json(folder / name):
            return
    others = sorted(path.name for path in folder.glob("*") if path.name != LOCK and not _is_left_over(path.name))
    if others:
        raise InputError(
            f"the folder {folder} holds files that are not of an unfinished run, such as {others[0]}; move them, or "
            "choose another name"
        )


def _resume(folder: Path, settings: Settings, overwrite: bool) -> Settings:
    """Settings with the seed of the unfinished run, if there is one; writes down those of a new one."""
    manifest = folder / MANIFEST
    if manifest.exists():
        earlier = unsealed(read_json(manifest))
        if earlier is None and not overwrite:
            raise InputError(
                f"{manifest} is damaged, so the run cannot be resumed; delete {folder}, or allow it to be replaced",
                "overwrite",
            )
        differences = settings.differences(earlier or {})
        if earlier is not None and not differences:
            return dataclasses.replace(
                settings, seed=cast(int, earlier["seed"]), noise=cast(float | None, earlier.get("noise"))
            )
        if not overwrite and _has_shards(folder):
            raise InputError(
                f"{folder} holds an unfinished run with other settings: {', '.join(differences)}; "
                "resume it with those, or allow it to be replaced",
                "overwrite",
            )
    _remove_work(folder)
    settings = settings.seeded()
    write_settings(folder, settings)
    return settings


def _has_shards(folder: Path) -> bool:
    return any(SHARD.fullmatch(path.name) for path in folder.glob("*"))


def _is_left_over(name: str) -> bool:
    """Whether it is a file that a killed run was writing."""
    return name.startswith(".") and _OURS.fullmatch(name) is not None


def _remove_work(folder: Path) -> None:
    """Delete what runs leave in the folder, but for its lock; last the files that say whose the others are."""
    for path in folder.glob("*"):
        if _OURS.fullmatch(path.name) and path.name not in (MANIFEST, RECORD) and not path.is_dir():
            path.unlink()
    for name in (MANIFEST, RECORD):
        (folder / name).unlink(missing_ok=True)

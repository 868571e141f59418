"""A log for programs: JSON lines of what a command says, how far it is and how it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

import click

import molgen
from molgen.errors import InputError
from molgen.training.launch import speaks

if TYPE_CHECKING:
    from molgen.progress import Progress

KEY = "molgen.log"  # of click's context
EVERY = 5.0  # seconds between two lines of progress


class Log:
    """Appends JSON objects, a line each, flushed at once: "time" (UTC), "event", and what belongs to the event.

    Events: start (command, version), message (text, stream), progress (stage, done, total or null), error (text), end
    (seconds). A command that is killed leaves no end.
    """

    def __init__(self, stream: TextIO, command: str) -> None:
        self.stream = stream
        self.started = time.monotonic()
        self.told: tuple[str, float] = ("", 0.0)
        self.write("start", command=command, version=molgen.__version__)

    def write(self, event: str, **values: object) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.stream.write(json.dumps({"time": now, "event": event, **values}) + "\n")
        self.stream.flush()

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """A line where a stage begins, where it is done, and every few seconds between."""
        now = time.monotonic()
        if stage != self.told[0] or now - self.told[1] >= EVERY or done == total:
            self.told = (stage, now)
            self.write("progress", stage=stage, done=done, total=total)

    def close(self) -> None:
        self.write("end", seconds=round(time.monotonic() - self.started, 2))
        self.stream.close()


def current_log() -> Log | None:
    """The log of the command that runs, where one was asked for."""
    context = click.get_current_context(silent=True)
    return None if context is None else cast("Log | None", context.meta.get(KEY))


def logged(progress: Progress) -> Progress:
    """The progress, told to the log as well, where there is one."""
    log = current_log()
    if log is None:
        return progress

    def both(stage: str, done: int, total: int | None) -> None:
        log.progress(stage, done, total)
        progress(stage, done, total)

    return both


@contextmanager
def errors_logged(context: click.Context) -> Iterator[None]:
    """Errors on their way out are written to the log, where there is one."""
    try:
        yield
    except (click.exceptions.Exit, SystemExit):  # the message has been said
        raise
    except BaseException as error:
        if KEY in context.meta:
            context.meta[KEY].write("error", text=str(error) or type(error).__name__)
        raise


def _open(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    if path is None or not speaks():
        return
    try:
        stream = path.open("a", encoding="utf-8")
    except OSError as error:
        raise InputError(f"the log {path} cannot be written ({error.strerror})") from None
    log = Log(stream, context.info_name or "")
    context.meta[KEY] = log
    context.find_root().call_on_close(log.close)  # after an error has been written


log_option = click.option(
    "--log",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=_open,
    help="Append a log for programs to this file: JSON lines of messages, progress and the end.",
)

"""What the parts of faults.py share: the command line in a child process, the app, and rows of the table."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
import urllib.request
from pathlib import Path
from typing import NamedTuple

WAIT = 900.0  # seconds that a command may take
TINY = ("--layers", "1", "--width", "16", "--pair-width", "8", "--heads", "2", "--triangles", "4")


class Outcome(NamedTuple):
    """A row of the table. failed: of the tried; note: what else was counted."""

    what: str
    tried: int
    failed: int
    note: str = ""


class Done(NamedTuple):
    """How a command ended. code: negative for a signal; told: all that it wrote."""

    code: int
    told: str

    @property
    def crashed(self) -> bool:
        """It neither succeeded nor refused with a message."""
        return self.code not in (0, 2) or "Traceback" in self.told

    @property
    def last(self) -> str:
        """The last line of what it told."""
        lines = self.told.strip().splitlines()
        return f"exit code {self.code}: {lines[-1] if lines else ''}"


class Command:
    """A `molgen` command that runs, in a process group of its own.

    It is a fork of this process, which has imported all that it needs: that spares the seconds of its imports.
    """

    def __init__(self, *words: str | Path, log: Path) -> None:
        self.log, self.started = log, time.monotonic()
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            _become([str(word) for word in words], log)

    def ended(self) -> bool:
        """Whether it has ended; it stays a zombie until `wait`."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None

    def kill(self, pid: int | None = None) -> None:
        """Kill it, or a process of its group; 0: the group."""
        with contextlib.suppress(ProcessLookupError):
            if pid == 0:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                os.kill(pid or self.pid, signal.SIGKILL)

    def wait(self, seconds: float = WAIT) -> Done:
        """Wait until it has ended; one that takes too long is killed."""
        late = ""
        while not self.ended():
            if time.monotonic() - self.started > seconds:
                late = f"\nno end after {seconds:g} s"
                self.kill(0)
            time.sleep(0.01)
        _, status = os.waitpid(self.pid, 0)
        return Done(os.waitstatus_to_exitcode(status), self.log.read_text("utf-8", "replace") + late)


def molgen(*words: str | Path, log: Path) -> Done:
    """Run a `molgen` command to its end."""
    return Command(*words, log=log).wait()


def warm_up() -> None:
    """Import what commands need, and start no threads, which a fork would lack."""
    import torch

    import molgen.cli.data
    import molgen.cli.generate
    import molgen.cli.score
    import molgen.cli.train
    import molgen.evaluation.score
    import molgen.generation.runs
    import molgen.training.recipe
    import molgen.training.setup  # noqa: F401

    torch.set_num_threads(1)


def _become(words: list[str], log: Path) -> None:
    code = 1
    try:
        os.setsid()
        for descriptor, path, flags in ((0, os.devnull, os.O_RDONLY), (1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)):
            os.dup2(os.open(path, flags), descriptor)
        os.dup2(1, 2)
        from molgen.cli import main

        sys.argv = ["molgen", *words]
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def app(*words: str) -> tuple[subprocess.Popen[bytes], str]:
    """The app on a free port, and its address, when it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start = [sys.executable, "-c", "from molgen.cli import main; main()", "app", "--headless", f"--port={port}", *words]
    process = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    for _ in range(1_200):
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
                return process, address
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the app did not start")

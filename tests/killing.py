"""Kill worker processes of this one, as a system short of memory does."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import util

import pytest


def children() -> list[int]:
    """The workers that live."""
    return [process.pid for process in multiprocessing.active_children() if process.pid is not None]


def kill(pid: int) -> None:
    """kill -9, and wait until it is so (it stays a zombie until its parent asks for it)."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@contextmanager
def kill_at_start(monkeypatch: pytest.MonkeyPatch, count: int) -> Iterator[list[int]]:
    """Kill the next `count` workers before they are told what to do. Yields their ids. At most 60 s."""
    killed: list[int] = []
    start = util.spawnv_passfds

    def start_and_kill(path: bytes, words: list[object], *rest: object) -> int:
        pid: int = start(path, words, *rest)
        if len(killed) < count and "resource_tracker" not in str(words):
            kill(pid)
            killed.append(pid)
        return pid

    def too_long(*_arguments: object) -> None:
        raise TimeoutError("waits for a dead worker")

    monkeypatch.setattr(util, "spawnv_passfds", start_and_kill)
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(60)
    try:
        yield killed
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        monkeypatch.undo()

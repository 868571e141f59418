"""Spawned processes that are given work over pipes alone, and are replaced when they die.

A pipe has two ends and each process holds one, so the death of a worker at any moment, its start included, is an end of
file for the other. Nothing here needs semaphores or shared memory, which some machines refuse (a small or read-only
/dev/shm), and nothing imports torch.
"""

import os
import pickle
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeAlias, TypeVar

from molgen.errors import MolgenError

Task = TypeVar("Task")
Pipe: TypeAlias = "Connection[Any, Any]"
MOST_DEATHS = 3  # without a result between: then it is no accident
# Threads that wait for each other in a long busy loop slow down all others; none at all slows down these.
SPINNING = {"GOMP_SPINCOUNT": "3000"}


class NoWorkersError(MolgenError):
    """This machine starts no process for us."""


class Died:
    """What is received of a worker that has died."""


class Failed:
    """A worker's message: the work raised this."""

    def __init__(self, error: Exception) -> None:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # it takes other arguments than it keeps
            error = RuntimeError(f"{type(error).__name__}: {error}")
        self.error = error


class _Started:
    """A worker's first message: it waits for its job."""


class Worker(Generic[Task]):
    """A process. ready: it has its job; task: what it is doing, kept by the caller. Raises OSError at its start."""

    def __init__(self) -> None:
        self.ready = False
        self.task: Task | None = None
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        try:
            # The job comes later: while arguments are written the parent holds both ends of their pipe, and would wait
            # for ever for a process that was killed. These few bytes fit into any pipe.
            self.process = context.Process(target=_boot, args=(theirs,), daemon=True)
            self.process.start()
        except BaseException:
            self.pipe.close()
            raise
        finally:
            theirs.close()  # the worker's copy is now the only one, so that its death ends the pipe

    @property
    def idle(self) -> bool:
        """It waits for a task."""
        return self.ready and self.task is None

    def send(self, content: bytes) -> None:
        """Send something pickled: not by the pipe itself, which would move torch's tensors into shared memory."""
        with suppress(OSError):  # it has died, and that is received next
            self.pipe.send_bytes(content)

    def receive(self) -> object:
        """The message that there is; Died where the process ended."""
        try:
            return self.pipe.recv() if self.pipe.poll() else Died()
        except (EOFError, OSError):
            return Died()

    def end(self) -> None:
        """Kill it, whatever it does."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


class Crew(Generic[Task]):
    """`count` workers that each run `job(pipe, *arguments)`; close it.

    job: importable by name (the workers are spawned: a fork of a process that runs threads can hang). What a worker
    receives from its pipe was sent by `give`. Raises NoWorkersError where not even one process starts.
    """

    def __init__(self, count: int, job: Callable[..., None], *arguments: object) -> None:
        self.job = pickle.dumps((job, arguments))
        self.workers: list[Worker[Task]] = []
        self.deaths = 0  # since the last result; whoever receives one sets it to 0
        try:
            for _ in range(count):
                self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        try:
            self.workers.append(Worker())
        except OSError as error:
            if not self.workers:
                raise NoWorkersError(f"no worker process can be started on this machine ({error})") from error

    def give(self, worker: Worker[Task], task: Task, message: object) -> None:
        """Send a worker the message that is its next task."""
        worker.task = task
        worker.send(pickle.dumps(message))

    def messages(self, seconds: float | None = None) -> list[tuple[Worker[Task], object]]:
        """What workers have to say, waiting up to `seconds` for the first of it; None waits as long as it takes.

        A worker that Died is replaced already, and its `task` is still there. Raises NoWorkersError where it was the
        last and no other starts.
        """
        of = {worker.pipe: worker for worker in self.workers} | {
            worker.process.sentinel: worker for worker in self.workers
        }
        found: list[tuple[Worker[Task], object]] = []
        for worker in dict.fromkeys(of[ready] for ready in wait(list(of), seconds)):  # type: ignore[index]
            message = worker.receive()
            if isinstance(message, _Started):
                worker.send(self.job)
                worker.ready = True
            elif isinstance(message, Died):
                self.replace(worker)
            found.append((worker, message))
        return found

    def count_death(self, advice: str) -> None:
        """Raise MolgenError, with the advice, for one death too many without a result between."""
        self.deaths += 1
        if self.deaths >= MOST_DEATHS:
            raise MolgenError(
                f"a worker process died, {self.deaths} times without a result between (too little memory?); {advice}"
            )

    def replace(self, worker: Worker[Task]) -> None:
        """End a worker, and start another in its place."""
        self.workers.remove(worker)
        worker.end()
        self._start()

    def close(self) -> None:
        """End all workers."""
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.end()
        self.workers = []


def calm_threads() -> None:
    """Let OpenMP's threads wait without spinning for long, unless the user has chosen; before torch is imported."""
    if not os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
        os.environ.update(SPINNING)


def _boot(pipe: Pipe) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches all processes; the parent ends this one
    threading.Thread(target=_die_with_parent, daemon=True).start()
    calm_threads()
    with suppress(EOFError, ConnectionResetError, BrokenPipeError):  # the parent has gone
        pipe.send(_Started())
        job, arguments = pipe.recv()  # imports what it needs
        job(pipe, *arguments)


def _die_with_parent() -> None:
    """A parent that is killed cannot end its workers, and they would do work that nobody waits for."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

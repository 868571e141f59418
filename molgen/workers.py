"""Workers that are given work by messages alone, and are replaced when they die.

An engine starts them: here spawned processes; `molgen.cluster` has one for other machines. A pipe has two ends and each
process holds one, so the death of a worker at any moment, its start included, is an end of file for the other. Nothing
here needs semaphores or shared memory, which some machines refuse (a small or read-only /dev/shm), and nothing imports
torch.
"""

import os
import pickle
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeAlias, TypeVar

from molgen.errors import MolgenError
from molgen.libraries import calm_threads, keep_few_shapes

Task = TypeVar("Task")
Pipe: TypeAlias = "Connection[Any, Any]"
MOST_DEATHS = 3  # without a result between: then it is no accident


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


class Worker(ABC, Generic[Task]):
    """Where a job runs. ready: it has its job; task: what it is doing, kept by the caller."""

    def __init__(self) -> None:
        self.ready = False
        self.task: Task | None = None

    @property
    def idle(self) -> bool:
        """It waits for a task."""
        return self.ready and self.task is None

    @abstractmethod
    def begin(self) -> None:
        """Send it its job, now that it waits for it."""

    @abstractmethod
    def send(self, content: bytes) -> None:
        """Send something pickled."""

    @abstractmethod
    def has_message(self) -> bool:
        """Whether there is something to receive."""

    @abstractmethod
    def receive(self) -> object:
        """The message that there is; Died where it has ended."""

    @abstractmethod
    def kill(self) -> None:
        """Kill it, whatever it does."""

    @abstractmethod
    def end(self) -> None:
        """Kill it and wait until it has ended."""


class Engine(ABC):
    """What starts workers. name: in the run record; remote: other machines may do the work."""

    name: str
    remote: bool

    @abstractmethod
    def room(self, gpu: bool = False) -> int:
        """How many workers work side by side: one on each core, or GPU."""

    @abstractmethod
    def threads(self, workers: int) -> int:
        """How many threads each of so many workers may run."""

    @abstractmethod
    def keep(self, job: bytes) -> object:
        """What `start` takes for a pickled job: made once for all workers."""

    @abstractmethod
    def start(self, job: object, gpu: bool) -> Worker[Any]:
        """A new worker; it need not run yet. gpu: it needs one. Raises OSError where none can be started."""

    @abstractmethod
    def wait(self, workers: list[Worker[Any]], seconds: float | None) -> list[Worker[Any]]:
        """Those that have a message, waiting up to `seconds` for the first; None waits as long as it takes."""


class ProcessWorker(Worker[Task]):
    """A process of this machine. Raises OSError at its start."""

    def __init__(self, job: bytes) -> None:
        super().__init__()
        self.job = job
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

    def begin(self) -> None:
        """See `Worker`."""
        self.send(self.job)

    def send(self, content: bytes) -> None:
        """See `Worker`. Not pickled by the pipe itself, which would move torch's tensors into shared memory."""
        with suppress(OSError):  # it has died, and that is received next
            self.pipe.send_bytes(content)

    def has_message(self) -> bool:
        """See `Worker`."""
        return self.pipe.poll()

    def receive(self) -> object:
        """See `Worker`."""
        try:
            return self.pipe.recv() if self.pipe.poll() else Died()
        except (EOFError, OSError):
            return Died()

    def kill(self) -> None:
        """See `Worker`."""
        self.process.kill()

    def end(self) -> None:
        """See `Worker`."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


class Processes(Engine):
    """Processes of this machine."""

    name, remote = "processes", False

    def room(self, gpu: bool = False) -> int:
        """See `Engine`; with a GPU one, since two would share it."""
        return 1 if gpu else available_cores()

    def threads(self, workers: int) -> int:
        """See `Engine`."""
        return max(1, available_cores() // workers)

    def keep(self, job: bytes) -> object:
        """See `Engine`."""
        return job

    def start(self, job: object, gpu: bool) -> Worker[Any]:
        """See `Engine`; processes share the GPU."""
        assert isinstance(job, bytes)
        return ProcessWorker(job)

    def wait(self, workers: list[Worker[Any]], seconds: float | None) -> list[Worker[Any]]:
        """See `Engine`."""
        ours = [worker for worker in workers if isinstance(worker, ProcessWorker)]
        of = {worker.pipe: worker for worker in ours} | {worker.process.sentinel: worker for worker in ours}
        return list(dict.fromkeys(of[ready] for ready in wait(list(of), seconds)))  # type: ignore[index]


PROCESSES = Processes()
_engine: ContextVar[Engine] = ContextVar("engine", default=PROCESSES)


def current_engine() -> Engine:
    """What starts workers here and now."""
    return _engine.get()


@contextmanager
def using(engine: Engine) -> Iterator[None]:
    """Let an engine start all workers in the block."""
    before = _engine.set(engine)
    try:
        yield
    finally:
        _engine.reset(before)


class Crew(Generic[Task]):
    """`count` workers that each run `job(pipe, *arguments)`; close it.

    job: importable by name (the workers are spawned: a fork of a process that runs threads can hang). What a worker
    receives from its pipe was sent by `give`. gpu: each needs one; engine: what starts them, if not the current one.
    Raises NoWorkersError where not even one process starts.
    """

    def __init__(
        self,
        count: int,
        job: Callable[..., None],
        *arguments: object,
        gpu: bool = False,
        engine: Engine | None = None,
    ) -> None:
        self.engine = engine or current_engine()
        self.gpu = gpu
        self.job = self.engine.keep(pickle.dumps((job, arguments)))
        self.workers: list[Worker[Task]] = []
        self.deaths = 0  # since the last result; whoever receives one sets it to 0
        try:
            for _ in range(count):
                self.add()
        except BaseException:
            self.close()
            raise

    def add(self) -> None:
        """Start one more. Raises NoWorkersError where it would be the first and does not start."""
        try:
            self.workers.append(self.engine.start(self.job, self.gpu))
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
        found: list[tuple[Worker[Task], object]] = []
        for worker in self.engine.wait(list(self.workers), seconds):
            message = worker.receive()
            if isinstance(message, _Started):
                worker.begin()
                worker.ready = True
            elif isinstance(message, Died):
                self.replace(worker)
            found.append((worker, message))
        return found

    def count_death(self, advice: str) -> None:
        """Raise MolgenError, with the advice, for one death too many without a result between."""
        self.deaths += 1
        together = len(self.workers) if self.engine.remote else 0  # a machine that is lost takes its workers with it
        if self.deaths >= MOST_DEATHS + together:
            raise MolgenError(
                f"a worker process died, {self.deaths} times without a result between (too little memory?); {advice}"
            )

    def replace(self, worker: Worker[Task]) -> None:
        """End a worker, and start another in its place."""
        self.workers.remove(worker)
        worker.end()
        self.add()

    def close(self) -> None:
        """End all workers."""
        for worker in self.workers:
            worker.kill()
        for worker in self.workers:
            worker.end()
        self.workers = []


def available_cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual_workers(gpu: bool = False) -> int:
    """How many workers there are where the user does not say: as many as the current engine has room for."""
    return current_engine().room(gpu)


def _boot(pipe: Pipe) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches all processes; the parent ends this one
    threading.Thread(target=_die_with_parent, daemon=True).start()
    calm_threads()
    keep_few_shapes()
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

"""Map a function over untrusted items in worker processes, so that one that crashes or hangs costs itself alone."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import inf
from time import monotonic
from typing import Generic, TypeVar, cast

from molgen.workers import Crew, Died, Failed, Pipe, Worker

T = TypeVar("T")
R = TypeVar("R")
SLOW, CRASHED = "slow", "crashed"


def isolated_map(
    function: Callable[[T], R],
    items: Iterable[T],
    failed: Callable[[str], R],
    *,
    workers: int,
    chunk: int = 1_000,
    seconds: float = 10,
) -> Iterator[R]:
    """The results of `function`, in the order of the items; see `isolated_chunks`.

    failed: makes the result of an item that ended its worker or took longer than `seconds`, from the reason.
    """
    done = isolated_chunks(
        partial(_apply, function), items, lambda reason: [failed(reason)], workers=workers, chunk=chunk, seconds=seconds
    )
    for _, results in done:
        yield from results


def isolated_chunks(
    function: Callable[[list[T]], R],
    items: Iterable[T],
    failed: Callable[[str], R],
    *,
    workers: int,
    chunk: int = 1_000,
    seconds: float = 10,
) -> Iterator[tuple[list[T], R]]:
    """Lists of items with the result of `function` on each list, in order; the items are read as they are needed.

    function: importable by name (the workers are spawned: a fork of a process that runs threads can hang); what it
    raises is raised here. chunk: items sent to a worker at once, with 12 times `seconds` to spend. The items of a list
    that ends its worker or takes longer are tried again in lists of one; failed makes the result of the one at fault,
    which has ended two workers or taken longer than `seconds`. Raises MolgenError where workers die before they work,
    or where none can be started.
    """

    pool: _Pool[T, R] = _Pool(function, workers)

    def results(work: _Work[T, R]) -> Iterator[tuple[list[T], R]]:
        pool.finish(work)
        if not work.death:
            yield work.rows, cast(R, work.result)
        elif len(work.rows) == 1:
            yield work.rows, failed(f"took longer than {seconds:g} s" if work.death == SLOW else "crashed RDKit")
        else:
            for single in [pool.schedule([row], seconds) for row in work.rows]:
                yield from results(single)

    with closing(pool):
        waiting: deque[_Work[T, R]] = deque()
        for rows in chunks(items, chunk):
            waiting.append(pool.schedule(rows, 12 * seconds))
            if len(waiting) > 2 * workers:  # keeps the workers busy and the memory flat
                yield from results(waiting.popleft())
        while waiting:
            yield from results(waiting.popleft())


@dataclass(eq=False)
class _Work(Generic[T, R]):
    """A list of items for a worker. deadline: on the clock of time.monotonic, once it was begun; death: how it ended
    its worker."""

    rows: list[T]
    seconds: float
    deadline: float = inf
    done: bool = False
    death: str = ""
    deaths: int = 0
    result: R | None = None
    error: Exception | None = None


class _Pool(Generic[T, R]):
    """Up to `most` workers that apply one function; they get their work while somebody waits for a result."""

    def __init__(self, function: Callable[[list[T]], R], most: int) -> None:
        self.most = most
        self.crew: Crew[_Work[T, R]] = Crew(1, _serve, function)
        self.queue: deque[_Work[T, R]] = deque()

    def schedule(self, rows: list[T], seconds: float) -> "_Work[T, R]":
        work: _Work[T, R] = _Work(rows, seconds)
        self.queue.append(work)
        workers = self.crew.workers
        if len(workers) < min(self.most, len(self.queue) + sum(worker.task is not None for worker in workers)):
            self.crew.add()  # only now: a cluster may have more of them than there is work
        self._turn(0)
        return work

    def finish(self, work: "_Work[T, R]") -> None:
        """Wait for the work to be done. Raises what its function raised."""
        while not work.done:
            self._turn(None)
        if work.error is not None:
            raise work.error

    def close(self) -> None:
        self.crew.close()

    def _turn(self, wait: float | None) -> None:
        """Hear what the workers say, waiting up to `wait` seconds, and give the idle ones work."""
        nearest = min((worker.task.deadline for worker in self.crew.workers if worker.task), default=inf)
        if wait is None and nearest < inf:
            wait = max(0.0, nearest - monotonic())
        for worker, message in self.crew.messages(wait):
            self._hear(worker, message)
        for worker in list(self.crew.workers):
            if worker.task is not None and worker.task.deadline <= monotonic() and not worker.has_message():
                worker.task.done, worker.task.death = True, SLOW
                self.crew.replace(worker)
        for worker in self.crew.workers:
            if worker.idle and self.queue:
                work = self.queue.popleft()
                self.crew.give(worker, work, work.rows)

    def _hear(self, worker: "Worker[_Work[T, R]]", message: object) -> None:
        work = worker.task
        if isinstance(message, Died) and (work is None or work.deadline == inf):
            self.crew.count_death("try again with fewer workers")
        if work is None:
            return
        if isinstance(message, _Begun):
            work.deadline = monotonic() + work.seconds
            return
        begun, work.deadline, worker.task = work.deadline < inf, inf, None
        if isinstance(message, Died):
            work.deaths += begun
            work.done = begun and (len(work.rows) > 1 or work.deaths > 1)  # once may be an accident
            work.death = CRASHED if work.done else ""
            if not work.done:
                self.queue.appendleft(work)
            return
        self.crew.deaths = 0
        work.done = True
        if isinstance(message, Failed):
            work.error = message.error
        else:
            work.result = cast(_Done[R], message).result


class _Begun:
    """A worker's message: it has read its work, and imported what that needs."""


@dataclass(frozen=True)
class _Done(Generic[R]):
    """A worker's message: the result."""

    result: R


def _serve(pipe: Pipe, function: Callable[[list[T]], R]) -> None:
    """A worker: apply the function to each list that comes."""
    while True:
        rows = pipe.recv()
        pipe.send(_Begun())
        try:
            pipe.send(_Done(function(rows)))
        except (BrokenPipeError, MemoryError):  # short of memory, the list is tried again in small ones
            os._exit(1)
        except Exception as error:
            pipe.send(Failed(error))


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _apply(function: Callable[[T], R], rows: list[T]) -> list[R]:
    return [function(row) for row in rows]

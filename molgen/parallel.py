"""Map a function over untrusted items in worker processes, so that one that crashes or hangs costs itself alone."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, TimeoutError
from functools import partial
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from pebble import ProcessExpired, ProcessPool

T = TypeVar("T")
R = TypeVar("R")


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
    that ends its worker or takes longer are tried again in lists of one; failed makes the result of the one at fault.
    """

    def results(rows: list[T], future: "Future[R]") -> Iterator[tuple[list[T], R]]:
        try:
            yield rows, future.result()
        except (TimeoutError, ProcessExpired, MemoryError) as death:
            if len(rows) == 1:
                slow = isinstance(death, TimeoutError)
                yield rows, failed(f"took longer than {seconds:g} s" if slow else "crashed RDKit")
                return
            again = [([row], pool.schedule(function, args=([row],), timeout=seconds)) for row in rows]
            for single, result in again:
                yield from results(single, result)

    with ProcessPool(max_workers=workers, context=get_context("spawn")) as pool:
        try:
            waiting: deque[tuple[list[T], Future[R]]] = deque()
            for rows in chunks(items, chunk):
                waiting.append((rows, pool.schedule(function, args=(rows,), timeout=12 * seconds)))
                if len(waiting) > 2 * workers:  # keeps the workers busy and the memory flat
                    yield from results(*waiting.popleft())
            while waiting:
                yield from results(*waiting.popleft())
        except BaseException:  # an interrupt, an error of the input, or the caller has seen enough
            pool.stop()  # type: ignore[no-untyped-call]
            raise


def available_cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _apply(function: Callable[[T], R], rows: list[T]) -> list[R]:
    return [function(row) for row in rows]

"""Map a function over untrusted items in worker processes, so that one that crashes or hangs costs itself alone."""

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
    """The results of `function`, in the order of the items, which are read as they are needed.

    function: importable by name (the workers are spawned); what it raises is raised here.
    failed: makes the result of an item that ended its worker or took longer than `seconds`, from the reason.
    chunk: items sent to a worker at once; a chunk may take six times `seconds`.
    """
    apply = partial(_apply, function)

    def results(rows: list[T], future: Future) -> list[R]:
        try:
            return future.result()
        except (TimeoutError, ProcessExpired) as death:
            if len(rows) == 1:
                slow = isinstance(death, TimeoutError)
                return [failed(f"took longer than {seconds:g} s" if slow else "crashed RDKit")]
            # One of them did it: each is tried again on its own.
            return [results([row], pool.schedule(apply, args=([row],), timeout=seconds))[0] for row in rows]

    with ProcessPool(max_workers=workers, context=get_context("spawn")) as pool:
        try:
            waiting: deque[tuple[list[T], Future]] = deque()
            for rows in chunks(items, chunk):
                waiting.append((rows, pool.schedule(apply, args=(rows,), timeout=6 * seconds)))
                if len(waiting) > 2 * workers:  # keeps the workers busy and the memory flat
                    yield from results(*waiting.popleft())
            while waiting:
                yield from results(*waiting.popleft())
        except BaseException:  # an interrupt, an error of the input, or the caller has seen enough
            pool.stop()
            raise


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _apply(function: Callable[[T], R], rows: list[T]) -> list[R]:
    return [function(row) for row in rows]

"""Work in processes: same results in the same order; a crash or a hang costs one item; errors come through."""

import os
import time
from multiprocessing import get_context

import pytest

from molgen.errors import MolgenError
from molgen.parallel import chunks, isolated_map
from tests.killing import children, kill, kill_at_start


def treacherous(item: int) -> str:
    if item == 13:
        os._exit(1)
    if item == 7:
        time.sleep(60)
    return str(item)


def square(item: int) -> int:
    if item < 0:
        raise ValueError(f"{item} is negative")
    return item * item


def test_a_crash_and_a_hang_cost_one_item_each():
    # One item a chunk waits for the hanging one; a chunk of five is retried one by one.
    results = list(isolated_map(treacherous, range(20), "failed: {}".format, workers=2, chunk=5, seconds=0.5))
    expected = [str(item) for item in range(20)]
    expected[13] = "failed: crashed RDKit"
    expected[7] = "failed: took longer than 0.5 s"
    assert results == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_results_do_not_depend_on_workers_or_chunks(workers: int):
    expected = [item * item for item in range(100)]
    assert list(isolated_map(square, range(100), int, workers=workers, chunk=7)) == expected


def slow_square(item: int) -> int:
    time.sleep(0.02)
    return item * item


def test_idle_workers_may_be_killed():
    results = isolated_map(square, range(1000), int, workers=2, chunk=10)
    found = [next(results) for _ in range(15)]
    time.sleep(0.5)  # they have done what they had
    for pid in children():
        kill(pid)
    assert found + list(results) == [item * item for item in range(1000)]


def test_workers_may_be_killed_at_their_start_and_in_the_middle(monkeypatch):
    with kill_at_start(monkeypatch, 2) as killed:
        results = isolated_map(slow_square, range(200), int, workers=2, chunk=10)
        found = [next(results)]
        kill(children()[0])
        found += results
    assert len(killed) == 2
    assert found == [item * item for item in range(200)]


def test_workers_that_die_before_they_work_end_it(monkeypatch):
    with kill_at_start(monkeypatch, 1000), pytest.raises(MolgenError, match="died, 3 times"):
        list(isolated_map(square, range(20), int, workers=2))


def test_no_semaphores_are_needed_and_without_processes_it_is_told(monkeypatch):
    def refuse(*_arguments: object, **_options: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", refuse)
    assert list(isolated_map(square, range(20), int, workers=2)) == [item * item for item in range(20)]
    monkeypatch.setattr(type(get_context("spawn")), "Pipe", refuse)
    with pytest.raises(MolgenError, match="no worker process can be started"):
        list(isolated_map(square, range(20), int, workers=2))


def test_items_are_read_as_needed_and_errors_come_through():
    read = []

    def items():
        for item in [*range(1000), -1]:
            read.append(item)
            yield item

    results = isolated_map(square, items(), int, workers=1, chunk=10)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    assert len(read) < 100
    with pytest.raises(ValueError, match="-1 is negative"):
        list(results)


def test_chunks_keep_everything_in_order():
    assert list(chunks(iter("abcde"), 2)) == [["a", "b"], ["c", "d"], ["e"]]
    assert list(chunks([], 2)) == []

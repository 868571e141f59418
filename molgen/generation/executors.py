"""Draw the shards of a generation run in this process or in several, each into a file of its own."""

import os
import signal
import threading
from collections.abc import Generator
from contextlib import closing
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch

from molgen.device import place
from molgen.errors import MolgenError
from molgen.files import atomic_write
from molgen.generation.sampling import Progress, Settings, draw_shard
from molgen.models.checkpoints import Model
from molgen.parallel import available_cores


def shard_file(folder: Path, shard: int) -> Path:
    """Where the rows of a finished shard are."""
    return folder / f"shard-{shard:06d}.parquet"


def finished_shards(
    model: Model, settings: Settings, folder: Path, missing: list[int], workers: int, progress: Progress
) -> Generator[int, None, None]:
    """The numbers of all shards of a run, in order, each when its `shard_file` is there.

    missing: those still to draw, ascending. workers: processes to draw them in; 1 is this one. The files do not depend
    on it. progress: called in this process as samples are drawn. Raises MolgenError where a worker process died.
    """
    to_draw = set(missing)
    workers = min(workers, len(missing))
    if workers <= 1:
        place(model.backend, settings.device)
        for shard in range(settings.shards):
            if shard in to_draw:
                _make_shard(model, settings, folder, shard, progress)
            yield shard
        return
    with closing(_drawn_by_workers(model, settings, folder, missing, workers, progress)) as drawn:
        for shard in range(settings.shards):
            while shard in to_draw:
                to_draw.discard(next(drawn))
            yield shard


def _drawn_by_workers(
    model: Model, settings: Settings, folder: Path, missing: list[int], workers: int, progress: Progress
) -> Generator[int, None, None]:
    """Draw the missing shards in processes, worker k every workers-th one; their numbers, each when it is done."""
    context = get_context("spawn")
    threads = max(1, available_cores() // workers)
    processes = []
    connections: list[Any] = []
    try:
        for worker in range(workers):
            receiver, sender = context.Pipe(duplex=False)
            arguments = (model, settings, folder, missing[worker::workers], threads, sender)
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            processes.append(process)
            connections.append(receiver)
            sender.close()  # the worker's copy is now the only one, so that its death ends the pipe
        while connections:
            ready: list[Any] = wait(connections)
            for connection in ready:
                try:
                    kind, value = connection.recv()
                except (EOFError, ConnectionResetError):
                    raise MolgenError(
                        "a worker process died (too little memory?); the finished shards are kept: run the same "
                        "command again, with fewer workers"
                    ) from None
                if kind == "samples":
                    progress(value)
                elif kind == "shard":
                    yield value
                elif kind == "error":
                    raise value
                else:
                    connections.remove(connection)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _work(model: Model, settings: Settings, folder: Path, shards: list[int], threads: int, sender: Any) -> None:
    """A worker process: draw the shards, and tell of samples, finished shards, errors and the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches all processes; the parent ends this one
    threading.Thread(target=_die_with_parent, daemon=True).start()
    torch.set_num_threads(threads)

    def progress(samples: int) -> None:
        sender.send(("samples", samples))

    try:
        place(model.backend, settings.device)
        for shard in shards:
            _make_shard(model, settings, folder, shard, progress)
            sender.send(("shard", shard))
        sender.send(("end", None))
    except (MolgenError, OSError) as error:
        sender.send(("error", error))


def _die_with_parent() -> None:
    """A parent that is killed cannot end its workers, and they would draw shards that nobody waits for."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_shard(model: Model, settings: Settings, folder: Path, shard: int, progress: Progress) -> None:
    frame = draw_shard(model, settings, shard, progress)
    with atomic_write(shard_file(folder, shard), "wb") as file:
        frame.to_parquet(file, index=False)

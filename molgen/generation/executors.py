"""Draw the shards of a generation run in this process or in several, each into a file of its own."""

import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TypeAlias, cast

import torch

from molgen.errors import MolgenError
from molgen.files import atomic_write
from molgen.generation.sampling import Shards
from molgen.generation.settings import Settings
from molgen.models.checkpoints import Model
from molgen.parallel import available_cores
from molgen.progress import Progress


@dataclass(frozen=True)
class Drawn:
    """A worker's message: so many samples of a shard are drawn."""

    shard: int
    samples: int


@dataclass(frozen=True)
class Finished:
    """A worker's message: the file of a shard is there."""

    shard: int


@dataclass(frozen=True)
class Ended:
    """A worker's last message. error: why it could not draw all of its shards."""

    error: Exception | None = None


Message = Drawn | Finished | Ended
Pipe: TypeAlias = "Connection[Message, Message]"


def shard_file(folder: Path, shard: int) -> Path:
    """Where the rows of a finished shard are."""
    return folder / f"shard-{shard:06d}.parquet"


def finished_shards(
    model: Model, settings: Settings, folder: Path, missing: list[int], workers: int, progress: Progress
) -> Generator[int, None, None]:
    """The numbers of all shards of a run, in order, each when its `shard_file` is there.

    missing: those still to draw, ascending. workers: processes to draw them in; 1 is this one. The files do not depend
    on it. progress: of the samples of the whole run, called in this process. Raises MolgenError where a worker process
    died.
    """
    to_draw = set(missing)
    counter = _Counter(settings, missing, progress)
    workers = min(workers, len(missing))
    if workers <= 1:
        shards = Shards(model, settings)
        for shard in range(settings.shards):
            if shard in to_draw:
                _make_shard(shards, folder, shard, counter)
            yield shard
        return
    with closing(_drawn_by_workers(model, settings, folder, missing, workers, counter)) as drawn:
        for shard in range(settings.shards):
            while shard in to_draw:
                to_draw.discard(next(drawn))
            yield shard


class _Counter:
    """Adds up the samples of shards that are drawn side by side."""

    def __init__(self, settings: Settings, missing: list[int], progress: Progress) -> None:
        self.progress, self.total = progress, settings.samples
        self.of_shard = dict.fromkeys(missing, 0)
        self.drawn = settings.samples - sum(map(settings.shard_samples, missing))

    def __call__(self, message: Drawn) -> None:
        self.drawn += message.samples - self.of_shard[message.shard]
        self.of_shard[message.shard] = message.samples
        self.progress("drawing molecules", self.drawn, self.total)


def _drawn_by_workers(
    model: Model, settings: Settings, folder: Path, missing: list[int], workers: int, counter: _Counter
) -> Generator[int, None, None]:
    """Draw the missing shards in processes, worker k every workers-th one; their numbers, each when it is done."""
    context = get_context("spawn")
    threads = max(1, available_cores() // workers)
    processes = []
    connections: list[Pipe] = []
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
            for connection in cast("list[Pipe]", wait(connections)):
                try:
                    message = connection.recv()
                except (EOFError, ConnectionResetError):
                    raise MolgenError(
                        "a worker process died (too little memory?); the finished shards are kept: start the same run "
                        "again, with fewer workers"
                    ) from None
                match message:
                    case Drawn():
                        counter(message)
                    case Finished(shard):
                        yield shard
                    case Ended(error):
                        connections.remove(connection)
                        if error is not None:
                            raise error
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _work(model: Model, settings: Settings, folder: Path, numbers: list[int], threads: int, sender: Pipe) -> None:
    """A worker process: draw the shards, and tell of samples, finished shards, errors and the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches all processes; the parent ends this one
    threading.Thread(target=_die_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    try:
        shards = Shards(model, settings)
        for shard in numbers:
            _make_shard(shards, folder, shard, sender.send)
            sender.send(Finished(shard))
        sender.send(Ended())
    except (MolgenError, OSError) as error:
        sender.send(Ended(error))


def _die_with_parent() -> None:
    """A parent that is killed cannot end its workers, and they would draw shards that nobody waits for."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_shard(shards: Shards, folder: Path, shard: int, tell: Callable[[Drawn], object]) -> None:
    frame = shards.draw(shard, lambda _stage, done, _total: tell(Drawn(shard, done)))
    with atomic_write(shard_file(folder, shard), "wb") as file:
        frame.to_parquet(file, index=False)

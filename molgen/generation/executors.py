"""Draw the shards of a generation run in this process or by workers, each into a file of its own."""

import hashlib
import io
import logging
import os
from collections import deque
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import torch

from molgen.files import atomic_write, sha256_of
from molgen.generation.sampling import Shards
from molgen.generation.settings import Settings
from molgen.models.checkpoints import Model
from molgen.progress import Progress
from molgen.workers import Crew, Died, Failed, NoWorkersError, Pipe, current_engine


@dataclass(frozen=True)
class Drawn:
    """A worker's message: so many samples of a shard are drawn."""

    shard: int
    samples: int


@dataclass(frozen=True)
class Finished:
    """A worker's message: a shard, as the bytes of its Parquet file (the worker may be on another machine)."""

    shard: int
    rows: bytes


def shard_file(folder: Path, shard: int) -> Path:
    """Where the rows of a finished shard are."""
    return folder / f"shard-{shard:06d}.parquet"


def is_whole(folder: Path, shard: int) -> bool:
    """Whether the file of a shard is there, and as it was written; a damaged one is told to the log.

    Those of earlier versions have no checksum and are taken as they are.
    """
    path, checksum = shard_file(folder, shard), _checksum_file(folder, shard)
    if not path.exists():
        return False
    if not checksum.exists() or checksum.read_bytes() == sha256_of(path).encode():
        return True
    logging.getLogger(__name__).warning("Warning: %s is damaged; its samples are drawn again", path.name)
    return False


def finished_shards(
    model: Model, settings: Settings, folder: Path, missing: list[int], workers: int, progress: Progress
) -> Generator[int, None, None]:
    """The numbers of all shards of a run, in order, each when its `shard_file` is there.

    missing: those still to draw, ascending. workers: of the current engine, to draw them in; 1 process is this one,
    which also does it where no other can be started. The files do not depend on it. progress: of the samples of the
    whole run, called in this process. Raises MolgenError where worker processes die again and again.
    """
    to_draw = set(missing)
    counter = _Counter(settings, missing, progress)
    workers = min(workers, len(missing))
    with ExitStack() as stack:
        drawing = _drawn_here(model, settings, folder, missing, counter)
        engine = current_engine()
        if workers > 1 or (workers and engine.remote):
            try:
                threads, gpu = engine.threads(workers), settings.device != "cpu"
                crew: Crew[int] = Crew(workers, _work, model, settings, threads, gpu=gpu)
                drawing = _drawn_by_workers(stack.enter_context(closing(crew)), folder, missing, counter)
            except NoWorkersError as error:
                logging.getLogger(__name__).warning("Warning: %s; going on in one process", error)
        for shard in range(settings.shards):
            while shard in to_draw:
                to_draw.discard(next(drawing))
            yield shard


class _Counter:
    """Adds up the samples of shards that are drawn side by side."""

    def __init__(self, settings: Settings, missing: list[int], progress: Progress) -> None:
        self.progress, self.total = progress, settings.samples
        self.of_shard = dict.fromkeys(missing, 0)
        self.drawn = settings.samples - sum(map(settings.shard_samples, missing))

    def __call__(self, message: Drawn) -> None:
        more = message.samples - self.of_shard[message.shard]
        if more <= 0:  # drawn again, after a worker died
            return
        self.drawn += more
        self.of_shard[message.shard] = message.samples
        self.progress("drawing molecules", self.drawn, self.total)


def _drawn_here(
    model: Model, settings: Settings, folder: Path, missing: list[int], counter: _Counter
) -> Generator[int, None, None]:
    """Draw the missing shards in this process; their numbers, each when it is done."""
    shards = Shards(model, settings)
    for shard in missing:
        _keep(folder, shard, _rows(shards, shard, counter))
        yield shard


def _drawn_by_workers(
    crew: Crew[int], folder: Path, missing: list[int], counter: _Counter
) -> Generator[int, None, None]:
    """As `_drawn_here`, by workers that take one shard after the other; that of a dead one is drawn again."""
    queue, left = deque(missing), len(missing)
    while left:
        finished = []
        for worker, message in crew.messages():
            match message:
                case Drawn():
                    counter(message)
                case Failed():
                    raise message.error
                case Finished(shard, rows):
                    worker.task, crew.deaths = None, 0
                    _keep(folder, shard, rows)
                    finished.append(shard)
                case Died():
                    crew.count_death("the finished shards are kept: start the same run again, with fewer workers")
                    if worker.task is not None:
                        queue.appendleft(worker.task)
        for worker in crew.workers:
            if worker.idle and queue:
                shard = queue.popleft()
                crew.give(worker, shard, shard)
        left -= len(finished)
        yield from finished


def _work(pipe: Pipe, model: Model, settings: Settings, threads: int) -> None:
    """A worker: draw the shards whose numbers come, and tell of samples, finished shards and errors."""
    torch.set_num_threads(threads)
    try:
        shards = Shards(model, settings)
        while True:
            shard = pipe.recv()
            pipe.send(Finished(shard, _rows(shards, shard, pipe.send)))
    except (EOFError, BrokenPipeError, MemoryError):  # the parent has gone, or draws the shard again in another
        os._exit(1)
    except Exception as error:
        pipe.send(Failed(error))


def _rows(shards: Shards, shard: int, tell: Callable[[Drawn], object]) -> bytes:
    """Draw a shard: the bytes of its file."""
    rows = io.BytesIO()
    shards.draw(shard, lambda _stage, done, _total: tell(Drawn(shard, done))).to_parquet(rows, index=False)
    return rows.getvalue()


def _keep(folder: Path, shard: int, rows: bytes) -> None:
    with atomic_write(_checksum_file(folder, shard)) as text:  # first, so that no shard of ours is ever without it
        text.write(hashlib.sha256(rows).hexdigest())
    with atomic_write(shard_file(folder, shard), "wb") as file:
        file.write(rows)


def _checksum_file(folder: Path, shard: int) -> Path:
    return folder / f"checksum-{shard:06d}.txt"

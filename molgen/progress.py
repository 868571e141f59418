"""How long work tells how far it is."""

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

# progress(stage, done, total): what is being done, how many of it are done, of how many (None: not known)
Progress = Callable[[str, int, int | None], object]
Part = TypeVar("Part", bound=Sized)


def silent(stage: str, done: int, total: int | None) -> None:
    """The progress that tells nobody."""


def counted(parts: Iterable[Part], progress: Progress, stage: str, total: int | None) -> Iterator[Part]:
    """The parts (lists, tables) as they come; before each is handed on, `progress` hears how many items came so far."""
    done = 0
    for part in parts:
        done += len(part)
        progress(stage, done, total)
        yield part


def count_from(progress: Progress, before: int, total: int, stage: str, done: int, _of_part: int | None) -> None:
    """Report the progress of a part of some work as that of the whole, of which `before` was done already."""
    progress(stage, before + done, total)

"""Which of the processes that torchrun has started this one is. Light: the command line asks before torch is loaded."""

import os
from typing import NamedTuple


class Launch(NamedTuple):
    """A process that torchrun has started: its number among all `processes`, and among those of its machine."""

    number: int
    processes: int
    local: int


def launch() -> Launch | None:
    """What torchrun says in the environment; None for a process that it has not started."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    return Launch(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))


def speaks() -> bool:
    """Whether this process is the one that prints and logs: the first, or the only one."""
    found = launch()
    return found is None or found.number == 0

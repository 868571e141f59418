"""The memory of a process and of all that it started, read from /proc."""

from pathlib import Path


def memory(pid: int) -> float:
    """Resident memory in GB, summed over the processes (what they share counts each time); 0 where they have ended."""
    total = 0.0
    for process in [pid, *descendants(pid)]:
        try:
            pages = int(Path(f"/proc/{process}/statm").read_text(encoding="utf-8").split()[1])
        except OSError:  # ended meanwhile
            continue
        total += pages * 4096 / 1e9
    return total


def descendants(pid: int) -> list[int]:
    """Processes that a process has started, and those that they have."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    except OSError:
        return []
    children = [int(child) for child in text.split()]
    return children + [other for child in children for other in descendants(child)]

"""The memory of a process and of all that it started, read from /proc."""

from pathlib import Path


def memory(pid: int) -> float:
    """Memory of the processes in GB, each page that several of them share counted once; 0 where they have ended."""
    total = 0.0
    for process in [pid, *descendants(pid)]:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines()
        except OSError:  # ended meanwhile
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e9
    return total


def descendants(pid: int) -> list[int]:
    """Processes that a process has started, and those that they have."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    except OSError:
        return []
    children = [int(child) for child in text.split()]
    return children + [other for child in children for other in descendants(child)]

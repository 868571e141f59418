"""The log of a training: a CSV file with a line for each measurement."""

import csv
import os
from collections.abc import Mapping
from pathlib import Path

from molgen.errors import TrainingError
from molgen.files import atomic_write

LOG = "log.csv"
COLUMNS = (
    *("step", "epoch", "graphs", "seconds", "learning_rate", "loss", "valid_loss", "told_loss"),
    *("valid", "unique", "novel", "fcd"),
)


def append_line(folder: Path, line: Mapping[str, float | str]) -> None:
    """Add a line to the log of the run in a folder, by columns of COLUMNS; it is on the disk when this returns."""
    path = folder / LOG
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(line)
        file.flush()
        os.fsync(file.fileno())


def read_log(folder: Path) -> list[dict[str, str]]:
    """The lines of a run's log by column, "" for what was not measured; none where it has not begun.

    Raises TrainingError for a damaged file.
    """
    path = folder / LOG
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        for line in lines:
            int(line["step"])
            for name, entry in line.items():
                if name not in COLUMNS:
                    raise ValueError(f"there is no column {name}")
                float(entry or 0)
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise TrainingError(
            f"{path} is damaged ({error}); delete it, and the training goes on with a new one"
        ) from None
    return lines


def truncate_log(folder: Path, step: int) -> None:
    """Drop the lines after a step, which a resumed training writes again."""
    if not (folder / LOG).exists():
        return
    lines = [line for line in read_log(folder) if int(line["step"]) <= step]
    with atomic_write(folder / LOG) as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(lines)

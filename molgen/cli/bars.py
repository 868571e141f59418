"""What is told on standard error: progress bars, which column is read, what an option would keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from molgen.cli.log import logged
from molgen.cli.output import safe, say

if TYPE_CHECKING:
    from molgen.progress import Progress

MANY = 0.01  # of all rows
# why a salt, a mixture or a compound of a metal is rejected
NOT_PLAIN = ("several fragments", "not the same molecule when built from its atoms, charges and bonds")


@contextmanager
def progress_bar(unit: str = " molecules") -> Iterator[Progress]:
    """Yield a progress that is shown as a bar, which begins anew with each stage; only on a terminal."""
    from tqdm import tqdm

    doing = ""
    with tqdm(unit=unit, disable=None, leave=False) as bar:  # None: a log has no use for it

        def progress(stage: str, done: int, total: int | None) -> None:
            nonlocal doing
            if stage != doing:
                doing = stage
                bar.reset(total)
                bar.set_description(safe(stage), refresh=False)
            bar.total = total
            bar.update(done - bar.n)

        yield logged(progress)


def tell_column(column: str | None) -> None:
    """Say which column of a table holds the SMILES, since there may be others; nothing for what is no table."""
    if column is not None:
        say(f"SMILES column: {column}", err=True)


def tell_salts(rejected: Mapping[str, int], rows: int) -> None:
    """Say how many rows --standardise would keep, where they are many; rejected: number of rows by reason."""
    lost = sum(rejected.get(reason, 0) for reason in NOT_PLAIN)
    if lost >= max(1, MANY * rows):
        say(
            f"Hint: {lost:,} of {rows:,} rows are salts, mixtures or metal compounds; --standardise keeps the organic "
            "part of most of them",
            err=True,
        )

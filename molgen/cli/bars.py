"""What is told on standard error: progress bars, and which column is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from molgen.cli.output import safe, say

if TYPE_CHECKING:
    from molgen.progress import Progress


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

        yield progress


def tell_column(column: str | None) -> None:
    """Say which column of a table holds the SMILES, since there may be others; nothing for what is no table."""
    if column is not None:
        say(f"SMILES column: {column}", err=True)

"""Progress bars on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

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
                bar.set_description(stage, refresh=False)
            bar.total = total
            bar.update(done - bar.n)

        yield progress

"""Known molecules to compare with, by the name of their source: each is made ready once, beside, and told to all.

What takes long is a thread of its own, so that a job that waits for it can be stopped.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from job_queue import settle

from molgen.data.public import PUBLIC
from molgen.errors import MolgenError
from molgen.evaluation.open_reference import open_reference
from molgen.evaluation.reference import Reference
from molgen.models.checkpoints import Model
from molgen.progress import Progress, silent

DEFAULT = "qm9"
LOOK_SECONDS = 0.2
COMPARED_AT_ONCE = 500  # rows between two looks at whether a job should stop


class Known(NamedTuple):
    """Known molecules that a set is compared with. source: name of a public set, or path; get: waits until they are
    ready, calling back with how far they are."""

    source: str
    get: Callable[[Progress], Reference]

    @property
    def name(self) -> str:
        """What they are called: MOSES, or the name of a file."""
        return source_name(self.source)


class _Loading:
    """Work in a thread, and how far it is. why: what went wrong."""

    def __init__(self, work: Callable[[Progress], Reference]) -> None:
        self.work = work
        self.stage: tuple[str, int, int | None] = ("loading the known molecules", 0, None)
        self.over = threading.Event()
        self.found: Reference | None = None
        self.why = ""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self.found = self.work(self._tell)
            settle()
        except MolgenError as error:
            self.why = str(error)
        except Exception as error:  # whoever waits must hear of it, and the log must say it all
            self.why = f"molgen failed ({type(error).__name__}); see the log of the server"
            raise
        finally:
            self.over.set()

    def _tell(self, stage: str, done: int, total: int | None) -> None:
        self.stage = (stage, done, total)


class References:
    """own: a file or a public set that the app was started with, "" for none; workers: processes that may be used."""

    def __init__(self, own: str, workers: int) -> None:
        self.own, self.workers = own, workers
        self.lock = threading.Lock()
        self.loadings: dict[tuple[str, bool], _Loading] = {}

    @property
    def choices(self) -> list[str]:
        """The sources to choose from, the usual one first."""
        return list(dict.fromkeys([*([self.own] if self.own else []), DEFAULT, *PUBLIC]))

    def usual_for(self, model: Model) -> Known:
        """What a model was trained on, unless the app was started with a reference, or that is no public set."""
        data = model.card.get("data")
        trained_on = data.get("set") if isinstance(data, dict) else None
        return self.known(self.own or (trained_on if trained_on in PUBLIC else DEFAULT))

    def known(self, source: str, for_fcd: bool = False) -> Known:
        """One of the choices."""
        return Known(source, lambda tell: self.get(source, tell, for_fcd))

    def ready(self, source: str) -> bool:
        """Whether `get` answers at once; if not, the known molecules begin to be made ready."""
        return self._loading(source, False).found is not None

    def at_hand(self, source: str) -> Reference | None:
        """What is ready; nothing is begun."""
        with self.lock:
            loading = self.loadings.get((source, False))
        return loading and loading.found

    def why(self, source: str) -> str:
        """Why they could not be made ready, "" where nothing went wrong; the next job that needs them tries again."""
        return self._loading(source, False).why

    def status(self, source: str) -> str:
        """How far they are, in words."""
        stage, done, total = self._loading(source, False).stage
        return f"{stage}: {done:,} of {total:,}" if total else stage

    def get(self, source: str, tell: Progress = silent, for_fcd: bool = False) -> Reference:
        """The reference, with what the FCD is measured against where asked for. Raises MolgenError, and what `tell`
        raises to end the waiting."""
        if for_fcd:
            self.get(source, tell)
        loading, first = self._loading(source, for_fcd, again=True), self._loading(source, False)
        while not loading.over.wait(LOOK_SECONDS):
            tell(*first.stage)
        if loading.found is None:
            raise MolgenError(f"no comparison with {source_name(source)}: {loading.why}")
        return loading.found

    def _loading(self, source: str, for_fcd: bool, again: bool = False) -> _Loading:
        with self.lock:
            loading = self.loadings.get((source, for_fcd))
            if loading is None or (again and loading.why):
                loading = self.loadings[source, for_fcd] = _Loading(lambda tell: self._made(source, for_fcd, tell))
            return loading

    def _made(self, source: str, for_fcd: bool, tell: Progress) -> Reference:
        if for_fcd:
            made = self.loadings[source, False].found
            assert made is not None
            made.load_fcd()
            return made
        made = open_reference(source, workers=self.workers, progress=tell)
        made.load()
        return made


def source_name(source: str) -> str:
    """What known molecules are called: MOSES, or the name of a file."""
    return PUBLIC[source].title if source in PUBLIC else Path(source).name


def compared(frame: pd.DataFrame, reference: Reference, tell: Progress) -> pd.DataFrame:
    """`Reference.compare` of an assessment in parts; `tell` hears of them and may end it."""
    stage, parts = f"comparing with {source_name(reference.name)}", []
    for start in range(0, len(frame), COMPARED_AT_ONCE):
        tell(stage, start, len(frame))
        parts.append(reference.compare(frame[start : start + COMPARED_AT_ONCE]))
    return pd.concat(parts, ignore_index=True) if parts else frame

"""What all visitors share: models, known molecules, jobs and limits. It outlives pages, reloads and visitors."""

import os
import threading
import time
from pathlib import Path

import streamlit as st
from job_queue import Job, JobQueue
from jobs import MoleculeSet
from references import Known, References
from store import Store
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from molgen.data.prepared import cache_folder
from molgen.models.checkpoints import Model, list_models, load_checkpoint
from molgen.parallel import available_cores

SWEEP_SECONDS = 20
DEFAULT = "qm9-digress"


class Server:
    """Limits come from the environment, where `molgen app` puts them."""

    def __init__(self) -> None:
        self.max_molecules = int(os.environ.get("MOLGEN_APP_MAX_MOLECULES", "10000"))
        self.max_minutes = float(os.environ.get("MOLGEN_APP_MAX_MINUTES", "30"))
        self.max_rows = 5 * self.max_molecules
        self.queue = JobQueue(is_here, ended=self._put_down)
        self.store = Store(Path(os.environ.get("MOLGEN_APP_SETS") or cache_folder() / "app" / "sets.sqlite"))
        self.models: dict[str, Model] = {}
        self.lock = threading.RLock()
        self.workers = max(1, available_cores() - 1)
        self.references = References(os.environ.get("MOLGEN_APP_REFERENCE", ""), self.workers)

    def names(self) -> list[str]:
        """Models to choose from, the default first: those of molgen, and one that the app was started with."""
        own = os.environ.get("MOLGEN_APP_MODEL")
        shipped = sorted(list_models(), key=lambda name: (name != DEFAULT, name))
        return [*shipped, *([own] if own else [])]

    def model(self, name: str) -> Model:
        """A model, loaded once. Raises MolgenError."""
        with self.lock:
            if name not in self.models:
                self.models[name] = load_checkpoint(name)
            return self.models[name]

    def known_for(self, name: str) -> Known:
        """The known molecules that those of a model are compared with. Raises MolgenError."""
        return self.references.usual_for(self.model(name))

    @property
    def jobs(self) -> dict[str, Job]:
        """All jobs by their key."""
        return self.queue.jobs

    def set_of(self, key: str) -> MoleculeSet | None:
        """The set of a key, from the disk where it is not at hand; None where there is none."""
        job = self.jobs.get(key) or self.store.load(key, self.references)
        if not isinstance(job, MoleculeSet):
            return None
        if key not in self.jobs:
            self.queue.keep(job, visitor())
        return job

    def _put_down(self, job: Job) -> None:
        if isinstance(job, MoleculeSet) and job.key in self.jobs and len(job.frame()):  # not one that was removed
            self.store.save(job)

    def start(self, job: Job) -> Job:
        """Put a job of this visitor in the queue. Raises InputError where there is too much to do already."""
        self.queue.start(job, visitor())
        return job


def visitor() -> str:
    """The session that the page is drawn for."""
    context = get_script_run_ctx()
    return context.session_id if context else ""


def is_here(session: str) -> bool:
    """Whether a session is connected."""
    return not runtime.exists() or runtime.get_instance().is_active_session(session)


@st.cache_resource(show_spinner="Starting molgen ...")
def server() -> Server:
    """The one server; known molecules are made ready beside, and the queue is kept in order."""
    made = Server()
    made.references.ready(made.references.choices[0])
    threading.Thread(target=_sweep_for_ever, args=[made.queue], daemon=True).start()
    return made


def _sweep_for_ever(queue: JobQueue) -> None:
    while True:
        time.sleep(SWEEP_SECONDS)
        queue.sweep()

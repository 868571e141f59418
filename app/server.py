"""What all visitors share: models, known molecules, jobs and limits. It outlives pages, reloads and visitors."""

import os
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path

import streamlit as st
from job_queue import Job, JobQueue, settle
from jobs import MoleculeSet
from references import Known, References
from searching import Plan, Searching, read_plan
from store import Store
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from molgen.data.prepared import cache_folder
from molgen.errors import MolgenError
from molgen.models.checkpoints import Model, list_models, load_checkpoint
from molgen.workers import available_cores

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
        self.searches = self.store.path.with_suffix(".searches")
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
                settle()
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
        job = self.jobs.get(key) or self._stored(key)
        if not isinstance(job, MoleculeSet):
            return None
        if key not in self.jobs:
            self.queue.keep(job, visitor())
        return job

    def _stored(self, key: str) -> MoleculeSet | None:
        """A set from the disk; a search can be gone on with, if its model is still there."""
        stored = self.store.load(key, self.references)
        plan = stored and read_plan(self.searches / key)
        if stored and plan:
            with suppress(MolgenError):
                return self.search(plan).as_left(stored)
        return stored

    def search(self, plan: Plan) -> Searching:
        """A search that is not started. Raises MolgenError for what is wrong with its plan."""
        model = self.model(plan.model)
        known = self.references.usual_for(model)
        return Searching(plan, self.searches, model, self.max_minutes, known, self._put_down)

    def tidy(self) -> None:
        """Remove the folders of searches whose sets are gone."""
        for folder in self.searches.glob("*"):
            key = folder.name
            if key not in self.jobs and key not in self.queue.running and not self.store.has(key):
                shutil.rmtree(folder, ignore_errors=True)

    def _put_down(self, job: Job) -> None:
        if not isinstance(job, MoleculeSet) or job.key not in self.jobs:  # it was removed
            return
        if len(job.frame()) or isinstance(job, Searching):
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
    threading.Thread(target=_sweep_for_ever, args=[made], daemon=True).start()
    return made


def _sweep_for_ever(made: Server) -> None:
    while True:
        time.sleep(SWEEP_SECONDS)
        made.queue.sweep()
        made.tidy()

"""What belongs to one visitor: the sets of molecules on the table, and the basket."""

from typing import Any

import pandas as pd
import streamlit as st
from job_queue import Job
from jobs import MoleculeSet
from server import server, visitor

from molgen.errors import MolgenError

BASKET_LIMIT = 1_000


def adopt() -> None:
    """Take the sets that the URL names, so that a reload or a colleague finds them; then keep it up to date."""
    if "sets" not in st.session_state:
        named = st.query_params.get("sets", "").split(",")
        st.session_state.sets = [key for key in named if isinstance(server().jobs.get(key), MoleculeSet)]
        st.session_state.basket = {}
        for key in st.session_state.sets:
            server().queue.join(key, visitor())
    known = [key for key in st.session_state.sets if key in server().jobs]
    st.session_state.sets = known
    if known:
        st.query_params["sets"] = ",".join(known)
    elif "sets" in st.query_params:
        del st.query_params["sets"]


def sets() -> list[MoleculeSet]:
    """The sets of this visitor, the active one first."""
    found = [server().jobs.get(key) for key in st.session_state.sets]
    return [job for job in found if isinstance(job, MoleculeSet)]


def current() -> MoleculeSet | None:
    """The active set."""
    return next(iter(sets()), None)


def put_first(job: MoleculeSet) -> None:
    """Make a set the active one."""
    st.session_state.sets = [job.key, *(key for key in st.session_state.sets if key != job.key)]
    st.query_params["sets"] = ",".join(st.session_state.sets)


def begin(job: MoleculeSet) -> None:
    """Start a job and make its set the active one; tells where there is too much to do already."""
    if submit(job):
        put_first(job)


def submit(job: Job) -> bool:
    """Whether a job could be started; the page says why not."""
    try:
        server().start(job)
    except MolgenError as error:
        st.error(str(error), icon=":material/error:")
        return False
    return True


def stop_button(job: Job, place: Any = st, key: str | None = None) -> None:
    """A button that takes a job out of the queue, or ends it."""
    label = "Cancel" if job.state == "waiting" else "Stop"
    icon = ":material/close:" if job.state == "waiting" else ":material/stop:"
    if place.button(label, key=key or f"stop-{job.key}", icon=icon, width="stretch"):
        server().queue.stop(job)


def remembered(name: str) -> Job | None:
    """A job of this visitor that is no set of molecules, such as a report."""
    return server().jobs.get(st.session_state.get(name, ""))


def basket() -> dict[str, dict[str, Any]]:
    """Molecules put aside: canonical SMILES -> row."""
    return st.session_state.basket


def put_in_basket(rows: pd.DataFrame) -> int:
    """Put molecules aside; how many of them are new there."""
    new = [row for row in rows.to_dict("records") if row["smiles"] and row["smiles"] not in basket()]
    for row in new[: BASKET_LIMIT - len(basket())]:
        basket()[row["smiles"]] = row
    return len(new)

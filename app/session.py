"""What belongs to one visitor: the sets of molecules on the table, the basket, and what the pages' fields held."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import pandas as pd
import streamlit as st
from job_queue import Job
from jobs import Basket, MoleculeSet
from server import server, visitor
from store import KEPT_DAYS

from molgen.errors import MolgenError

NAME_LENGTH, NOTE_LENGTH = 80, 2_000
# fields that a page finds as it left them, by the page's path; a name that ends in - stands for all that begin so
FIELDS = {
    "": (
        *("model", "num", "distinct", "formula", "core", "size", "lead", "parent", "window", "targets", "aim-"),
        *("guidance", "keeps", "known_rings", "effort", "sampler-", "steps-", "seed", "atoms"),
    ),
    "improve": (*("search-model", "search-core", "search-steps-", "search-seed", "budget", "batch", "mean", "part-"),),
    "molecules": (
        *("novelty", "without", "once", "smarts", "like", "least", "ranges", "range-", "sort", "falling"),
        *("page", "columns", "columns-named", "view", "scaffold", "series"),
    ),
    "molecule": ("smiles",),
    "score": ("known", "standardise"),
    "compare": ("profile",),
}
Kind = TypeVar("Kind", bound=Job)


def adopt() -> None:
    """Take the sets that the URL names, so that a reload or a colleague finds them; then keep it up to date."""
    if "sets" not in st.session_state:
        named = [key for key in st.query_params.get("sets", "").split(",") if key]
        st.session_state.sets = [key for key in named if server().set_of(key)]
        st.session_state.lost = len(named) - len(st.session_state.sets)
        for key in st.session_state.sets:
            server().queue.join(key, visitor())
    st.session_state.sets = [key for key in st.session_state.sets if server().set_of(key)]
    _name_in_address()


def _name_in_address() -> None:
    if st.session_state.sets:
        st.query_params["sets"] = ",".join(st.session_state.sets)
    elif "sets" in st.query_params:
        del st.query_params["sets"]


def tell_lost() -> None:
    """Say that the address names molecules that are gone."""
    if st.session_state.lost and not st.session_state.sets:
        st.warning(
            "This address names molecules that the server no longer has: it keeps them for "
            f"{KEPT_DAYS} days after somebody has opened them, and work that was under way is lost when it ends. "
            "The same settings and seed make the same molecules again.",
            icon=":material/link_off:",
        )


def remember(page: str) -> dict[str, Any]:
    """Before a page: if it was not shown last, its fields hold what they held when it was left, unless the URL says
    so. What that was, for `restore`."""
    wanted: dict[str, Any] = {}
    if st.session_state.get("page_shown") != page:
        kept = st.session_state.setdefault("kept", {}).get(page, {})
        wanted = {key: value for key, value in kept.items() if key not in st.query_params}
    st.session_state.page_shown = page
    for key, value in (st.session_state.pop("restored", {}) | wanted).items():
        st.session_state[key] = value
    return wanted


def keep(page: str) -> None:
    """After a page: keep what its fields hold; Streamlit forgets it when another page is shown."""
    names = FIELDS.get(page, ())
    begins = tuple(name for name in names if name.endswith("-"))
    held = {str(key): value for key, value in st.session_state.items() if key in names or str(key).startswith(begins)}
    st.session_state.setdefault("kept", {})[page] = held


def forget(page: str, names: Iterable[str]) -> None:
    """Let fields of another page be as they are at first when it is shown again."""
    for name in names:
        st.session_state.get("kept", {}).get(page, {}).pop(name, None)
        st.session_state.pop(name, None)  # Streamlit holds on to what came from an address


def restore(wanted: dict[str, Any]) -> None:
    """Draw the page again where Streamlit emptied fields: going back in a browser, it takes the URL's word alone."""
    lost = {key: value for key, value in wanted.items() if key in st.session_state and st.session_state[key] != value}
    if lost:
        st.session_state.restored = lost
        st.rerun()


def fill(fields: Mapping[str, Any]) -> None:
    """Draw the page again with other values in its fields, which is too late to set once they are drawn."""
    st.session_state.restored = dict(fields)
    st.rerun()


def mine() -> list[MoleculeSet]:
    """All sets of this visitor, the active one first."""
    return [job for key in st.session_state.sets if (job := server().set_of(key))]


def sets() -> list[MoleculeSet]:
    """Those with something to look at, now or soon."""
    return [job for job in mine() if not job.empty]


def current() -> MoleculeSet | None:
    """The set that was begun or chosen last."""
    return next(iter(mine()), None)


def active() -> MoleculeSet | None:
    """The set to look at."""
    return next(iter(sets()), None)


def put_first(job: MoleculeSet) -> None:
    """Make a set the active one."""
    st.session_state.sets = [job.key, *(key for key in st.session_state.sets if key != job.key)]
    _name_in_address()


def remove(job: MoleculeSet) -> None:
    """Take a set from the table; it is gone where nobody else looks at it, and work on it ends."""
    st.session_state.sets = [key for key in st.session_state.sets if key != job.key]
    server().queue.leave(job, visitor())
    if job.key not in server().jobs:
        server().store.remove(job.key)
    _name_in_address()


def rename(job: Job, field: str) -> None:
    """Call a set what a field holds, if that is something."""
    job.label = " ".join(st.session_state[field].split())[:NAME_LENGTH] or job.label
    server().store.tell(job.key, "label", job.label)


def write_note(job: MoleculeSet, field: str) -> None:
    """Let the note on a set be what a field holds."""
    job.note = st.session_state[field].strip()[:NOTE_LENGTH]
    server().store.tell(job.key, "note", job.note)


def take_in(found: Iterable[MoleculeSet]) -> None:
    """Add sets that are done to those of this visitor, and put them down."""
    for job in found:
        server().queue.keep(job, visitor())
        server().store.save(job)
        st.session_state.sets = [*st.session_state.sets, job.key]
    _name_in_address()


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


def remembered(name: str, kind: type[Kind]) -> Kind | None:
    """A job of this visitor that is no set of molecules, such as a report."""
    job = server().jobs.get(st.session_state.get(name, ""))
    return job if isinstance(job, kind) else None


def basket() -> Basket | None:
    """The molecules put aside, where there are any."""
    return next((job for job in mine() if isinstance(job, Basket)), None)


def in_basket(smiles: str) -> pd.Series | None:
    """The row of a molecule, as canonical SMILES, that is put aside; None where it is not."""
    held = basket()
    if held is None:
        return None
    found = held.frame()[held.frame()["smiles"] == smiles]
    return None if found.empty else found.iloc[0]


def note_in_basket(smiles: str, field: str) -> None:
    """Let the note on a molecule that is put aside be what a field holds."""
    held = basket()
    if held is not None:
        held.write(smiles, st.session_state[field].strip()[:NOTE_LENGTH])
        server().store.save(held)


def put_in_basket(rows: pd.DataFrame) -> int:
    """Put molecules aside; how many of them are new there."""
    held = basket()
    if held is None:
        references = server().references
        held = Basket(references.known(references.choices[0]))
        server().queue.keep(held, visitor())
        st.session_state.sets = [*st.session_state.sets, held.key]
        _name_in_address()
    new = held.put(rows)
    server().store.save(held)
    return new


def take_out_of_basket(rows: pd.DataFrame) -> None:
    """Put molecules back."""
    held = basket()
    if held is not None:
        held.take_out(rows)
        server().store.save(held)

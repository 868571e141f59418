"""What stands beside every page: the sets of molecules, to choose, name, stop and remove."""

import streamlit as st
from jobs import MoleculeSet
from server import server
from session import NAME_LENGTH, put_first, remove, rename, sets
from views import counted

SHOWN = 12


def sidebar() -> None:
    """The visitor's sets, the active one first."""
    with st.sidebar:
        mine = sets()
        if not mine:
            st.caption("Sets of molecules stand here. Whoever has the address of this page sees them, too.")
            return
        st.caption("Sets of molecules; the first is active")
        for place, job in enumerate(mine[:SHOWN]):
            _entry(job, first=place == 0)


def _entry(job: MoleculeSet, first: bool) -> None:
    choose, more = st.columns([5, 1], vertical_alignment="center", gap="small")
    text = f"{job.label}: {counted(job.size, 'molecule')}"
    if choose.button(text, key=f"set-{job.key}", type="primary" if first else "secondary", width="stretch"):
        put_first(job)
        st.rerun()
    if job.busy:
        if more.button("", key=f"cancel-{job.key}", icon=":material/close:", help="Stop", type="tertiary"):
            server().queue.stop(job)
        return
    with more.popover("", icon=":material/more_vert:", type="tertiary", key=f"more-{job.key}"):
        field = f"name-{job.key}"
        st.text_input("Name", job.label, NAME_LENGTH, key=field, on_change=rename, args=[job, field])
        if st.button("Remove", key=f"remove-{job.key}", icon=":material/delete:", help="for good"):
            remove(job)
            st.rerun()

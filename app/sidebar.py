"""What stands beside every page: the sets of molecules, to choose, name, stop and remove, and all of them as a file."""

import streamlit as st
from jobs import MoleculeSet
from project import Opening, project_bytes
from server import server
from session import (
    NAME_LENGTH,
    NOTE_LENGTH,
    put_first,
    remembered,
    remove,
    rename,
    sets,
    stop_button,
    submit,
    take_in,
    write_note,
)
from views import counted, plain

SHOWN = 12


def sidebar() -> None:
    """The visitor's sets, the active one first, and their project."""
    with st.sidebar:
        mine = sets()
        if not mine:
            st.caption("Sets of molecules stand here. Whoever has the address of this page sees them, too.")
        else:
            st.caption("Sets of molecules; the first is active")
        for place, job in enumerate(mine[:SHOWN]):
            _entry(job, first=place == 0)
        with st.expander("Project file", icon=":material/folder:"):
            _project(mine)


def _project(mine: list[MoleculeSet]) -> None:
    """All sets as one file, and such a file opened."""
    if mine:
        st.download_button(
            "Download all sets",
            lambda: project_bytes(mine),
            "molgen-project.json.gz",
            "application/gzip",
            key="project",
            on_click="ignore",
            width="stretch",
            help="with names, notes and the basket; to go on elsewhere, or for a colleague",
        )
    file = st.file_uploader("Open a project file", "gz", key="project-file")
    if file is not None and st.session_state.get("project-opened") != file.file_id:
        st.session_state["project-opened"] = file.file_id
        place = server()
        opening = Opening(
            file.name, file.getvalue(), place.max_minutes, place.max_rows, place.references, place.workers
        )
        if submit(opening):
            st.session_state.opening = opening.key
    job = remembered("opening", Opening)
    if job is not None:
        _watch(job)


def _watch(job: Opening) -> None:
    busy = job.busy

    @st.fragment(run_every=0.7 if busy else None)
    def live() -> None:
        if job.busy:
            st.caption(f"{job.doing} {f'{job.done:,} of {job.total:,}' if job.total else ''}")
            stop_button(job, st.container())
        elif busy:
            st.rerun()

    live()
    if job.error:
        st.error(job.error, icon=":material/error:")
    elif job.sets:
        take_in(job.sets)
        del st.session_state.opening
        st.rerun()


def _entry(job: MoleculeSet, first: bool) -> None:
    choose, more = st.columns([5, 1], vertical_alignment="center", gap="small")
    text = f"{plain(job.label)}: {counted(job.size, 'molecule')}"
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
        note = f"note-{job.key}"
        st.text_area("Note", job.note, max_chars=NOTE_LENGTH, key=note, on_change=write_note, args=[job, note])
        if st.button("Remove", key=f"remove-{job.key}", icon=":material/delete:", help="for good"):
            remove(job)
            st.rerun()

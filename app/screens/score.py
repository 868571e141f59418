"""Judge your own: bring molecules, see what was rejected, screen them, take the report."""

import streamlit as st
from jobs import Upload
from server import server
from session import begin, current, stop_button
from viewer import sketcher
from views import csv_bytes

from molgen.data.readers import FORMATS


def bring() -> None:
    """Upload, paste or draw."""
    place = server()
    upload, paste, draw = st.tabs(["Upload a file", "Paste", "Draw"])
    name, content = "", b""
    with upload:
        file = st.file_uploader(
            f"Molecules: {', '.join(FORMATS)}, each also .gz",
            help=f"at most 20 MB, 64 MB unpacked, {place.max_rows:,} rows; the column of the SMILES is found by itself",
        )
        if file is not None and st.button("Judge the file", type="primary", key=f"judge-{file.file_id}"):
            name, content = file.name, file.getvalue()
    with paste:
        text = st.text_area(
            "SMILES, one to a line; a name may follow", height=150, placeholder="CC(=O)Oc1ccccc1C(=O)O aspirin"
        )
        if st.button("Judge the text", type="primary", key="judge-text"):
            if text.strip():
                name, content = "pasted.smi", text.encode("utf-8")
            else:
                st.warning("Write or paste some SMILES first.")
    with draw:
        drawn = sketcher("own").strip()
        if drawn:
            st.code(drawn, language=None)
            if st.button("Judge the drawing", type="primary", key="judge-drawing"):
                name, content = "drawn.smi", drawn.encode("utf-8")
    if content:
        begin(Upload(name, content, place.max_minutes, place.max_rows, place.reference, place.workers))


def watch(job: Upload) -> None:
    """Progress, then the import report."""
    busy = job.busy

    @st.fragment(run_every=0.7 if busy else None)
    def live() -> None:
        if busy and not job.busy:
            st.rerun()
        if job.busy:
            bar, stop = st.columns([6, 1], vertical_alignment="bottom")
            of = f" {job.done:,} of {job.total:,}" if job.total else ""
            status = server().status if job.doing.startswith("loading") else ""
            bar.progress(job.done / job.total if job.total else 0.0, f"{job.doing}{of} {status}")
            stop_button(job, stop)
        counts = job.counts()
        for place, (name, value) in zip(st.columns(4), counts.items(), strict=True):
            known = f"not among the known molecules ({server().source})" if name == "novel" else None
            place.metric({"requested": "rows"}.get(name, name), f"{value:,}", help=known)

    st.subheader("What came in")
    st.text(job.label)
    if job.error:
        st.error(job.error, icon=":material/error:")
    live()
    if job.busy or not len(job.frame()):
        return
    frame = job.frame()
    rejected = frame[~frame["valid"].astype(bool)]
    if len(rejected):
        st.markdown(f"**{len(rejected):,} rows rejected**")
        shown = rejected[["row", "name", "input", "reason"]].rename(columns={"row": "line"})
        st.dataframe(shown, hide_index=True, height=min(300, 38 + 35 * len(shown)))
        st.download_button(
            "Rejected rows (CSV)", lambda: csv_bytes(rejected), "rejects.csv", "text/csv", on_click="ignore"
        )
    else:
        st.success("Every row is a usable molecule.", icon=":material/check:")
    if rejected.shape[0] < frame.shape[0]:
        st.page_link("screens/molecules.py", label="Look at them and filter", icon=":material/grid_view:")
        st.page_link("screens/compare.py", label="Screen them and write a report", icon=":material/compare:")


st.title("Judge your own molecules")
st.caption("They are checked, measured and compared with known molecules on this machine; nothing is sent anywhere.")
bring()
job = current()
if isinstance(job, Upload):
    watch(job)

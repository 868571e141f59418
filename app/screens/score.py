"""Judge your own: bring molecules, see what was rejected, screen them, take the report."""

import streamlit as st
from files import csv_bytes
from jobs import Upload
from server import server
from session import begin, current, stop_button
from viewer import sketcher
from views import choose_known, counted, plain

from molgen.data.readers import FORMATS
from molgen.evaluation.figures import MEANINGS
from molgen.molecules.parsing import SEVERAL


def bring() -> None:
    """Upload, paste or draw."""
    place = server()
    usual, parents = st.columns([3, 4], vertical_alignment="bottom")
    with usual:
        known = place.references.known(choose_known(place.references.choices[0]))
    standardise = parents.toggle(
        "take the parent of salts, solvates and ions",
        key="standardise",
        bind="query-params",
        help="RDKit's MolStandardize: metals and small fragments go, charges are neutralised, isotopes become the "
        "element; each change is counted and stands in the CSV file. Otherwise a salt is rejected",
    )
    st.caption(
        "Stereo is kept in files and left out of figures: two stereoisomers are one molecule, as the models have none."
    )
    upload, paste, draw = st.tabs(["Upload a file", "Paste", "Draw"])
    name, content, column = "", b"", ""
    with upload:
        file = st.file_uploader(
            f"Molecules: {', '.join(FORMATS)}, each also .gz; at most 20 MB (a larger one is refused), 64 MB unpacked, "
            f"{place.max_rows:,} rows."
        )
        named = st.text_input(
            "SMILES column of a table",
            key="column",
            placeholder="found by itself",
            help="its name in the first line; where several columns can be meant, the page asks for it",
        ).strip()
        if file is not None and st.button("Judge the file", type="primary", key=f"judge-{file.file_id}"):
            name, content, column = file.name, file.getvalue(), named
    with paste, st.form("paste", border=False):  # a form: what was typed comes with the press of the button
        text = st.text_area(
            "SMILES, one to a line; a name may follow", height=150, placeholder="CC(=O)Oc1ccccc1C(=O)O aspirin"
        )
        if st.form_submit_button("Judge the text", type="primary"):
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
    if name and not content:
        st.error(f"{name} is empty: there is nothing to judge", icon=":material/error:")
    elif name:
        begin(Upload(name, content, place.max_minutes, place.max_rows, known, place.workers, standardise, column))


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
            bar.progress(min(1.0, job.done / job.total) if job.total else 0.0, f"{job.doing}{of}")
            stop_button(job, stop)
        counts = job.counts()
        for place, (name, value) in zip(st.columns(4), counts.items(), strict=True):
            name = "rows" if name == "requested" else name
            novel = f"not in {job.novel_to}, of the unique"
            place.metric(name, f"{value:,}", help=novel if name == "novel" and job.novel_to else MEANINGS[name])
        if job.novel_to:
            st.caption(f"Novel: not in {job.novel_to}.")

    st.subheader("What came in")
    st.text(job.label)
    if job.error:
        st.error(job.error, icon=":material/error:")
    if job.busy or not job.empty:
        live()
    if not job.busy and not job.empty:
        report(job)


def report(job: Upload) -> None:
    """What became of the rows."""
    frame = job.frame()
    rejected = frame[~frame["valid"].astype(bool)]
    if job.column:
        st.markdown(f"SMILES column: {plain(job.column)}")
    for line in job.account():
        st.markdown(line)
    if len(rejected):
        st.markdown(f"**{counted(len(rejected), 'row')} rejected**")
        salts = int((rejected["reason"] == SEVERAL).sum())
        if salts and not job.standardise:
            st.info(
                f"Salts or mixtures among them: {salts:,}. Turn on “take the parent” above and judge them again to "
                "keep the largest organic part of each.",
                icon=":material/lightbulb:",
            )
        shown = rejected[["row", "name", "input", "reason"]].rename(columns={"row": "line"})
        st.dataframe(shown, hide_index=True, height=min(300, 38 + 35 * len(shown)))
        st.download_button(
            "Rejected rows (CSV)", lambda: csv_bytes(rejected), "rejects.csv", "text/csv", on_click="ignore"
        )
    elif job.state == "done":
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

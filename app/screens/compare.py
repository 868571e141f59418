"""Compare and report: sets side by side, against known molecules and a screening profile."""

import pandas as pd
import streamlit as st
from charts import histogram, space_map
from jobs import Basket, Comparison, MoleculeSet, labels
from references import Known
from server import server
from session import remembered, sets, stop_button, submit
from views import choose_known, dark, data_uri, label_of, picture

from molgen.errors import MolgenError
from molgen.evaluation.assessment import CHARTED
from molgen.evaluation.figures import MEANINGS
from molgen.evaluation.screening import profile_text, shipped_profiles
from molgen.molecules.fingerprints import map_points, stacked
from molgen.progress import silent

ON_MAP = 400  # molecules of a set; each brings its picture
SHARES = ("valid", "unique", "novel", "V.U.N.", "quality", "passes the profile", "with rare rings")
FILES = {"report.html": "text/html", "molecules.csv": "text/csv", "picked.sdf": "chemical/x-mdl-sdfile"}


@st.cache_data(max_entries=5, show_spinner="Drawing the map ...")
def mapped(keys: tuple[str, ...], sizes: tuple[int, ...], source: str, on_dark: bool) -> pd.DataFrame:
    """The points of the map of some sets, of these sizes, and of known molecules; pictures for a dark page or not."""
    known = server().references.known(source)
    reference = known.get(silent)
    chosen = [job for job in sets() if job.key in keys]
    parts = []
    for job in chosen:
        frame = job.frame()
        parts.append(frame[frame["valid"].astype(bool)].drop_duplicates("smiles")[:ON_MAP])
    places = map_points([stacked(part["fingerprint"]) for part in parts], reference.fingerprints[:ON_MAP])
    molecules = [*(part["smiles"].tolist() for part in parts), reference.smiles[:ON_MAP]]
    points = []
    for label, smiles, xy in zip([*labels(chosen), known.name], molecules, places, strict=True):
        for text, (x, y) in zip(smiles, xy.tolist(), strict=True):
            image = data_uri(picture(text, 180, 130))
            points.append({"x": x, "y": y, "set": label, "smiles": text, "image": image})
    return pd.DataFrame(points)


def charts(chosen: list[MoleculeSet], known: Known) -> None:
    """Distributions of properties, and the map."""
    assessed = known.get(silent).assessed
    frames = {}
    for label, job in zip(labels(chosen), chosen, strict=True):
        frame = job.frame()
        frames[label] = frame[frame["valid"].astype(bool)]
    st.subheader("Properties", help=f"grey: {known.name}")
    names = st.multiselect("Properties", CHARTED, CHARTED[:4], format_func=label_of, label_visibility="collapsed")
    for row in range(0, len(names), 2):
        for place, name in zip(st.columns(2), names[row : row + 2], strict=False):
            values = {label: frame[name].to_numpy(float) for label, frame in frames.items()}
            place.altair_chart(histogram(values, known.name, assessed[name].to_numpy(float), name))
    st.subheader(
        "Map",
        help="the first two principal components of the Morgan fingerprints of all sets and of known molecules (grey); "
        "near points are often alike, far ones never",
    )
    keys, sizes = tuple(job.key for job in chosen), tuple(job.size for job in chosen)
    st.altair_chart(space_map(mapped(keys, sizes, known.source, dark()), known.name))
    st.caption(f"Up to {ON_MAP} molecules of each set; point at one to see it, drag and scroll to move.")


def results(job: Comparison) -> None:
    """The tables of a finished report, and its files."""
    st.subheader("Figures", help="shares with 95 % intervals")
    record = job.record
    table = {}
    for done in record["sets"]:
        cells = {}
        for name in SHARES:
            figure = done[name]
            cells[name] = "-"
            if figure["share"] is not None:
                low, high = figure["interval"]
                cells[name] = f"{figure['share']:.1%} ({low:.1%} to {high:.1%}) of {figure['total']:,}"
        fcd, diversity = done["FCD"], done["internal diversity"]["value"]
        cells["FCD"] = "-" if fcd["value"] is None else f"{fcd['value']:.3f} ({fcd['molecules']:,} molecules)"
        cells["its floor"] = "-" if fcd["floor"] is None else f"{fcd['floor']:.3f}"
        cells["internal diversity"] = "-" if diversity is None else f"{diversity:.3f}"
        cells["scaffolds"] = f"{done['scaffolds']['count']:,}"
        table[done["file"]] = cells
    st.dataframe(pd.DataFrame(table), height=36 * (len(cells) + 1) + 2)
    st.caption(
        f"Novel: {record['novel']}. V.U.N.: {MEANINGS['V.U.N.']}. Rare rings: {record['rare rings']}. Quality: "
        f"{MEANINGS['quality']}. FCD: {MEANINGS['FCD']}; its floor: that of as many real molecules."
    )
    for warning in record["warnings"]:
        st.caption(f":material/warning: {warning}")
    st.subheader("Screen", help="how many molecules entered and left each rule; failing: of all valid ones")
    for place, done in zip(st.columns(max(1, len(record["sets"]))), record["sets"], strict=True):
        place.text(f"{done['file']}: {len(done['picked']):,} picked")
        place.dataframe(pd.DataFrame(done["funnel"]), hide_index=True, height=36 * (len(done["funnel"]) + 1) + 2)
        for at, smiles in enumerate(done["picked"][:6]):
            if at % 3 == 0:
                row = place.columns(3)
            row[at % 3].image(picture(smiles, 200, 150), width="stretch", alt=f"Structure {smiles}")
    st.subheader("Download")
    for place, (name, mime) in zip(st.columns(4), FILES.items(), strict=False):
        place.download_button(name, job.files[name], name, mime, on_click="ignore", width="stretch")


def screening() -> str:
    """The profile, as TOML that can be edited."""
    names = shipped_profiles()
    name = st.selectbox("Screening profile", names, names.index("fragment"), key="profile", bind="query-params")
    with st.expander("Look at the profile, or change it"):
        return st.text_area("Profile (TOML)", profile_text(name), height=260, key=f"profile-{name}")


def watch(job: Comparison) -> None:
    """Progress of a report, then its results."""
    busy = job.busy

    @st.fragment(run_every=0.7 if busy else None)
    def live() -> None:
        if busy and not job.busy:
            st.rerun()
        if job.busy:
            text, stop = st.columns([6, 1], vertical_alignment="center")
            of = f" of {job.total:,}" if job.total else ""
            text.info(f"{job.doing} {f'{job.done:,}' if job.done else ''}{of}", icon=":material/hourglass_top:")
            stop_button(job, stop)

    live()
    if job.error:
        st.error(job.error, icon=":material/error:")
    if job.state == "done":
        results(job)


st.title("Compare and report")
mine = sets()
if not mine:
    st.info("There are no molecules yet.", icon=":material/info:")
    st.page_link("screens/generate.py", label="Make some", icon=":material/auto_awesome:")
    st.page_link("screens/score.py", label="Bring your own", icon=":material/fact_check:")
    st.stop()
names = dict(zip(labels(mine), mine, strict=True))
usual = [label for label, one in names.items() if not isinstance(one, Basket)] or list(names)
picked = st.multiselect("Sets", list(names), usual[:4])
chosen = [names[label] for label in picked]
references = server().references
left, right = st.columns(2)
with left:
    profile = screening()
with right:
    source = choose_known((chosen or mine)[0].known.source)
ready = [job for job in chosen if not job.busy and job.size]
if st.button("Judge and write the report", type="primary", disabled=not ready, icon=":material/play_arrow:"):
    try:
        started = Comparison(ready, profile, server().max_minutes, references.known(source, for_fcd=True))
    except MolgenError as error:
        st.error(str(error), icon=":material/error:")
    else:
        if submit(started):
            st.session_state.comparison = started.key
job = remembered("comparison", Comparison)
if job is not None:
    watch(job)
if ready and references.ready(source):
    charts(ready, references.known(source))

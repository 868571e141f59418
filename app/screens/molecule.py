"""One molecule: structure, 3D, properties beside those of known molecules, alerts, neighbours, likelihood."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from server import server
from session import NOTE_LENGTH, active, in_basket, note_in_basket, put_in_basket, take_out_of_basket
from viewer import HEIGHT, STYLES, viewer_page
from views import choose_known, dark, picture

from molgen.data.readers import Row
from molgen.errors import MolgenError
from molgen.evaluation.assessment import assess_one
from molgen.evaluation.reference import Reference
from molgen.generation.latent import neighbours
from molgen.generation.likelihood import likelihood_of, molecule_graph
from molgen.generation.typical import SAMPLE, TypicalBounds
from molgen.models.base import LatentSpace
from molgen.molecules.alerts import Alert, alerts_of
from molgen.molecules.conformers import Conformers, conformers
from molgen.molecules.drawing import to_png, to_svg
from molgen.molecules.properties import NUMBERS
from molgen.molecules.rules import RULES
from molgen.progress import silent

NEAREST = 4
NO_ALERT = "none"
CONFORMERS = 20


@st.cache_data(max_entries=200, show_spinner="Looking for its shapes ...")
def shapes(smiles: str) -> Conformers:
    """Conformers, made in a process of its own."""
    return next(iter(conformers([smiles], CONFORMERS)))


@st.cache_data(max_entries=500, show_spinner=False)
def judged(smiles: str) -> dict[str, Any]:
    """The row of an assessment."""
    return assess_one(Row(1, "", smiles))


@st.cache_data(max_entries=500, show_spinner=False)
def found_alerts(smiles: str) -> list[Alert]:
    """The structural alerts, each name once, with their atoms."""
    found: dict[str, Alert] = {}
    for alert in alerts_of(smiles):
        found.setdefault(str(alert), alert)
    return list(found.values())


def structure(row: dict[str, Any]) -> None:
    """The 2D structure with an alert marked, and its files."""
    alerts = found_alerts(row["smiles"])
    marked: tuple[int, ...] = ()
    if alerts:
        chosen = st.selectbox("Mark a structural alert", [NO_ALERT, *alerts], key="alert", format_func=str)
        marked = chosen.atoms if isinstance(chosen, Alert) else ()
    st.image(picture(row["smiles"], 560, HEIGHT - 60, "", marked), width="stretch", alt=f"Structure {row['smiles']}")
    st.caption(f"{row['formula']} · {row['inchikey']}")
    svg, png, keep = st.columns([1, 1, 2])
    svg.download_button(
        "SVG",
        lambda: to_svg(row["smiles"], width=560, height=360),
        "molecule.svg",
        "image/svg+xml",
        on_click="ignore",
    )
    png.download_button(
        "PNG", lambda: to_png(row["smiles"], width=1200, height=900), "molecule.png", "image/png", on_click="ignore"
    )
    held = in_basket(row["smiles"])
    if held is None:
        if keep.button("To the basket", icon=":material/shopping_basket:"):
            put_in_basket(pd.DataFrame([row | {"name": "", "row": 1, "input": row["smiles"]}]))
            st.rerun()
        return
    if keep.button("Out of the basket", icon=":material/remove_shopping_cart:"):
        take_out_of_basket(pd.DataFrame([row]))
        st.rerun()
    field = f"note-on-{held['row']}"
    st.text_area(
        "Note on this molecule",
        held["note"],
        max_chars=NOTE_LENGTH,
        height=70,
        key=field,
        on_change=note_in_basket,
        args=[row["smiles"], field],
        help="kept with the molecule in the basket, and a column of its files",
    )


def in_space(smiles: str) -> None:
    """The 3D viewer."""
    found = shapes(smiles)
    if not found.blocks:
        st.warning(f"No 3D structure: {found.reason}", icon=":material/warning:")
        return
    choice, look, more = st.columns([3, 2, 2], vertical_alignment="bottom")
    number = choice.selectbox(
        "Conformer",
        range(len(found.blocks)),
        format_func=lambda k: f"{k + 1} of {len(found.blocks)}: +{found.energies[k]:.2f} kcal/mol",
        help=f"ETKDG and MMFF94; energies above the lowest one found, which is {found.energy:.2f} kcal/mol",
    )
    style = look.selectbox("Style", list(STYLES))
    hydrogens = more.toggle("hydrogens", value=True)
    st.iframe(viewer_page(found.blocks[number], style, hydrogens, dark()), height=HEIGHT)
    st.download_button("This conformer (SDF)", found.blocks[number] + "$$$$\n", "conformer.sdf", on_click="ignore")


def properties(row: dict[str, Any], known: str, assessed: pd.DataFrame) -> None:
    """Each property with its place among the known molecules, which are called `known`."""
    lines = []
    for name, entry in NUMBERS.items():
        values = assessed[name].dropna().to_numpy(float)
        low, high = np.percentile(values, (5, 95)) if len(values) else (np.nan, np.nan)
        usual = f"{low:.{entry.decimals}f} to {high:.{entry.decimals}f}"
        below = float((values <= row[name]).mean()) if np.isfinite(row[name]) and len(values) else None
        value = f"{row[name]:.{entry.decimals}f}" if np.isfinite(row[name]) else "-"
        lines.append((entry.title, value, usual, below))
    columns = ["property", "value", f"90 % of {known}", "share below"]
    st.dataframe(
        pd.DataFrame(lines, columns=columns),
        hide_index=True,
        height=35 * (len(lines) + 1) + 2,
        column_config={
            "property": st.column_config.TextColumn(width=200),
            "value": st.column_config.TextColumn(alignment="right", width=55),
            "share below": st.column_config.ProgressColumn(
                width=140,
                min_value=0,
                max_value=1,
                format="percent",
                help=f"share of molecules of {known} with this value or a smaller one",
            ),
        },
    )
    verdicts = {True: "yes", False: "no", None: "-"}
    st.caption("Keeps the rules: " + ", ".join(f"{rule.replace('_', ' ')} {verdicts[row[rule]]}" for rule in RULES))


def relatives(row: dict[str, Any], known: str, reference: Reference) -> None:
    """Known molecules like this one, by fingerprint and in a latent space."""
    st.subheader(f"Nearest in {known}", help=f"Tanimoto similarity of Morgan fingerprints; {reference.known_name}")
    one = reference.compare(pd.DataFrame([row]))
    st.caption(f"{'New: not' if one['novel'][0] else 'Known: it is'} in {reference.known_name}.")
    found = reference.nearest(row["fingerprint"], NEAREST)
    for place, (smiles, similarity) in zip(st.columns(2) * 2, found, strict=False):
        place.image(picture(smiles, 240, 170), width="stretch", alt=f"Structure {smiles}")
        place.caption(f"{similarity:.2f} `{smiles}`")
    rare = reference.rare_rings(row["ring_systems"])
    if rare:
        st.warning(f"It has a ring system that {reference.rarity}: {rare}", icon=":material/warning:")
    names = [name for name in server().names() if isinstance(server().model(name).backend, LatentSpace)]
    for name in names[:1]:
        if st.toggle(f"neighbours in the latent space of {name}", help=f"among 2,000 molecules of {known}"):
            with st.spinner("Embedding ..."):
                close = latent(name, row["smiles"], tuple(reference.assessed["smiles"]))
            for place, (smiles, distance) in zip(st.columns(2) * 2, close, strict=False):
                place.image(picture(smiles, 240, 170), width="stretch", alt=f"Structure {smiles}")
                place.caption(f"distance {distance:.2f} `{smiles}`")


@st.cache_data(max_entries=100, show_spinner=False)
def latent(name: str, smiles: str, known: tuple[str, ...]) -> list[tuple[str, float]]:
    """Neighbours in a latent space."""
    return neighbours(server().model(name), smiles, list(known), NEAREST)


def likelihood(smiles: str) -> None:
    """How typical the molecule is for a model."""
    st.subheader(
        "How typical for a model",
        help="an upper bound on -log p(molecule), in nats: only for molecules with as many atoms is a lower one more "
        f"typical; so beside it is the share of up to {SAMPLE} training molecules of this size with a lower one",
    )
    for name in server().names():
        try:
            model = server().model(name)
            nats, error = likelihood_of(model, smiles)
            with st.spinner("Comparing with training molecules ..."):
                place = TypicalBounds(model).percentile(molecule_graph(model, smiles).size, nats)
        except MolgenError as why:
            st.caption(f"{name}: {why}")
        else:
            more = "too few training molecules at hand" if np.isnan(place) else f"lower in {place:.0f} % of them"
            st.markdown(f"{name}: **{nats:.1f} ± {error:.1f}** nats, {more}")


def browse(smiles: str) -> None:
    """The molecules before and after this one, in the order in which they were looked at."""
    job = active()
    usual = [] if job is None else job.frame()["smiles"].drop_duplicates().tolist()
    listed: list[str] = st.session_state.get("browsed", usual)
    if smiles not in listed:
        return
    place = listed.index(smiles)
    before, after, text, back = st.columns([1, 1, 2, 2], vertical_alignment="center")
    for button, name, to in ((before, "Previous", place - 1), (after, "Next", place + 1)):
        there = 0 <= to < len(listed)
        button.button(
            name, disabled=not there, on_click=show_other, args=[listed[to] if there else smiles], width="stretch"
        )
    text.caption(f"{place + 1:,} of {len(listed):,} in the list")
    back.page_link("screens/molecules.py", label="Back to the list", icon=":material/grid_view:")


def show_other(smiles: str) -> None:
    """Show another molecule on this page."""
    st.session_state.smiles = smiles


def beside_known(row: dict[str, Any]) -> None:
    """What is said beside known molecules, as soon as they are ready."""
    job = active()
    references = server().references
    left, right = st.columns([5, 3])
    with right:
        source = choose_known(references.choices[0] if job is None else job.known.source)
    known = references.known(source)
    if why := references.why(source):
        left.error(f"No comparison with {known.name}: {why}", icon=":material/error:")
        return
    if not references.ready(source):

        @st.fragment(run_every=1.0)
        def wait() -> None:
            """Until the known molecules are ready, the first time on a machine."""
            if references.ready(source) or references.why(source):
                st.rerun()
            st.info(f"{known.name} is made ready for comparison (once on this machine). {references.status(source)}")

        wait()
        return
    reference = known.get(silent)
    with left:
        st.subheader("Properties")
        properties(row, known.name, reference.assessed)
    with right:
        relatives(row, known.name, reference)
        if st.toggle("likelihood under the models", key="likelihood"):
            likelihood(row["smiles"])


st.title("One molecule")
text = st.text_input(
    "SMILES", key="smiles", bind="query-params", placeholder="for example CC(=O)Oc1ccccc1C(=O)O (aspirin)"
).strip()
if not text:
    st.info("Write a SMILES here, or open a molecule from **Look and filter**.")
    st.stop()
row = judged(text)
if not row["valid"]:
    st.error(f"Not a usable molecule: {row['reason']}", icon=":material/error:")
    st.stop()
browse(row["smiles"])
left, right = st.columns(2)
with left:
    structure(row)
with right:
    in_space(row["smiles"])
beside_known(row)

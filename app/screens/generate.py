"""Make molecules: begin with a task, say what is wanted, start, watch, stop."""

from functools import partial

import streamlit as st
from cards import molecule_cards
from filters import marked_atoms
from making import Generation, expected_seconds
from pace import duration, pace
from server import server
from session import begin, current, stop_button
from table import USUAL
from tasks import example, tiles
from views import tell_state
from wishes import wishes

from molgen.errors import MolgenError
from molgen.generation.settings import make_settings
from molgen.models.checkpoints import Model

SHOWN = 12
FIGURES = {"valid": "valid", "unique": "unique", "novel": "novel", "fcd": "FCD"}
HELP = {
    "valid": "one molecule that RDKit accepts, of those drawn",
    "unique": "distinct ones, of the valid",
    "novel": "not in the training data, of the distinct",
    "fcd": "distance of the molecules' distribution from real ones, 0 is best",
}
OF = {"valid": "requested", "unique": "valid", "novel": "unique", "passed": "unique"}


def card(model: Model) -> None:
    """What a model is good for, and its figures."""
    data = model.card.get("data", {})
    known = (
        f"{data.get('set', '?')}, {data.get('training molecules', 0):,} molecules" if isinstance(data, dict) else "?"
    )
    elements = ", ".join(dict.fromkeys(element for element, _ in model.vocabulary.atoms))
    largest = len(model.statistics.sizes) - 1
    st.caption(f"{model.backend_name}, trained on {known}: up to {largest} heavy atoms, of {elements}.")
    with st.expander(f"Figures, limits and origin of {model.name}", icon=":material/info:"):
        figures = model.card.get("figures", {})
        if isinstance(figures, dict) and figures:
            for place, key in zip(st.columns(2) * 2, FIGURES, strict=True):
                place.metric(FIGURES[key], figures.get(key, "-"), help=HELP[key])
        st.text(str(model.card.get("limits", "no limits are noted")))
        for part in ("training", "figures"):
            if isinstance(model.card.get(part), dict):
                st.json(model.card[part], expanded=False)


def ask() -> None:
    """The form, and the start."""
    place = server()
    left, right = st.columns([3, 4])
    with left:
        name = st.selectbox("Model", place.names(), key="model", bind="query-params")
        try:
            model = place.model(name)
        except MolgenError as error:
            st.error(str(error), icon=":material/error:")
            return
        wanted = wishes(model)
        if st.button("Make molecules", type="primary", icon=":material/play_arrow:") and wanted is not None:
            try:
                settings = make_settings(model, **wanted)
                known = place.references.usual_for(model)
                job = Generation(model.name, place.max_minutes, model, settings.seeded(), known)
            except MolgenError as error:
                st.error(str(error), icon=":material/error:")
                return
            begin(job)
        took = wanted and expected_seconds(list(place.jobs.values()), model, wanted)
        if took:
            st.caption(f"About {duration(took)} here, as the last molecules of this model went.")
    with right:
        card(model)
        example()


def watch(job: Generation) -> None:
    """Progress while it runs, figures when it is done, and the newest molecules."""
    busy = job.busy

    @st.fragment(run_every=0.7 if busy else None)
    def live() -> None:
        if busy and not job.busy:
            st.rerun()
        frame = job.frame()
        if job.busy:
            assert job.total is not None
            bar, stop = st.columns([6, 1], vertical_alignment="bottom")
            bar.progress(min(1.0, job.done / job.total), job.doing or pace(job.done, job.total, job.drawing_seconds))
            stop_button(job, stop)
        counts = job.counts()
        for place, (name, value) in zip(st.columns(len(counts)), counts.items(), strict=True):
            of = OF.get(name)
            share = f"{value / counts[of]:.1%} of {of}" if of and counts[of] else None
            place.metric(name, f"{value:,}", share, help=HELP.get(name), delta_color="off", delta_arrow="off")
        if len(frame):
            shown = frame.tail(SHOWN) if job.busy else frame.head(SHOWN)
            molecule_cards(shown, job, list(USUAL), partial(marked_atoms, "", job.kept))
        elif job.started and not job.busy and not job.error:
            st.info(
                "Valid molecules came out, and the filters keep none of them. Wider filters or more molecules may help."
                if counts["valid"]
                else "No valid molecule came out. More steps, another formula or another model may help."
            )

    st.divider()
    tell_state(job, job.warnings, "stopped; what was there is kept")
    live()
    if not job.busy:
        ended(job)


def ended(job: Generation) -> None:
    """What is told of a run that has ended."""
    if job.reasons:
        st.caption("Not valid: " + ", ".join(f"{count:,} {why}" for why, count in job.reasons.most_common(6)))
    for kept in job.tally.funnel():
        st.caption(f"Filter: {kept['left']:,} of {job.tally.unique:,} unique left after: {kept['rule']}")
    for name, row in job.tally.asked().items():
        inside = f", {row['inside']:.0%} inside" if "inside" in row else ""
        st.caption(f"{name}: {row['asked']} asked for, {row['mean']:.4g} obtained on average{inside}")
    st.caption(f"Novel: not in {job.novel_to}.")
    if len(job.frame()):
        st.page_link("screens/molecules.py", label="Look at all of them", icon=":material/grid_view:")
    st.caption("The same molecules on the command line:")
    st.code(job.command, language=None, wrap_lines=True)


st.title("Make new molecules")
shown = current()
with st.expander("What do you want to make?", expanded=shown is None, icon=":material/auto_awesome:"):
    tiles()
ask()
shown = current()
if isinstance(shown, Generation):
    watch(shown)
else:
    st.info("Choose a task or a model and press **Make molecules**. The first structures show within seconds.")

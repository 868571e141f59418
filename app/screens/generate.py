"""Make molecules: choose a model, start, watch, stop."""

import streamlit as st
from jobs import Generation
from server import server
from session import begin, current, stop_button
from views import cards, out_of_bounds

from molgen.errors import MolgenError
from molgen.generation.settings import make_settings
from molgen.models.checkpoints import Model

SHOWN = 12
MAX_STEPS = 1_000
MAX_SEED = 2**32
FIGURES = {"valid": "valid", "unique": "unique", "novel": "novel", "fcd": "FCD"}
HELP = {
    "valid": "one molecule that RDKit accepts, of those drawn",
    "unique": "distinct ones, of the valid",
    "novel": "not in the training data, of the distinct",
    "fcd": "distance of the molecules' distribution from real ones, 0 is best",
}


def card(model: Model) -> None:
    """What a model is good for, and its figures."""
    data = model.card.get("data", {})
    known = (
        f"{data.get('set', '?')}, {data.get('training molecules', 0):,} molecules" if isinstance(data, dict) else "?"
    )
    elements = ", ".join(dict.fromkeys(element for element, _ in model.vocabulary.atoms))
    largest = len(model.statistics.sizes) - 1
    st.caption(f"{model.backend_name}, trained on {known}: up to {largest} heavy atoms, of {elements}.")
    figures = model.card.get("figures", {})
    if isinstance(figures, dict) and figures:
        for place, key in zip(st.columns(2) * 2, FIGURES, strict=True):
            place.metric(FIGURES[key], figures.get(key, "-"), help=HELP[key])
    with st.expander("Limits and origin of this model"):
        st.text(str(model.card.get("limits", "no limits are noted")))
        for part in ("training", "figures"):
            if isinstance(model.card.get(part), dict):
                st.json(model.card[part], expanded=False)


def ask() -> None:
    """The form, and the start."""
    place = server()
    left, right = st.columns([3, 4])
    with left:
        names = place.names()
        name = st.selectbox("Model", names, key="model", bind="query-params")
        try:
            model = place.model(name)
        except MolgenError as error:
            st.error(str(error), icon=":material/error:")
            return
        count = st.number_input("How many", value=min(100, place.max_molecules), step=1, key="num", bind="query-params")
        wrong = out_of_bounds("How many", count, 1, place.max_molecules)
        distinct = st.toggle(
            "count only distinct valid ones",
            key="distinct",
            bind="query-params",
            help="goes on until so many are found; otherwise so many are drawn, failures included",
        )
        formula = atoms = None
        if "formula" in model.backend.requests:
            formula = st.text_input(
                "Formula, hydrogens included (optional)", key="formula", bind="query-params", placeholder="C6H9NO2"
            )
        with st.expander("Advanced"):
            sampler = st.selectbox(
                "Sampler",
                model.backend.samplers,
                key=f"sampler-{name}",
                bind="query-params",
                help="\n".join(f"- {one}: {what}" for one, what in model.backend.sampler_help.items()) or None,
            )
            steps = st.number_input(
                "Steps",
                value=min(model.backend.default_steps, MAX_STEPS),
                step=1,
                key=f"steps-{name}",
                bind="query-params",
                help="network evaluations of a molecule: more is slower, and better up to a point",
            )
            wrong |= out_of_bounds("Steps", steps, 1, min(MAX_STEPS, model.backend.max_steps))
            seed = st.number_input(
                "Seed",
                value=None,
                step=1,
                key="seed",
                bind="query-params",
                placeholder="drawn at random",
                help="the same seed and settings give the same molecules again",
            )
            wrong |= out_of_bounds("Seed", seed, 0, MAX_SEED)
            if "atoms" in model.backend.requests:
                atoms = st.text_input(
                    "Atoms with their numbers of neighbours (optional)",
                    key="atoms",
                    bind="query-params",
                    placeholder="C3 C2 C2 O1",
                    help="C3 is a carbon bound to three other heavy atoms: this settles rings and branches",
                )
        if st.button("Make molecules", type="primary", icon=":material/play_arrow:") and not wrong:
            try:
                settings = make_settings(
                    model,
                    num=None if distinct else int(count),
                    unique=int(count) if distinct else None,
                    seed=seed,
                    sampler=sampler,
                    steps=int(steps),
                    formula=formula.strip() or None if formula else None,
                    atoms=atoms.strip() or None if atoms else None,
                )
            except MolgenError as error:
                st.error(str(error), icon=":material/error:")
                return
            what = f"{settings.formula or settings.atoms or ''} {model.name}".strip()
            begin(Generation(what, place.max_minutes, model, settings.seeded(), place.reference))
    with right:
        card(model)


def watch(job: Generation) -> None:
    """Progress while it runs, figures when it is done, and the newest molecules."""
    busy = job.busy

    @st.fragment(run_every=0.7 if busy else None)
    def live() -> None:
        if busy and not job.busy:
            st.rerun()
        frame = job.frame()
        if job.busy:
            rate = job.done / job.seconds if job.seconds > 0.5 else 0.0
            left = f", {(job.total - job.done) / rate:,.0f} s left" if rate and job.total > job.done else ""
            text = job.doing or f"{job.done:,} of {job.total:,}, {rate:,.0f}/s{left}"
            bar, stop = st.columns([6, 1], vertical_alignment="bottom")
            bar.progress(min(1.0, job.done / job.total), text)
            stop_button(job, stop)
        counts = job.counts()
        for place, (name, value) in zip(st.columns(4), counts.items(), strict=True):
            of = {"valid": "requested", "unique": "valid", "novel": "unique"}.get(name)
            share = f"{value / counts[of]:.1%} of {of}" if of and counts[of] else None
            place.metric(name, f"{value:,}", share, delta_color="off", delta_arrow="off")
        if len(frame):
            cards(frame.tail(SHOWN) if job.busy else frame.head(SHOWN))
        elif job.started and not job.busy and not job.error:
            st.info("No valid molecule came out. More steps, another formula or another model may help.")

    with st.container(border=True):
        state = {"done": "done", "stopped": "stopped; what was there is kept", "failed": "failed"}.get(job.state, "")
        st.subheader(f"{job.label} {state}".strip())
        if job.error:
            st.error(job.error, icon=":material/error:")
        live()
        if not job.busy:
            if job.reasons:
                st.caption("Not valid: " + ", ".join(f"{count:,} {why}" for why, count in job.reasons.most_common(6)))
            if len(job.frame()):
                st.page_link("screens/molecules.py", label="Look at all of them", icon=":material/grid_view:")
            st.caption("The same molecules on the command line:")
            st.code(job.command, language="bash", wrap_lines=True)


st.title("Make new molecules")
ask()
shown = current()
if isinstance(shown, Generation):
    watch(shown)
else:
    st.info("Choose a model and press **Make molecules**. The first structures show within seconds.")

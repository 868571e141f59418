"""Improve against an objective: say what a good molecule is, search for it, watch the best come."""

import secrets
from dataclasses import replace

import pandas as pd
import streamlit as st
from curves import climb
from editor import accepted, edited, fill
from jobs import VALUE
from objectives import read
from onward import KEEP, can, changers
from searching import FILES, Plan, Searching
from server import server
from session import begin, current, stop_button
from views import counted, out_of_bounds, picture, tell_state
from wishes import MAX_SEED, MAX_STEPS

from molgen.errors import MolgenError
from molgen.models.checkpoints import Model
from molgen.molecules.properties import CATALOGUE
from molgen.optimisation.objective import Component
from molgen.optimisation.plots import LINES
from molgen.optimisation.run import STEPS

BUDGET, BATCH = 500, 50
BEST, ACROSS = 8, 4  # structures, and how many beside each other
MOST_BYTES = 100_000  # of a file with an objective


def open_file(model: Model) -> None:
    """Put the objective of a file into the editor."""
    with st.popover("Open an objective", icon=":material/folder_open:"):
        file = st.file_uploader("A TOML file, as `molgen optimize` takes it")
        if file is None or not st.button("Put it into the editor", type="primary"):
            return
    try:
        if file.size > MOST_BYTES:
            raise MolgenError(f"{file.name} is larger than an objective should be")
        fill(*read(file.getvalue().decode("utf-8"), file.name, model))
    except UnicodeDecodeError:
        st.error(f"{file.name} is not UTF-8 text", icon=":material/error:")
    except MolgenError as error:
        st.error(str(error), icon=":material/error:")


def objective(name: str, model: Model, first: bool) -> str | None:
    """The editor; the objective as TOML, None where it is wrong, which is told. first: whether nothing is there yet."""
    with st.expander("Objective: what a good molecule is", expanded=first, icon=":material/target:"):
        open_file(model)
        text = edited(model, server().known_for(name))
        if text is not None:
            try:
                accepted(text, model.weights_sha256, model)
            except MolgenError as error:
                st.error(str(error), icon=":material/error:")
                return None
    return text


def advanced(model: Model) -> dict[str, int] | None:
    """Steps, molecules of a generation (batch) and seed; None where one is out of bounds."""
    backend, most = model.backend, server().max_molecules
    with st.expander("Advanced"):
        left, middle, right = st.columns(3)
        steps = left.number_input(
            "Steps",
            value=min(backend.default_steps, STEPS),
            step=1,
            key=f"search-steps-{model.name}",
            bind="query-params",
            help="network evaluations of a molecule",
        )
        batch = middle.number_input(
            "Molecules at a time",
            value=min(BATCH, most),
            step=1,
            key="batch",
            bind="query-params",
            help="scored between two choices of whom to change: fewer learn more from each, and take longer",
        )
        seed = right.number_input(
            "Seed", value=None, step=1, key="search-seed", bind="query-params", placeholder="drawn at random"
        )
        wrong = out_of_bounds("Steps", steps, 1, min(MAX_STEPS, backend.max_steps))
        wrong |= out_of_bounds("Molecules at a time", batch, 1, most)
        wrong |= out_of_bounds("Seed", seed, 0, MAX_SEED)
    if seed is None:
        seed = st.session_state.setdefault("drawn_seed", secrets.randbits(32))
    return None if wrong else {"steps": steps, "batch": batch, "seed": seed}


def ask(first: bool) -> None:
    """The form, and the start."""
    place, names = server(), changers()
    if not names:
        st.error("No model here can change molecules.", icon=":material/error:")
        return
    left, middle, right = st.columns([3, 2, 4])
    name = left.selectbox("Model", names, key="search-model", bind="query-params")
    model = place.model(name)
    keeps = can(model, KEEP)
    budget = middle.number_input(
        "Molecules to score", value=min(BUDGET, place.max_molecules), step=1, key="budget", bind="query-params"
    )
    core = right.text_input(
        "Core that every molecule contains (SMILES)",
        key="search-core",
        bind="query-params",
        placeholder="c1ccc([*:1])cc1" if keeps else "this model keeps none",
        disabled=not keeps,
    ).strip()
    wrong = out_of_bounds("Molecules to score", budget, 1, place.max_molecules)
    text = objective(name, model, first)
    wanted = advanced(model)
    if wrong or text is None or wanted is None:
        return
    plan = Plan(name, text, budget, core=core if keeps else "", **wanted)
    if st.button("Search", type="primary", icon=":material/play_arrow:"):
        start(plan)
    with st.expander("The same on the command line", icon=":material/terminal:"):
        left, right = st.columns([3, 2])
        left.code(text, language=None, wrap_lines=True)
        right.code(plan.command, language=None, wrap_lines=True)
        right.download_button("Download objective.toml", text, "objective.toml", "text/plain", on_click="ignore")


def start(plan: Plan, earlier: Searching | None = None) -> None:
    """Start a search, or go on with an earlier one; what is wrong is told."""
    st.session_state.pop("drawn_seed", None)  # the next is another search
    try:
        job = server().search(plan)
    except MolgenError as error:
        st.error(str(error), icon=":material/error:")
        return
    begin(job if earlier is None else job.after(earlier))
    if current() is job:  # it was taken
        st.rerun()


def best_ones(job: Searching) -> None:
    """The best structures so far, each with its score and values."""
    rows = job.best(BEST).to_dict("records")
    for at, row in enumerate(rows):
        if at % ACROSS == 0:
            places = st.columns(ACROSS)
        with places[at % ACROSS]:
            st.image(picture(row["smiles"], 200, 150), width="stretch", alt=f"Structure {row['smiles']}")
            values = [told(one, row[VALUE + one.name]) for one in job.objective.components]
            values += [counted(row["unseen_rings"], "unseen ring system")] if row["unseen_rings"] else []
            st.markdown(f"**{row['score']:.3f}**")
            st.caption(" · ".join(values))


def told(component: Component, value: float) -> str:
    """A component's value, such as "logP 2.1"."""
    if component.kind == "property" and component.name == component.value:
        return CATALOGUE[component.name].text(value)
    return f"{component.name} {value:.3g}"


def watch(job: Searching) -> None:
    """The curve and the best while it runs; afterwards what can be done next."""
    busy = job.busy

    @st.fragment(run_every=1.0 if busy else None)
    def live() -> None:
        if busy and not job.busy:
            st.rerun()
        if job.busy:
            bar, stop = st.columns([6, 1], vertical_alignment="bottom")
            bar.progress(min(1.0, job.done / job.plan.budget), f"{job.done:,} of {job.plan.budget:,}, {job.doing}")
            stop_button(job, stop)
        if len(job.curve):
            last = job.curve.iloc[-1]
            for place, (name, label) in zip(st.columns(3), LINES.items(), strict=True):
                place.metric(label, "-" if pd.isna(last[name]) else f"{last[name]:.3f}")
            st.altair_chart(climb(job.curve))
            best_ones(job)
        elif job.state == "done":
            st.info("No new molecule was found. More steps or another core may help.")

    with st.container(border=True):
        tell_state(job, job.warnings, "stopped; what was scored is kept")
        live()
        if not job.busy:
            ended(job)


def ended(job: Searching) -> None:
    """What can be done with a search that has ended: look, take away, go on."""
    go_on(job)
    if job.size:
        st.page_link("screens/molecules.py", label=f"Look at all {job.size:,}", icon=":material/grid_view:")
        files = job.files()
        for place, (name, content) in zip(st.columns(4), files.items(), strict=False):
            place.download_button(name, content, name, FILES[name], on_click="ignore", width="stretch")
    st.button("Edit its objective", icon=":material/edit:", on_click=edit, args=[job])
    st.caption("The same search on the command line, with the objective below in objective.toml:")
    st.code(job.command, language=None, wrap_lines=True)
    st.code(job.plan.objective, language=None)


def edit(job: Searching) -> None:
    """Put the objective of a search into the editor."""
    fill(*read(job.plan.objective, job.label, job.model))


def go_on(job: Searching) -> None:
    """Fields to go on with a search: it keeps what was scored, and scores no molecule again."""
    most = server().max_molecules
    if job.requested >= most:
        st.caption(f"{counted(most, 'molecule')} is the most that this server scores in a search.")
        return
    usual = job.plan.budget if job.requested < job.plan.budget else min(most, 2 * job.plan.budget)
    number, press = st.columns([1, 3], vertical_alignment="bottom")
    more = number.number_input("Molecules in all", value=usual, step=1, key=f"more-{job.key}-{job.requested}")
    wrong = out_of_bounds("Molecules in all", more, job.requested + 1, most)
    if press.button("Go on", icon=":material/resume:", disabled=wrong):
        start(replace(job.plan, budget=more), job)


st.title("Improve against an objective")
shown = current()
search = shown if isinstance(shown, Searching) else None
if "parts" not in st.session_state:
    if search is None:
        fill()
    else:
        edit(search)
ask(first=search is None)
shown = current()
if isinstance(shown, Searching):
    watch(shown)
else:
    st.info("Say what a good molecule is and press **Search**. The best structures so far show while it runs.")

"""The fields that say what molecules to make: how many, what is asked of the drawing, what is kept afterwards."""

import math
from typing import Any

import streamlit as st
from charts import distribution
from picker import choose_growth
from server import server
from session import fill
from viewer import sketcher
from views import SHOWN, label_of, out_of_bounds

from molgen.data.dataset import TargetStatistics
from molgen.evaluation.screening import load_profile, shipped_profiles
from molgen.generation.filters import KNOWN_RINGS
from molgen.models.checkpoints import Model
from molgen.models.effort import Effort, efforts

MAX_STEPS = 1_000
MAX_SEED = 2**32
ANY = "any"
SPAN = 3.0  # standard deviations on either side of the mean, of a scale


def wishes(model: Model) -> dict[str, Any] | None:
    """What `make_settings` takes, from the fields; None where a number is out of bounds, which is told."""
    most = server().max_molecules
    count = st.number_input("How many", value=min(100, most), step=1, key="num", bind="query-params")
    wrong = out_of_bounds("How many", count, 1, most)
    distinct = st.toggle(
        "count only distinct ones",
        key="distinct",
        bind="query-params",
        help="goes on until so many distinct valid molecules that pass the filters are found; otherwise so many are "
        "drawn, failures included",
    )
    wanted: dict[str, Any] = {"unique" if distinct else "num": count}
    effort = _effort(model)
    asked = _any_of("formula", "size", "core", "lead", "targets")
    with st.expander("Ask for: what is drawn", expanded=asked, icon=":material/tune:"):
        wanted |= _conditions(model)
    kept = st.session_state.get("keeps", ANY) != ANY or _any_of("known_rings")
    with st.expander("Keep only: what is left of it afterwards", expanded=kept, icon=":material/filter_alt:"):
        wanted |= _filters(model)
    with st.expander("Advanced"):
        drawing, out = _drawing(model, effort)
        wanted |= drawing
    return None if wrong or out else wanted


def _any_of(*fields: str) -> bool:
    """Whether a field holds something, or the address says that it will."""
    return any(st.session_state.get(name) or name in st.query_params for name in fields)


def _effort(model: Model) -> Effort | None:
    """The effort that is chosen, if any, and what is known of it."""
    known = efforts(model)
    name = st.segmented_control(
        "Effort",
        list(known),
        key="effort",
        bind="query-params",
        help="network evaluations of a molecule: more is slower, and better up to a point. Without a choice it is "
        "the number under Advanced",
    )
    if name is None:
        return None
    chosen = known[name]
    st.caption(f"{chosen.steps} evaluations: {chosen.measured or 'not measured with this model'}.")
    return chosen


def _text(label: str, key: str, placeholder: str, about: str) -> str | None:
    text = st.text_input(label, key=key, bind="query-params", placeholder=placeholder, help=about)
    return text.strip() or None


def _structure(label: str, key: str, placeholder: str, about: str) -> str | None:
    """A field for SMILES, with a button to draw them instead."""
    write, draw = st.columns([6, 1], vertical_alignment="bottom")
    with write:
        text = _text(label, key, placeholder, about)
    if draw.button("", key=f"draw-{key}", icon=":material/draw:", help=f"Draw it: {label[0].lower()}{label[1:]}"):
        _draw(label, key)
    return text


def _draw(label: str, key: str) -> None:
    """A sketcher in a window of its own; what is applied there goes into the field."""

    @st.dialog(label, width="large")
    def window() -> None:
        held = st.session_state[key].strip()
        drawn = sketcher(f"sketch-{key}", held).strip()
        if drawn and drawn != held:
            fill({key: drawn})

    window()


def _conditions(model: Model) -> dict[str, Any]:
    """Conditions on the drawing, of those that the model knows."""
    wanted: dict[str, Any] = {}
    backend, cannot = model.backend, []
    if "formula" in backend.requests:
        wanted["formula"] = _text(
            "Formula, hydrogens included", "formula", "C6H9NO2", "other molecules that come out count as failures"
        )
    else:
        cannot.append("a formula")
    wanted["size"] = _text("Heavy atoms", "size", "8, or 20:27", "a number, or a range")
    if backend.config.known_parts:
        wanted["core"] = _structure(
            "Core that every molecule contains (SMILES)",
            "core",
            "c1ccc([*:1])cc1",
            "attachment points such as [*:1] leave their atoms alone open; without any, all atoms with a hydrogen may "
            "grow. Parts with a dot between them are linked",
        )
        if wanted["core"]:
            choose_growth("core")
    else:
        cannot.append("a core")
    if backend.starts:
        wanted |= _analogues()
    else:
        cannot.append("analogues")
    if backend.targets:
        wanted |= _targets(model)
    else:
        cannot.append("property targets")
    if cannot:
        st.caption(f"This model takes no {', no '.join(one.removeprefix('a ') for one in cannot)}; others do.")
    return wanted


def _analogues() -> dict[str, Any]:
    like = _structure(
        "Analogues of the molecule (SMILES)",
        "lead",
        "CC(=O)Nc1ccc(O)cc1",
        "it is changed part of the way and mended again, with as many heavy atoms; with a core, that part is kept",
    )
    if like is None:
        return {}
    low, high = st.slider(
        "Their similarity to it",
        0.0,
        1.0,
        (0.5, 0.8),
        0.05,
        key="window",
        bind="query-params",
        help="Tanimoto similarity of Morgan fingerprints: it says how far the molecule is changed, and others are "
        "left out afterwards",
    )
    parent = "." in like and st.toggle(
        "without salts, solvents and charges",
        value=True,
        key="parent",
        bind="query-params",
        help="the molecule is in several fragments; its parent is the largest with carbon, neutral where hydrogens can "
        "make it so",
    )
    return {"like": like, "standardise": parent, "similarity": f"{low:g}:{high:g}"}


def _targets(model: Model) -> dict[str, Any]:
    known = {target.name: target for target in model.statistics.targets}
    chosen = st.multiselect(
        "Aim at properties",
        list(known),
        key="targets",
        bind="query-params",
        format_func=label_of,
        placeholder="none",
        help="molecules tend towards them; not all get there",
    )
    texts = [text for name in chosen if (text := _target(model, known[name]))]
    if not texts:
        return {}
    guidance = st.slider(
        "Weight of the properties",
        0.0,
        4.0,
        0.0,
        0.5,
        key="guidance",
        bind="query-params",
        help="above 0 they are hit more often, by less varied molecules, in twice the time",
    )
    return {"targets": texts, "guidance": guidance}


def _target(model: Model, usual: TargetStatistics) -> str:
    """A range of one property over what the training molecules have, as `--target` takes it; "" for all of it."""
    low, high, step = span(usual)
    key = f"aim-{usual.name}"
    usually = (max(usual.low, low), min(usual.high, high))
    if key in st.session_state:  # chosen for another model, perhaps
        st.session_state[key] = tuple(min(max(end, low), high) for end in st.session_state[key])
    reference = server().references.at_hand(server().known_for(model.name).source)
    if reference is not None and usual.name in reference.assessed:
        st.altair_chart(distribution(reference.assessed[usual.name].to_numpy(float), low, high), height=52)
    first, last = st.slider(
        label_of(usual.name),
        low,
        high,
        usually,
        step,
        key=key,
        bind="query-params",
        help="over what known molecules have; an end that is left at the end of the scale is open, two on one spot "
        "are a value",
    )
    if first == last:
        return f"{usual.name}={first:g}"
    ends = ["" if first <= low else f"{first:g}", "" if last >= high else f"{last:g}"]
    return f"{usual.name}={':'.join(ends)}" if any(ends) else ""


def span(usual: TargetStatistics) -> tuple[float, float, float]:
    """The scale of a property: where it begins, where it ends, and a step of it."""
    low, high = usual.mean - SPAN * usual.deviation, usual.mean + SPAN * usual.deviation
    step = 10.0 ** math.floor(math.log10((high - low) / 30))
    if usual.name in SHOWN and not SHOWN[usual.name].decimals:
        step = max(step, 1.0)
    if usual.low >= 0 and usual.name != "logp":  # the one that is often below 0 elsewhere
        low = max(low, 0.0)
        if usual.high <= 1 and step < 1:
            high = min(high, 1.0)
    return math.floor(low / step) * step, math.ceil(high / step) * step, step


def _filters(model: Model) -> dict[str, Any]:
    """Filters on what was drawn."""
    names = [ANY, *shipped_profiles()]
    profile = st.selectbox(
        "Screening profile",
        names,
        key="keeps",
        bind="query-params",
        help="; ".join(f"{name}: {load_profile(name).description}" for name in names[1:]),
    )
    wanted: dict[str, Any] = {} if profile == ANY else {"profile": profile}
    if model.ring_systems is not None:
        wanted["known_rings"] = st.toggle(KNOWN_RINGS, key="known_rings", bind="query-params")
    return wanted


def _drawing(model: Model, effort: Effort | None) -> tuple[dict[str, Any], bool]:
    """How they are drawn, and whether a number is out of bounds."""
    backend = model.backend
    wanted: dict[str, Any] = {}
    wanted["sampler"] = st.selectbox(
        "Sampler",
        backend.samplers,
        key=f"sampler-{model.name}",
        bind="query-params",
        help="\n".join(f"- {one}: {what}" for one, what in backend.sampler_help.items()) or None,
    )
    wanted["steps"] = st.number_input(
        "Steps",
        value=min(backend.default_steps, MAX_STEPS),
        step=1,
        key=f"steps-{model.name}",
        bind="query-params",
        disabled=effort is not None,
        help="network evaluations of a molecule, where no effort is chosen",
    )
    if effort is not None:
        wanted["steps"] = effort.steps
    wrong = out_of_bounds("Steps", wanted["steps"], 1, min(MAX_STEPS, backend.max_steps))
    wanted["seed"] = st.number_input(
        "Seed",
        value=None,
        step=1,
        key="seed",
        bind="query-params",
        placeholder="drawn at random",
        help="the same seed and settings give the same molecules again",
    )
    wrong |= out_of_bounds("Seed", wanted["seed"], 0, MAX_SEED)
    if "atoms" in backend.requests:
        wanted["atoms"] = _text(
            "Atoms with their numbers of neighbours",
            "atoms",
            "C3 C2 C2 O1",
            "C3 is a carbon bound to three other heavy atoms: this settles rings and branches",
        )
    return wanted, wrong

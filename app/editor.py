"""The editor of an objective: fields and a curve for each component."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import streamlit as st
from curves import desirability
from objectives import EXAMPLE, KINDS, MEAN, Part, kind_of, named, parsed, to_toml
from references import Known
from server import server
from views import label_of

from molgen.errors import MolgenError
from molgen.evaluation.admet import ENDPOINTS
from molgen.evaluation.reference import Reference
from molgen.models.checkpoints import Model
from molgen.molecules.alerts import SETS
from molgen.molecules.properties import CATALOGUE
from molgen.optimisation.curves import CURVES
from molgen.optimisation.objective import MEANS, Component, Objective, parse_component
from molgen.optimisation.scorers import OWN_SCALE, Place

AS_IT_IS = "none"
USUAL = {  # what a value without a curve comes to
    **{"alerts": "each halves it", "unseen_rings": "each halves it", "unlike": "1 minus it"},
    "likelihood": "falls from 80 to 100",
}
LEFT_OUT = {"soft": "width / 4"}
NEW: Part = {"property": "tpsa", "range": {"low": 40.0, "high": 90.0}}


def fill(mean: str = MEAN, parts: Sequence[Part] = EXAMPLE) -> None:
    """Put an objective into the editor, before its fields are drawn."""
    st.session_state.mean, st.session_state.parts = mean, []
    for part in parts:
        add(part)


def add(part: Part = NEW) -> None:
    """Put one more component into the editor."""
    number = st.session_state.last_part = st.session_state.get("last_part", 0) + 1
    st.session_state.parts = [*st.session_state.parts, number]
    kind = kind_of(part)
    value = part[kind]
    fields: dict[str, Any] = {"kind": kind, "curve": next((one for one in CURVES if one in part), AS_IT_IS)}
    if kind == "property":
        fields["property"] = value
    elif kind == "admet":
        fields["endpoint"] = value
    elif kind == "alerts":
        fields["alerts"] = [value] if isinstance(value, str) else value
    else:
        fields["texts"] = value if isinstance(value, str) else " ".join(value) if isinstance(value, list) else ""
    for curve in CURVES:
        fields |= {f"{curve}-{name}": float(end) for name, end in part.get(curve, {}).items()}
    fields |= {"weight": float(part.get("weight", 1)), "penalty": part.get("penalty", False)}
    fields["name"] = part.get("name", "")
    st.session_state.update({_key(number, name): held for name, held in fields.items()})


def edited(model: Model, known: Known) -> str | None:
    """The fields, and the objective that they make as TOML; None where a component is wrong, which is told there.

    known: molecules whose properties stand behind the curves, if they are ready.
    """
    reference = server().references.at_hand(known.source)
    st.segmented_control(
        "Mean of the components",
        MEANS,
        key="mean",
        required=True,
        help="geometric: one component near 0 takes the score with it; arithmetic: others make up for it",
    )
    parts = []
    for place, number in enumerate(st.session_state.parts, 1):
        with st.container(border=True):
            fields, curve = st.columns([5, 4], vertical_alignment="center")
            with fields:
                part = _fields(place, number, reference)
            component = _checked(part, model, curve.error)
            if component is not None:
                values = _values(component.kind, str(component.value), reference)
                curve.altair_chart(desirability(component, values), key=f"curve-{number}")
            parts.append(part if component else None)
    st.button("Add a component", icon=":material/add:", on_click=add)
    if reference is not None:
        st.caption(f"Grey behind a curve: the property in {known.name}.")
    whole = [part for part in parts if part is not None]
    return to_toml(st.session_state.mean, named(whole)) if len(whole) == len(parts) else None


def _key(number: int, name: str) -> str:
    return f"part-{number}-{name}"


def _fields(place: int, number: int, known: Reference | None) -> Part:
    """The fields of a component, and what they hold. place: its number on the page, number: that of its fields."""
    left, right = st.columns([2, 3])
    kind = left.selectbox(
        f"Component {place}",
        list(KINDS),
        key=_key(number, "kind"),
        format_func=lambda name: KINDS[name],
        on_change=_begin_curve,
        args=[number, known],
    )
    part: Part = {}
    if kind == "property":
        part[kind] = right.selectbox(
            "Property",
            list(CATALOGUE),
            key=_key(number, "property"),
            format_func=label_of,
            on_change=_begin_curve,
            args=[number, known],
        )
    elif kind == "alerts":
        part[kind] = right.multiselect("Sets of alerts", list(SETS), key=_key(number, "alerts"))
    elif kind == "admet":
        part[kind] = right.selectbox(
            "Endpoint",
            list(ENDPOINTS),
            key=_key(number, "endpoint"),
            format_func=lambda name: ", ".join(ENDPOINTS[name]),
            on_change=_begin_curve,
            args=[number, known],
        )
    elif kind == "buyable":
        part[kind] = True
        right.caption("in stock by molbloom (ZINC20), which says yes to 7 % of all others too")
    elif kind in ("unseen_rings", "novel"):
        part[kind] = "model"
        right.caption("compared with what the model was trained on")
    elif kind == "likelihood":
        part[kind] = True
        right.caption("percentile among training molecules of the same size; takes time")
    else:
        what = "SMARTS" if kind in ("has", "lacks") else "SMILES"
        text = right.text_input(what, key=_key(number, "texts"), help="several with a space between them")
        part[kind] = text.split()
    part |= _curve(number, kind, str(part[kind]))
    weight, penalty, name, remove = st.columns([3, 4, 4, 2], vertical_alignment="bottom")
    if penalty.toggle("penalty", key=_key(number, "penalty"), help="the mean is multiplied by it; it has no weight"):
        part["penalty"] = True
    value = weight.number_input(
        "Weight", step=0.5, format="%g", key=_key(number, "weight"), disabled=part.get("penalty", False)
    )
    if value != 1 and "penalty" not in part:
        part["weight"] = value
    if own := name.text_input("Name", key=_key(number, "name"), placeholder="its column", max_chars=40).strip():
        part["name"] = own
    remove.button("", key=f"remove-{number}", icon=":material/delete:", help="Remove", on_click=_remove, args=[number])
    return part


def _curve(number: int, kind: str, value: str) -> Part:
    """The fields of a curve, and what they hold."""
    names = [*CURVES] if _needs_curve(kind, value) else [AS_IT_IS, *CURVES]
    key = _key(number, "curve")
    if st.session_state.get(key) not in names:
        st.session_state[key] = names[0]
    places = st.columns(4, vertical_alignment="bottom")
    chosen = places[0].selectbox(
        "Curve", names, key=key, format_func=lambda name: USUAL.get(kind, "as it is") if name == AS_IT_IS else name
    )
    if chosen == AS_IT_IS:
        return {}
    _, needed, optional = CURVES[chosen]
    numbers = {
        name: place.number_input(
            name,
            value=None,
            step=0.1,
            format="%g",
            key=_key(number, f"{chosen}-{name}"),
            placeholder=LEFT_OUT[name] if name in optional else "",
        )
        for name, place in zip((*needed, *optional), places[1:], strict=False)
    }
    return {chosen: {name: end for name, end in numbers.items() if end is not None}}


def _needs_curve(kind: str, value: str) -> bool:
    return kind == "admet" or (kind == "property" and value not in OWN_SCALE)


def _begin_curve(number: int, known: Reference | None) -> None:
    """Begin the curve of another kind or property: without one, or with the middle half of known molecules."""
    kind, name = (st.session_state.get(_key(number, field), "") for field in ("kind", "property"))
    name = name or next(iter(CATALOGUE))
    needs = _needs_curve(kind, name)
    st.session_state[_key(number, "curve")] = next(iter(CURVES)) if needs else AS_IT_IS
    for curve, (_, needed, optional) in CURVES.items():
        st.session_state.update(dict.fromkeys(_key(number, f"{curve}-{end}") for end in (*needed, *optional)))
    values = _values(kind, name, known)
    if needs and values is not None:
        digits = CATALOGUE[name].decimals
        low, high = (round(float(np.percentile(values, share)), digits) for share in (25, 75))
        st.session_state[_key(number, "range-low")] = low
        st.session_state[_key(number, "range-high")] = high if high > low else low + 1


def _values(kind: str, name: str, known: Reference | None) -> np.ndarray | None:
    """A property of known molecules, None where that is not at hand."""
    if known is None or kind != "property" or name not in known.assessed:
        return None
    values = known.assessed[name].dropna().to_numpy(float)
    return values if len(values) else None


def _checked(part: Part, model: Model, tell: Callable[..., object]) -> Component | None:
    """The component that a part means, None where it is wrong, which is told."""
    try:
        return _parsed(part, model.weights_sha256, model)
    except MolgenError as error:
        tell(str(error), icon=":material/error:")
        return None


@st.cache_resource(max_entries=100, show_spinner="Looking at the objective ...")
def accepted(text: str, weights_sha256: str, _model: Model) -> Objective:
    """The objective of a text, for the model with these weights. Raises InputError for what is wrong."""
    return parsed(text, _model)


@st.cache_resource(max_entries=200, show_spinner="Looking at a component ...")
def _parsed(part: Part, weights_sha256: str, _model: Model) -> Component:
    return parse_component(part, Place(_model, None))


def _remove(number: int) -> None:
    st.session_state.parts = [one for one in st.session_state.parts if one != number]

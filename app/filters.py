"""What narrows the molecules down: fields, and what they keep."""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st
from jobs import values_of
from streamlit.delta_generator import DeltaGenerator
from table import NAMED, USUAL, are_named, column_choices
from viewer import sketcher
from views import OF_SOME, SHOWN, label_of

from molgen.errors import InputError
from molgen.molecules.alerts import SETS, has_alert
from molgen.molecules.fingerprints import similarities
from molgen.molecules.substructures import ACYCLIC, has_part, has_scaffold, part_atoms

LIKE_AT_LEAST = 0.3  # Tanimoto similarity that stands for "like" until the visitor says otherwise


class View(NamedTuple):
    """The rows that the filters let through, sorted; columns to show; the atoms of a SMILES that are marked."""

    rows: pd.DataFrame
    columns: list[str]
    marked: Callable[[str], tuple[int, ...]]


def filtered(frame: pd.DataFrame, core: str) -> View:
    """The fields over the molecules, and what they let through. What cannot be read is told, and filters nothing.

    core: SMILES of a part that is marked where no other is asked for, "" for none.
    """
    kept = np.ones(len(frame), bool)
    part, place, falling = st.columns([4, 3, 2], vertical_alignment="bottom")
    smarts = part.text_input(
        "Has the part (SMARTS)", key="smarts", bind="query-params", placeholder="c1ccccc1 or [NX3;H2]"
    ).strip()
    if smarts:  # here, so that a mistake is told where it was made and not inside what is folded
        kept &= _has(frame, smarts)
    with st.expander("More filters, columns, drawing", icon=":material/filter_alt:"):
        kept &= _simple(frame)
        kept &= _scaffold(frame)
        other, least = _like()
        kept &= _ranges(frame)
        drawn = ""
        if st.toggle("draw a part or a molecule", key="sketch"):
            drawn = sketcher("part").strip()
            meant = drawn and st.segmented_control(
                f"Drawn: `{drawn}`. Keep molecules", ["that have it", "like it"], default="that have it"
            )
            if meant == "like it":
                other, drawn = drawn, ""
        if drawn:
            kept &= _has(frame, drawn, drawn=True)
        frame = frame.copy()
        if other:
            similar = _read(similarities, frame["fingerprint"].tolist(), other, otherwise=np.nan)
            frame["likeness"] = np.broadcast_to(similar, len(frame))
            kept &= ~(frame["likeness"] < least).to_numpy(bool)
        key, usual = ("columns-named", NAMED) if are_named(frame) else ("columns", USUAL)
        columns = st.multiselect("Columns", column_choices(), usual, key=key, bind="query-params", format_func=label_of)
    frame = _sorted(frame[kept], place, falling)
    return View(frame, columns, partial(marked_atoms, smarts, drawn or ("" if smarts else core)))


def _has(frame: pd.DataFrame, part: str, *, drawn: bool = False) -> np.ndarray:
    """Which molecules have a part: SMARTS, or the SMILES of what was drawn."""
    return _read(has_part, frame["smiles"].tolist(), part, drawn=drawn, otherwise=1).astype(bool)


def _simple(frame: pd.DataFrame) -> np.ndarray:
    """Novelty, alerts, repeats."""
    kept = np.ones(len(frame), bool)
    first, second, third = st.columns([3, 4, 2], vertical_alignment="bottom")
    known = first.segmented_control(
        "Novelty", ["all", "new", "known"], default="all", key="novelty", bind="query-params", required=True
    )
    if known != "all" and "novel" in frame:
        kept &= (frame["novel"] == (known == "new")).to_numpy(bool)
    unwanted = second.multiselect(
        "Without alerts of",
        list(SETS),
        key="without",
        bind="query-params",
        placeholder="any",
        help="; ".join(f"{name}: {what}" for name, what in SETS.items()),
    )
    for name in unwanted:
        kept &= ~has_alert(frame["alerts"], name)
    if third.toggle("no repeats", value=True, key="once", bind="query-params"):
        kept &= ~frame["smiles"].duplicated().to_numpy(bool)
    return kept


def _scaffold(frame: pd.DataFrame) -> np.ndarray:
    """One scaffold."""
    wanted = st.text_input(
        "Has the scaffold (SMILES)",
        key="scaffold",
        bind="query-params",
        placeholder=f"c1ccccc1, or {ACYCLIC}",
        help=f"the Murcko scaffold: rings and what links them, and nothing else. {ACYCLIC}: molecules without rings",
    ).strip()
    if not wanted or "scaffold" not in frame:
        return np.ones(len(frame), bool)
    return _read(has_scaffold, frame["scaffold"].fillna("").tolist(), wanted, otherwise=1).astype(bool)


def _like() -> tuple[str, float]:
    """The molecule that others should be like, "" for none, and how much."""
    like, how = st.columns([5, 4], vertical_alignment="bottom")
    other = like.text_input(
        "Like the molecule (SMILES)",
        key="like",
        bind="query-params",
        placeholder="CC(=O)Nc1ccc(O)cc1",
        on_change=_sort_by_likeness,
        help="Tanimoto similarity of Morgan fingerprints; the most similar come first",
    ).strip()
    least = how.slider("at least so similar", 0.0, 1.0, LIKE_AT_LEAST, 0.05, key="least", bind="query-params")
    return other, least


def _sort_by_likeness() -> None:
    st.session_state.sort = "likeness" if st.session_state.like.strip() else "as made"
    st.session_state.falling = bool(st.session_state.like.strip())


def _ranges(frame: pd.DataFrame) -> np.ndarray:
    """Ranges of numbers."""
    kept = np.ones(len(frame), bool)
    chosen = st.multiselect(
        "Ranges of", list(SHOWN), key="ranges", bind="query-params", placeholder="properties", format_func=label_of
    )
    usable = [name for name in chosen if name in frame and frame[name].notna().any()]
    for at, name in enumerate(usable):
        if at % 3 == 0:
            places = st.columns(3)
        low, high = float(frame[name].min()), float(frame[name].max())
        if low < high:
            bounds = places[at % 3].slider(
                SHOWN[name].title, low, high, (low, high), key=f"range-{name}", bind="query-params"
            )
            kept &= frame[name].between(*bounds).to_numpy(bool)
    return kept


def _sorted(frame: pd.DataFrame, place: DeltaGenerator, beside: DeltaGenerator) -> pd.DataFrame:
    """The rows in the order that is asked for."""
    names = dict.fromkeys([*OF_SOME, *values_of(frame), *SHOWN])
    orders = ["as made", *(name for name in names if name in frame and frame[name].notna().any())]
    if st.session_state.get("sort", "as made") not in orders:
        st.session_state.sort = "as made"
    order = place.selectbox("Sort by", orders, key="sort", bind="query-params", format_func=label_of)
    falling = beside.toggle("largest first", key="falling", bind="query-params")
    return frame if order == "as made" else frame.sort_values(order, ascending=not falling, kind="stable")


def _read(function: Callable[..., np.ndarray], *arguments: object, otherwise: float, **more: object) -> np.ndarray:
    """What a function makes of a visitor's text; where it cannot be read, the page says so."""
    try:
        return function(*arguments, **more)
    except InputError as error:
        st.error(f"{error}. This field filters nothing.", icon=":material/error:")
        return np.array(otherwise)


def marked_atoms(smarts: str, drawn: str, smiles: str) -> tuple[int, ...]:
    """The atoms of a molecule in the parts, SMARTS and the SMILES of a structure; "" for none."""
    atoms: set[int] = set()
    for text, is_drawn in ((smarts, False), (drawn, True)):
        if text:
            with contextlib.suppress(InputError):  # told already
                atoms.update(part_atoms(smiles, text, drawn=is_drawn))
    return tuple(sorted(atoms))

"""Look and filter: the table of structures, narrowed down, selected, downloaded."""

import secrets
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st
from session import basket, current, put_in_basket
from viewer import sketcher
from views import SHOWN, downloads, label_of, out_of_bounds, table

from molgen.errors import MolgenError
from molgen.molecules.alerts import SETS, has_alert
from molgen.molecules.fingerprints import similarities
from molgen.molecules.substructures import has_part

PAGE = 50


def filtered(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that the filters let through, sorted. Raises InputError for SMARTS or SMILES that are none."""
    kept = np.ones(len(frame), bool)
    with st.expander("Filter and sort", expanded=True, icon=":material/filter_alt:"):
        first, second, third, fourth = st.columns([3, 3, 3, 2], vertical_alignment="bottom")
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
        if fourth.toggle("no repeats", value=True, key="once", bind="query-params"):
            kept &= ~frame["smiles"].duplicated().to_numpy(bool)
        usable = [name for name in SHOWN if name in frame and frame[name].notna().any()]
        part, like, ranges = st.columns(3)
        smarts = part.text_input(
            "Has the part (SMARTS)", key="smarts", bind="query-params", placeholder="c1ccccc1 or [NX3;H2]"
        ).strip()
        other = like.text_input(
            "Like the molecule (SMILES)", key="like", bind="query-params", placeholder="CC(=O)Nc1ccc(O)cc1"
        ).strip()
        chosen = ranges.multiselect(
            "Ranges of",
            usable,
            key="ranges",
            bind="query-params",
            placeholder="properties",
            format_func=label_of,
        )
        for at, name in enumerate(chosen):
            if at % 3 == 0:
                row = st.columns(3)
            low, high = float(frame[name].min()), float(frame[name].max())
            if low < high:
                bounds = row[at % 3].slider(
                    SHOWN[name].title, low, high, (low, high), key=f"range-{name}", bind="query-params"
                )
                kept &= frame[name].between(*bounds).to_numpy(bool)
        drawn = ""
        if st.toggle("draw it instead", key="sketch"):
            drawn = sketcher("part").strip()
            if drawn:
                meant = st.segmented_control(
                    f"Drawn: `{drawn}`. Keep molecules", ["that have it", "like it"], default="that have it"
                )
                if meant == "like it":
                    other, drawn = drawn, ""
        if smarts:
            kept &= has_part(frame["smiles"].tolist(), smarts)
        if drawn:
            kept &= has_part(frame["smiles"].tolist(), drawn, drawn=True)
        frame = frame.copy()
        if other:
            frame["likeness"] = similarities(frame["fingerprint"].tolist(), other)
            least = like.slider("at least so similar", 0.0, 1.0, 0.0, 0.05, key="least", bind="query-params")
            kept &= (frame["likeness"] >= least).to_numpy(bool)
        orders = (["likeness"] if other else []) + ["as made", *usable]
        order = third.selectbox(
            "Sort by",
            orders,
            key="sort",
            bind="query-params",
            format_func=label_of,
        )
        falling = fourth.toggle("largest first", value=order == "likeness", key=f"falling-{order == 'likeness'}")
    frame = frame[kept]
    return frame if order == "as made" else frame.sort_values(order, ascending=not falling, kind="stable")


def page_of(view: pd.DataFrame) -> pd.DataFrame:
    """The rows of one page of the table."""
    pages = max(1, -(-len(view) // PAGE))
    number = 1
    if pages > 1:
        number = int(st.columns([1, 4])[0].number_input(f"Page, 1 to {pages}", value=1, step=1, key="page"))
        if out_of_bounds("Page", number, 1, pages):
            number = min(max(number, 1), pages)
    return view.iloc[(number - 1) * PAGE : number * PAGE]


class Mounted(NamedTuple):
    """A table as the browser has it: its key, the molecules in it, the positions that were ticked at first."""

    key: str
    ids: list[int]
    ticked: list[int]


def selection(rows: pd.DataFrame, label: str) -> set[int]:
    """Show the table; the rows of the set (column `row`) that are ticked, also those on other pages or filtered out.

    Streamlit's ticks belong to positions. A table with other molecules or another order is a new one to the browser,
    which begins with the ticks of its molecules.
    """
    chosen: set[int] = st.session_state.setdefault(f"ticks-{label}", set())
    ids = rows["row"].tolist()
    mounted = st.session_state.get("mounted")
    if (
        mounted is None
        or mounted.ids != ids
        or not mounted.key.startswith(f"table-{label}-")
        or mounted.key not in st.session_state
    ):
        key = f"table-{label}-{secrets.token_hex(4)}"
        mounted = Mounted(key, ids, [position for position, one in enumerate(ids) if one in chosen])
        st.session_state.mounted = mounted
    positions = table(rows, mounted.key, mounted.ticked, ("likeness",) if "likeness" in rows else ())
    chosen.difference_update(ids)
    chosen.update(ids[position] for position in positions)
    return chosen


def untick(label: str) -> None:
    """Untick all molecules of a set."""
    st.session_state[f"ticks-{label}"] = set()
    del st.session_state.mounted


def show(frame: pd.DataFrame, label: str) -> None:
    """Filters, table, selection, downloads."""
    try:
        view = filtered(frame)
    except MolgenError as error:
        st.error(str(error), icon=":material/error:")
        return
    st.markdown(f"**{len(view):,}** of {len(frame):,} molecules")
    if view.empty:
        st.info("No molecule passes all filters. Loosen one of them.")
        return
    rows = page_of(view)
    chosen = selection(rows, label)
    selected = frame[frame["row"].isin(chosen)]
    add, look, clear, _ = st.columns([2, 2, 1, 2])
    if add.button(
        f"Put {len(selected):,} in the basket",
        disabled=selected.empty,
        icon=":material/shopping_basket:",
        width="stretch",
    ):
        st.toast(f"{put_in_basket(selected):,} new in the basket")
    if len(selected):
        opened = selected.iloc[0]["smiles"]
        text = f"Open {opened}" if len(selected) == 1 else "Open the first of them"
        clear.button("Untick all", on_click=untick, args=[label], width="stretch")
        look.page_link(
            "screens/molecule.py", label=text, icon=":material/open_in_new:", query_params={"smiles": opened}
        )
    else:
        look.caption("Select rows at the left of the table.")
    elsewhere = len(chosen.difference(rows["row"]))
    if elsewhere:
        st.caption(f"{elsewhere:,} of those selected are on other pages, or the filters hide them.")
    st.subheader("Download")
    choices = {f"all {len(view):,} that pass": view}
    if len(selected):
        choices[f"{len(selected):,} selected"] = selected
    if basket():
        choices[f"{len(basket()):,} in the basket"] = pd.DataFrame(basket().values())
    what = st.radio("Molecules", list(choices), horizontal=True, label_visibility="collapsed")
    downloads(choices[what], "molecules", "take")


st.title("Look and filter")
job = current()
if job is None:
    st.info("There are no molecules yet.", icon=":material/info:")
    st.page_link("screens/generate.py", label="Make some", icon=":material/auto_awesome:")
    st.page_link("screens/score.py", label="Bring your own", icon=":material/fact_check:")
else:
    frame = job.frame()
    frame = frame[frame["valid"].astype(bool)].reset_index(drop=True) if len(frame) else frame
    st.caption(f"{job.label}{' (still running)' if job.busy else ''}")
    if frame.empty:
        st.info("This set holds no valid molecule" + (" yet." if job.busy else "."))
    else:
        show(frame, job.key)
    if job.command and not job.busy:
        st.caption("The same molecules on the command line:")
        st.code(job.command, language="bash", wrap_lines=True)

"""Look and filter: molecules as cards or in a table, narrowed down, selected, downloaded."""

import pandas as pd
import streamlit as st
from cards import molecule_cards
from files import downloads, table_bytes
from filters import View, filtered
from jobs import Basket, MoleculeSet
from scaffolds import groups, measured, scaffold_cards
from series import MOST, series
from session import active, basket, put_in_basket, take_out_of_basket
from streamlit.delta_generator import DeltaGenerator
from table import selection, table
from ticks import name_in_address, ticks, untick
from views import counted, out_of_bounds, plain

CARDS, TABLE, SCAFFOLDS, SERIES = "Cards", "Table", "Scaffolds", "R groups"
PAGE = {CARDS: 24, TABLE: 50, SCAFFOLDS: 24, SERIES: MOST}  # molecules, or scaffolds, on a page of each view


def choose_view(place: DeltaGenerator) -> str:
    """The switch between the views."""
    chosen: str = place.segmented_control(
        "View",
        list(PAGE),
        default=CARDS,
        key="view",
        bind="query-params",
        required=True,
        label_visibility="collapsed",
        on_change=_same_place,
    )
    st.session_state.view_shown = chosen
    return chosen


def _same_place() -> None:
    """Let the page of a new view hold the molecule that was the first of the page before."""
    before, now = st.session_state.view_shown, st.session_state.view
    first = 0 if {before, now} & {SCAFFOLDS, SERIES} else (st.session_state.get("page", 1) - 1) * PAGE[before]
    st.session_state.page = max(first, 0) // PAGE[now] + 1


def look_at(scaffold: str) -> None:
    """Show the molecules with one scaffold; all of them for ""."""
    st.session_state.scaffold, st.session_state.page = scaffold, 1
    st.session_state.view = CARDS if scaffold else SCAFFOLDS


def page_of(rows: pd.DataFrame, size: int, place: DeltaGenerator) -> pd.DataFrame:
    """The rows of one page; a field for its number where there are several."""
    pages = max(1, -(-len(rows) // size))
    number = 1
    if pages > 1:
        number = int(place.number_input(f"Page, 1 to {pages}", value=1, step=1, key="page", bind="query-params"))
        if out_of_bounds("Page", number, 1, pages):
            number = min(max(number, 1), pages)
    return rows.iloc[(number - 1) * size : number * size]


def actions(job: MoleculeSet, selected: pd.DataFrame) -> None:
    """What can be done with the ticked molecules."""
    add, look, clear = st.columns([2, 2, 1], vertical_alignment="center")
    if isinstance(job, Basket):
        if add.button(
            f"Take {len(selected):,} out of the basket", disabled=selected.empty, icon=":material/remove_shopping_cart:"
        ):
            take_out_of_basket(selected)
            untick(job.key)
            st.rerun()
    elif add.button(
        f"Put {len(selected):,} in the basket",
        disabled=selected.empty,
        icon=":material/shopping_basket:",
        width="stretch",
    ):
        new = put_in_basket(selected)
        held = basket()
        full = ", which is full" if held is not None and held.size >= Basket.LIMIT else ""
        st.toast(f"{new:,} new in the basket{full}; it stands beside this page")
    if selected.empty:
        look.caption("Tick molecules to keep or to download them.")
        return
    clear.button("Untick all", on_click=untick, args=[job.key], width="stretch")
    opened = selected.iloc[0]["smiles"]
    text = f"Open {plain(opened)}" if len(selected) == 1 else "Open the first of them"
    look.page_link("screens/molecule.py", label=text, icon=":material/open_in_new:", query_params={"smiles": opened})


def show(job: MoleculeSet, frame: pd.DataFrame) -> None:
    """Filters, one of the views, selection, downloads."""
    view: View = filtered(frame, job.kept)
    st.session_state.browsed = view.rows["smiles"].drop_duplicates().tolist()
    count, switch, turn = st.columns([2, 4, 2], vertical_alignment="bottom")
    count.markdown(f"**{len(view.rows):,}** of {counted(len(frame), 'molecule')}")
    how = choose_view(switch)
    if st.session_state.scaffold.strip() and how != SCAFFOLDS:
        st.button(
            f"With the scaffold {plain(st.session_state.scaffold)}: back to all scaffolds",
            icon=":material/close:",
            type="tertiary",
            on_click=look_at,
            args=[""],
        )
    if view.rows.empty:
        st.info("No molecule passes all filters. Loosen one of them.")
    elif how == SCAFFOLDS:
        scaffolds(view, turn)
    elif how == SERIES:
        series(job, view.rows, view.columns)
    else:
        molecules(job, frame, view, how, turn)


def scaffolds(view: View, turn: DeltaGenerator) -> None:
    """The scaffolds of the molecules that pass, and a file of them. turn: where pages are turned."""
    columns = measured(view.rows, view.columns)
    found = groups(view.rows, columns)
    rings = int((found["scaffold"] != "").sum())
    once = int(((found["scaffold"] != "") & (found["count"] == 1)).sum())
    st.caption(f"{counted(rings, 'scaffold')}, {once:,} of them with a single molecule.")
    scaffold_cards(page_of(found, PAGE[SCAFFOLDS], turn), columns, len(view.rows), look_at)
    st.download_button(
        "Download the scaffolds (CSV)",
        lambda: table_bytes(found),
        "scaffolds.csv",
        "text/csv",
        on_click="ignore",
    )


def molecules(job: MoleculeSet, frame: pd.DataFrame, view: View, how: str, turn: DeltaGenerator) -> None:
    """A page of molecules, what can be done with the ticked ones, and files of them. turn: where pages are turned."""
    rows = page_of(view.rows, PAGE[how], turn)
    above = st.container()
    if how == TABLE:
        chosen = selection(rows, job.key, lambda key, ticked: table(rows, key, ticked, view.columns, view.marked, job))
    else:
        chosen = ticks(job.key)
        name_in_address(chosen)
        molecule_cards(rows, job, view.columns, view.marked)
    selected = frame[frame["row"].isin(chosen)]
    with above:
        actions(job, selected)
    elsewhere = len(chosen.difference(rows["row"]))
    if elsewhere:
        st.caption(f"{elsewhere:,} of those selected are on other pages, or the filters hide them.")
    st.subheader("Download")
    choices = {f"all {len(view.rows):,} that pass": view.rows}
    if len(selected):
        choices[f"{len(selected):,} selected"] = selected
    what = st.radio("Molecules", list(choices), horizontal=True, label_visibility="collapsed")
    downloads(choices[what], "molecules", "take")


st.title("Look and filter")
job = active()
if job is None:
    st.info("There are no molecules yet.", icon=":material/info:")
    st.page_link("screens/generate.py", label="Make some", icon=":material/auto_awesome:")
    st.page_link("screens/score.py", label="Bring your own", icon=":material/fact_check:")
else:
    frame = job.frame()
    frame = frame[frame["valid"].astype(bool)].reset_index(drop=True) if len(frame) else frame
    running = " (still running)" if job.busy else ""
    label = f"{plain(job.label)}{running}"
    st.caption(f"{label}. New: not in {job.novel_to}." if job.novel_to else label)
    if job.note:
        st.text(job.note)
    if frame.empty:
        st.info("This set holds no valid molecule" + (" yet." if job.busy else "."))
    else:
        show(job, frame)
    if job.command and not job.busy:
        st.caption("The same molecules on the command line:")
        st.code(job.command, language=None, wrap_lines=True)

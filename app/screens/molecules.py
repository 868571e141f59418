"""Look and filter: the table of structures, narrowed down, selected, downloaded."""

import pandas as pd
import streamlit as st
from files import downloads
from filters import View, filtered
from jobs import Basket, MoleculeSet
from session import active, basket, put_in_basket
from table import selection, table, untick
from views import out_of_bounds

PAGE = 50


def page_of(view: pd.DataFrame) -> pd.DataFrame:
    """The rows of one page of the table."""
    pages = max(1, -(-len(view) // PAGE))
    number = 1
    if pages > 1:
        field, text = st.columns([1, 4], vertical_alignment="bottom")
        number = int(field.number_input(f"Page, 1 to {pages}", value=1, step=1, key="page", bind="query-params"))
        if out_of_bounds("Page", number, 1, pages):
            number = min(max(number, 1), pages)
        first = (number - 1) * PAGE
        text.caption(f"molecules {first + 1:,} to {min(first + PAGE, len(view)):,}")
    return view.iloc[(number - 1) * PAGE : number * PAGE]


def actions(job: MoleculeSet, selected: pd.DataFrame) -> None:
    """What can be done with the ticked molecules."""
    add, look, clear = st.columns([2, 2, 1])
    if isinstance(job, Basket):
        if add.button(
            f"Take {len(selected):,} out of the basket", disabled=selected.empty, icon=":material/remove_shopping_cart:"
        ):
            job.take_out(selected)
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
        look.caption("Tick rows at the left of the table.")
        return
    clear.button("Untick all", on_click=untick, args=[job.key], width="stretch")
    opened = selected.iloc[0]["smiles"]
    text = f"Open {opened}" if len(selected) == 1 else "Open the first of them"
    look.page_link("screens/molecule.py", label=text, icon=":material/open_in_new:", query_params={"smiles": opened})


def show(job: MoleculeSet, frame: pd.DataFrame) -> None:
    """Filters, table, selection, downloads."""
    view: View = filtered(frame)
    st.session_state.browsed = view.rows["smiles"].drop_duplicates().tolist()
    st.markdown(f"**{len(view.rows):,}** of {len(frame):,} molecules")
    if view.rows.empty:
        st.info("No molecule passes all filters. Loosen one of them.")
        return
    rows = page_of(view.rows)
    chosen = selection(
        rows, job.key, lambda key, ticked: table(rows, key, ticked, view.columns, view.marked, job.novel_to)
    )
    selected = frame[frame["row"].isin(chosen)]
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
    st.caption(f"{job.label}{running}. New: not in {job.novel_to}." if job.novel_to else f"{job.label}{running}")
    if frame.empty:
        st.info("This set holds no valid molecule" + (" yet." if job.busy else "."))
    else:
        show(job, frame)
    if job.command and not job.busy:
        st.caption("The same molecules on the command line:")
        st.code(job.command, language="bash", wrap_lines=True)

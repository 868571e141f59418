"""The molecules that a visitor has ticked. They belong to a set: all views of it show the same ones."""

import streamlit as st

IN_ADDRESS = 200  # ticks that the address of the page holds


def ticks(label: str) -> set[int]:
    """The molecules of a set (column `row`) that are ticked; those of a new session are in the address."""
    name = f"ticks-{label}"
    if name not in st.session_state:
        words = st.query_params.get("ticks", "").split(",")
        st.session_state[name] = {int(word) for word in words if word.isascii() and word.isdigit()}
    found: set[int] = st.session_state[name]
    return found


def tick_box(label: str, row: int, text: str) -> None:
    """A box to tick one molecule of a set. text: its label, which is read aloud and not seen."""
    key = f"tick-{label}-{row}"
    st.session_state[key] = row in ticks(label)  # other views tick, too
    st.checkbox(text, key=key, label_visibility="collapsed", on_change=_take_over, args=[label, row, key])


def _take_over(label: str, row: int, key: str) -> None:
    change = ticks(label).add if st.session_state[key] else ticks(label).discard
    change(row)


def name_in_address(chosen: set[int]) -> None:
    """Write the ticked molecules into the address of the page, if they are not too many."""
    if 0 < len(chosen) <= IN_ADDRESS:
        st.query_params["ticks"] = ",".join(map(str, sorted(chosen)))
    elif "ticks" in st.query_params:
        del st.query_params["ticks"]


def untick(label: str) -> None:
    """Untick all molecules of a set."""
    st.session_state[f"ticks-{label}"] = set()
    st.session_state.pop("mounted", None)

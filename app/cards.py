"""Molecules as cards: a structure that is large enough to read, a few properties, and what to do with it."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import streamlit as st
from jobs import MoleculeSet, to_show
from onward import KEEP, go_on, ways
from table import aligned, are_named
from ticks import tick_box
from views import OF_SOME, SHOWN, counted, picture, plain, quantity

from molgen.molecules.alerts import parse_alerts

WIDTH, HEIGHT = 200, 150  # of a structure, in pixels
CARD = 212  # pixels across: four beside each other on a screen of 1,280
NUMBERS = 4  # properties on a card
TITLE = 20  # characters


def molecule_cards(
    rows: pd.DataFrame, job: MoleculeSet, columns: list[str], marked: Callable[[str], tuple[int, ...]]
) -> None:
    """A card for each row of a set, in rows of as many as there is room for.

    job: the set, to which ticks belong; columns, marked: as `table` takes them. The first numbers among the columns
    show.
    """
    label, possible, named = job.key, ways(), are_named(rows)
    with st.container(horizontal=True, gap="small"):
        for row, (smiles, on) in zip(rows.to_dict("records"), aligned(rows, job.kept), strict=True):
            with st.container(border=True, width=CARD, gap="xsmall"):
                _head(row, label, row["name"] if named and row["name"] else smiles)
                st.image(picture(smiles, WIDTH, HEIGHT, on, marked(smiles)), width="stretch", alt=f"Structure {smiles}")
                st.caption(" · ".join(numbers(row, columns)))
                if row.get("note"):
                    st.text(row["note"])
                _foot(row, label, columns, possible)


def numbers(row: Mapping[str, Any], columns: list[str]) -> list[str]:
    """The first properties among the columns, with their units, such as "MW 180.2 g/mol"."""
    numeric = [name for name in columns if name in SHOWN and name not in OF_SOME]
    shown = [name for name in [*OF_SOME, *to_show(numeric, row)] if name in row and not math.isnan(row[name])]
    texts = [f"{quantity(name).text(row[name])} {quantity(name).unit}".strip() for name in shown[:NUMBERS]]
    return [text.replace(" ", "\u00a0") for text in texts]  # a line breaks between them alone


def _head(row: Mapping[str, Any], label: str, title: str) -> None:
    """The box to tick, and the title that opens the molecule's page."""
    with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="xsmall"):
        tick_box(label, row["row"], f"Tick {row['smiles']}")
        st.page_link("screens/molecule.py", label=plain(title, TITLE), query_params={"smiles": row["smiles"]})


def _foot(row: Mapping[str, Any], label: str, columns: list[str], possible: list[str]) -> None:
    """New or known, alerts, and the menu."""
    told = []
    if "novel" in columns and row.get("novel") in (True, False):
        told.append("new" if row["novel"] else "known")
    if "alerts" in columns and (found := len(parse_alerts(row.get("alerts", "")))):
        told.append(counted(found, "alert"))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", gap="xsmall"):
        st.caption(" · ".join(told), width="content")
        ways_of_it = [way for way in possible if way != KEEP or row.get("scaffold")]
        if ways_of_it:
            way = st.menu_button("Make", ways_of_it, key=f"make-{label}-{row['row']}", type="tertiary")
            if way:
                go_on(way, row)

"""The table of structures: columns, matched parts, and ticks that stay with their molecules."""

import secrets
from collections.abc import Callable
from typing import NamedTuple

import pandas as pd
import streamlit as st
from jobs import MoleculeSet, to_show
from ticks import name_in_address, ticks
from views import OF_SOME, SHOWN, data_uri, heading, picture, quantity

from molgen.molecules.alerts import parse_alerts

WIDTH, HEIGHT = 150, 88  # of a structure, in pixels
ROWS_SEEN = 5
USUAL = ("mw", "logp", "qed", "sa", "alerts", "novel")
NAMED = ("name", *USUAL)
TEXTS = ("name", "alerts", "novel", "formula", "nearest")


def column_choices() -> list[str]:
    """The columns that a table can show beside structures and SMILES."""
    return [*TEXTS[:1], *(name for name in SHOWN if name not in OF_SOME), *TEXTS[1:]]


def are_named(rows: pd.DataFrame) -> bool:
    """Whether the molecules have names of their own, not those that molgen gives."""
    return "name" in rows and "sample" not in rows and bool(rows["name"].fillna("").ne("").any())


def table(
    rows: pd.DataFrame,
    key: str,
    ticked: list[int],
    columns: list[str],
    marked: Callable[[str], tuple[int, ...]],
    job: MoleculeSet,
) -> list[int]:
    """A table with structures; the positions of the rows that are ticked. ticked: those at first, for a new key.

    marked: the atoms of a SMILES that are marked; job: the set that they are of.
    """
    pictures = [data_uri(picture(s, WIDTH, HEIGHT, a, marked(s))) for s, a in aligned(rows, job.kept)]
    shown = pd.DataFrame({"structure": pictures, "SMILES": rows["smiles"].to_numpy()})
    settings = {
        "structure": st.column_config.ImageColumn("structure", width=WIDTH + 16, pinned=True),
        "SMILES": st.column_config.TextColumn(width=130),
        "alerts": st.column_config.NumberColumn(
            "alerts", width=60, help="structural alerts of all sets; see the molecule's page"
        ),
        "novel": st.column_config.TextColumn("new", width=60, help=f"new: not in {job.novel_to}"),
        "name": st.column_config.TextColumn("name", width=100),
    }
    for name in [*OF_SOME, *to_show(columns, rows.columns), "note"]:
        if name not in rows:
            continue
        if name == "novel":
            shown[name] = rows[name].map({True: "new", False: "known"}).fillna("").to_numpy()
        elif name == "alerts":
            shown[name] = [len(parse_alerts(text)) for text in rows[name]]
        elif name in (*TEXTS, "note"):
            shown[name] = rows[name].fillna("").to_numpy()
        else:
            number = quantity(name)
            shown[name] = rows[name].to_numpy(float).round(number.decimals) + 0.0  # no -0.0
            settings[name] = st.column_config.NumberColumn(
                heading(name), help=number.title, format=f"%.{number.decimals}f", width=70
            )
    event = st.dataframe(
        shown,
        key=key,
        hide_index=True,
        row_height=HEIGHT,
        height=ROWS_SEEN * HEIGHT + 40 if len(shown) > ROWS_SEEN else "auto",
        column_config=settings,
        on_select="rerun",
        selection_default={"selection": {"rows": ticked}},
        selection_mode="multi-row",
    )
    return [position for position in event["selection"]["rows"] if position < len(rows)]


def aligned(rows: pd.DataFrame, core: str) -> list[tuple[str, str]]:
    """Each SMILES with that of the part that its picture is aligned on: the core, the largest piece of one in several,
    or else its scaffold; "" for none."""
    if core:
        piece = max(core.split("."), key=len)
        return [(smiles, piece) for smiles in rows["smiles"]]
    scaffolds = rows["scaffold"].fillna("") if "scaffold" in rows else [""] * len(rows)
    return list(zip(rows["smiles"], scaffolds, strict=True))


class Mounted(NamedTuple):
    """A table as the browser has it: its key, what it shows, the positions that were ticked at first."""

    key: str
    content: tuple[object, ...]
    ticked: list[int]


def selection(rows: pd.DataFrame, label: str, show: Callable[[str, list[int]], list[int]]) -> set[int]:
    """Show a table of the rows; which molecules of the set are ticked, also on other pages or filtered out.

    Streamlit's ticks belong to positions. A table with other molecules or another order is a new one to the browser,
    which begins with the ticks of its molecules. show: makes the table, of a key and the positions ticked at first.
    """
    chosen = ticks(label)
    ids = rows["row"].tolist()
    content = (label, *ids)
    mounted = st.session_state.get("mounted")
    if mounted is None or mounted.content != content or mounted.key not in st.session_state:
        at_first = [position for position, one in enumerate(ids) if one in chosen]
        mounted = Mounted(f"table-{secrets.token_hex(4)}", content, at_first)
        st.session_state.mounted = mounted
    positions = show(mounted.key, mounted.ticked)
    chosen.difference_update(ids)
    chosen.update(ids[position] for position in positions)
    name_in_address(chosen)
    return chosen

"""Molecules in groups that share a Murcko scaffold, the largest first."""

from collections.abc import Callable

import pandas as pd
import streamlit as st
from cards import CARD, HEIGHT, NUMBERS, WIDTH
from views import SHOWN, counted, picture, plain

from molgen.molecules.substructures import ACYCLIC


def groups(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """One row for each scaffold, the most frequent first: scaffold ("" of molecules without rings), count, and low and
    high of each of the columns, as `low-mw`; of equal counts the one that came first is first."""
    grouped = rows.assign(scaffold=rows["scaffold"].fillna("")).groupby("scaffold", sort=False)
    found = pd.DataFrame({"count": grouped.size()})
    for name in columns:
        found[f"low-{name}"], found[f"high-{name}"] = grouped[name].min(), grouped[name].max()
    return found.sort_values("count", ascending=False, kind="stable").reset_index()


def measured(rows: pd.DataFrame, columns: list[str]) -> list[str]:
    """The first of the columns that are numbers."""
    return [name for name in columns if name in SHOWN and name in rows and rows[name].notna().any()][:NUMBERS]


def scaffold_cards(found: pd.DataFrame, columns: list[str], total: int, show: Callable[[str], None]) -> None:
    """A card for each scaffold of `groups`. total: molecules of all scaffolds; show: called with the one to look at."""
    with st.container(horizontal=True, gap="small"):
        for group in found.to_dict("records"):
            scaffold, name = group["scaffold"], group["scaffold"] or ACYCLIC
            with st.container(border=True, width=CARD, gap="xsmall"):
                st.image(picture(scaffold, WIDTH, HEIGHT), width="stretch", alt=f"Scaffold {name}")
                kind = "" if scaffold else f", {ACYCLIC}"
                st.markdown(f"**{counted(group['count'], 'molecule')}**, {group['count'] / total:.0%}{kind}")
                ranges = [_range(column, group[f"low-{column}"], group[f"high-{column}"]) for column in columns]
                st.caption("  \n".join(ranges))
                st.button(
                    "Look at it" if group["count"] == 1 else "Look at them",
                    key=f"scaffold-{name}",
                    help=plain(name),
                    on_click=show,
                    args=[name],
                )


def _range(name: str, low: float, high: float) -> str:
    """Such as "MW 112.1 to 140.2 g/mol"."""
    quantity = SHOWN[name]
    if pd.isna(low):
        return f"{quantity.short or quantity.name} -"
    end = f"{high:z.{quantity.decimals}f}"
    text = quantity.text(low)
    return f"{text if text.endswith(f' {end}') else f'{text} to {end}'} {quantity.unit}".strip()

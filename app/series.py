"""Molecules that share a core, by what hangs on it: a table of R groups with pictures, and its file."""

import pandas as pd
import streamlit as st
from files import table_bytes
from jobs import MoleculeSet
from table import HEIGHT, WIDTH
from views import SHOWN, counted, data_uri, heading, picture, plain

from molgen.errors import InputError
from molgen.molecules.rgroups import RGroups, r_groups

MOST = 500  # molecules that are taken apart
NUMBERS = 4  # properties beside the groups


def usual_core(job: MoleculeSet, rows: pd.DataFrame) -> str:
    """The core that the set was made with, or else the most frequent scaffold of the rows; "" where there is none."""
    frequent = rows["scaffold"].fillna("").loc[lambda one: one != ""].value_counts() if "scaffold" in rows else []
    return job.core or (str(frequent.index[0]) if len(frequent) else "")


def choose_core(usual: str) -> str:
    """The field for the core."""
    return (
        st.text_input(
            "Core (SMILES)",
            key="series",
            bind="query-params",
            placeholder=usual or "c1ccc([*:1])cc1",
            help="R groups are what hangs on it. Attachment points such as [*:1] number them; without any, RDKit does. "
            "If empty: the core that the set was made with, or else its most frequent scaffold",
        ).strip()
        or usual
    )


def series(job: MoleculeSet, rows: pd.DataFrame, columns: list[str]) -> None:
    """The molecules that have a core, and its R groups. columns: the first numbers among them show beside."""
    core = choose_core(usual_core(job, rows))
    if not core:
        st.info("No molecule here has a ring. Give a core that some of them share.")
        return
    rows = rows.drop_duplicates("smiles")[:MOST]
    try:
        found = _r_groups(tuple(rows["smiles"]), core)
    except InputError as error:
        st.error(str(error), icon=":material/error:")
        return
    _told(found, core, len(rows))
    if found.table.empty:
        return
    table = found.table.assign(smiles=rows["smiles"].to_numpy()[found.table.index])
    names = [name for name in columns if name in SHOWN and name in rows][:NUMBERS]
    for name in names:
        table[name] = rows[name].to_numpy(float)[table.index].round(SHOWN[name].decimals) + 0.0
    _show(table, list(found.table.columns), names)
    st.download_button(
        "Download the R groups (CSV)",
        lambda: table_bytes(table[["smiles", *found.table.columns, *names]]),
        "r-groups.csv",
        "text/csv",
        on_click="ignore",
    )


@st.cache_data(max_entries=100, show_spinner="Looking for R groups ...")
def _r_groups(smiles: tuple[str, ...], core: str) -> RGroups:
    return r_groups(smiles, core)


def _told(found: RGroups, core: str, total: int) -> None:
    """How many molecules the table holds, and what has become of the others."""
    told = f"Core {plain(core)}: {len(found.table):,} of {counted(total, 'different molecule')} below"
    if found.without:
        told += f"; {len(found.without):,} without it"
    if found.closing:
        told += f"; {len(found.closing):,} left out, where a group closes a ring on it"
    st.markdown(f"{told}.")
    if total == MOST:
        st.caption(f"The first {MOST:,} molecules that pass are taken apart; filters choose others.")


def _show(table: pd.DataFrame, groups: list[str], names: list[str]) -> None:
    pictures = {"structure": table["smiles"], **{name: table[name] for name in groups}}
    shown = pd.DataFrame({name: [_drawn(text) for text in texts] for name, texts in pictures.items()})
    shown["SMILES"] = table["smiles"].to_numpy()
    settings = {name: st.column_config.ImageColumn(name, width=WIDTH + 16) for name in pictures}
    settings["structure"] = st.column_config.ImageColumn("structure", width=WIDTH + 16, pinned=True)
    for name in names:
        shown[name] = table[name].to_numpy()
        settings[name] = st.column_config.NumberColumn(
            heading(name), help=SHOWN[name].title, format=f"%.{SHOWN[name].decimals}f", width=70
        )
    st.dataframe(shown, key="r-groups", hide_index=True, row_height=HEIGHT, column_config=settings)


def _drawn(smiles: str) -> str:
    return data_uri(picture(smiles, WIDTH, HEIGHT))

"""Pieces that several pages show: pictures, tables, charts, downloads."""

import base64
import io
from collections.abc import Callable

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from molgen.data.writers import FORMATS, CsvWriter, molecule_name
from molgen.evaluation.assessment import QUANTITIES
from molgen.evaluation.bins import bin_edges
from molgen.molecules.alerts import parse_alerts
from molgen.molecules.conformers import lowest_sdf
from molgen.molecules.drawing import sheet_png, to_svg
from molgen.molecules.parsing import Rejected
from molgen.molecules.properties import PROPERTIES, Quantity

SHOWN: dict[str, Quantity] = {**QUANTITIES, "likeness": Quantity("likeness", "likeness", decimals=2)}
ON_CARD = ("qed", "sa")

ROW_HEIGHT = 120
KNOWN = "known molecules"
COLOURS = ["#0f766e", "#d97706", "#7c3aed", "#be123c"]
THREE_D_LIMIT = 200
SHEET_LIMIT = 60
FILE_COLUMNS = (
    *("name", "smiles", "input", "row", "valid", "reason", "formula", "inchikey", *PROPERTIES),
    *("fraction_sp3", "stereocentres", "np", "lipinski", "veber", "alerts", "scaffold", "novel", "nearest"),
    *("similarity", "rare_rings"),
)


def label_of(name: str) -> str:
    """A column in words, where there are any."""
    return SHOWN[name].label if name in SHOWN else name


@st.cache_data(max_entries=5_000, show_spinner=False)
def picture(smiles: str, width: int, height: int, aligned_on: str = "", highlighted: tuple[int, ...] = ()) -> str:
    """The 2D structure as SVG; an empty picture for what RDKit cannot draw."""
    try:
        return to_svg(smiles, width=width, height=height, aligned_on=aligned_on or None, highlight_atoms=highlighted)
    except (Rejected, ValueError, RuntimeError):
        return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"></svg>'


def data_uri(svg: str) -> str:
    """A picture for the src of an image."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode("utf-8")).decode("ascii")


def cards(rows: pd.DataFrame, columns: int = 6) -> None:
    """Structures in rows, each with its SMILES and two properties."""
    places = st.columns(columns)
    for number, row in enumerate(rows.to_dict("records")):
        with places[number % columns]:
            st.image(picture(row["smiles"], 200, 150), width="stretch")
            st.caption(" · ".join(SHOWN[name].text(row[name]) for name in ON_CARD))


def out_of_bounds(label: str, value: int | None, low: int, high: int) -> bool:
    """Whether a number is, which the page tells: Streamlit's own bounds keep the old number without a word."""
    wrong = value is not None and not low <= value <= high
    if wrong:
        st.error(f"{label}: {value:,} is out of bounds; from {low:,} to {high:,} is allowed", icon=":material/error:")
    return wrong


def table(rows: pd.DataFrame, key: str, ticked: list[int], extra: tuple[str, ...] = ()) -> list[int]:
    """A table with structures; the positions of the rows that are selected. ticked: those at first, for a new key."""
    shown = pd.DataFrame({"structure": [data_uri(picture(s, 220, ROW_HEIGHT, a)) for s, a in _aligned(rows)]})
    shown["SMILES"] = rows["smiles"].to_numpy()
    numbers = [name for name in (*extra, *PROPERTIES) if name in rows]
    for name in numbers:
        shown[name] = rows[name].to_numpy()
    if "novel" in rows:
        shown["novel"] = rows["novel"].map({True: "new", False: "known"}).fillna("").to_numpy()
    shown["alerts"] = [len(parse_alerts(text)) for text in rows["alerts"]]
    columns = {
        "structure": st.column_config.ImageColumn("structure", width=220),
        "SMILES": st.column_config.TextColumn(width="medium"),
        "alerts": st.column_config.NumberColumn(help="structural alerts of all sets; see the molecule's page"),
        "novel": st.column_config.TextColumn(help="known: in the reference, or in the data the model was trained on"),
    }
    for name in numbers:
        places = SHOWN[name].decimals
        columns[name] = st.column_config.NumberColumn(name, help=SHOWN[name].title, format=f"%.{places}f")
    event = st.dataframe(
        shown,
        key=key,
        hide_index=True,
        row_height=ROW_HEIGHT,
        height=5 * ROW_HEIGHT + 40 if len(shown) > 4 else "auto",
        column_config=columns,
        on_select="rerun",
        selection_default={"selection": {"rows": ticked}},
        selection_mode="multi-row",
    )
    return [position for position in event["selection"]["rows"] if position < len(rows)]


def _aligned(rows: pd.DataFrame) -> list[tuple[str, str]]:
    return list(
        zip(rows["smiles"], rows["scaffold"].fillna("") if "scaffold" in rows else [""] * len(rows), strict=True)
    )


def downloads(rows: pd.DataFrame, stem: str, key: str) -> None:
    """Buttons that give the molecules as files."""
    sdf = "chemical/x-mdl-sdfile"
    in_space = f"ETKDG and MMFF94, the first {THREE_D_LIMIT}; some 20 molecules a second"
    on_sheet = f"the first {SHEET_LIMIT} structures on one sheet"
    files: list[tuple[str, str, str, str | None, Callable[[], bytes]]] = [
        ("CSV", ".csv", "text/csv", None, lambda: csv_bytes(rows)),
        ("SMILES", ".smi", "text/plain", None, lambda: file_bytes(rows, ".smi")),
        ("SDF", ".sdf", sdf, None, lambda: file_bytes(rows, ".sdf")),
        ("SDF in 3D", "-3d.sdf", sdf, in_space, lambda: three_d_bytes(rows[:THREE_D_LIMIT])),
        ("Picture", ".png", "image/png", on_sheet, lambda: sheet_bytes(rows[:SHEET_LIMIT])),
    ]
    for place, (label, end, mime, about, make) in zip(st.columns(len(files)), files, strict=True):
        place.download_button(
            label, make, stem + end, mime, key=f"{key}{end}", on_click="ignore", width="stretch", help=about
        )


def csv_bytes(rows: pd.DataFrame) -> bytes:
    """A table that is safe to open in a spreadsheet."""
    buffer = io.BytesIO()
    CsvWriter(buffer).write(rows[[name for name in FILE_COLUMNS if name in rows]])
    return buffer.getvalue()


def file_bytes(rows: pd.DataFrame, extension: str) -> bytes:
    """The molecules as a file of one of molgen.data.writers.FORMATS."""
    buffer = io.BytesIO()
    numbered = rows[[name for name in FILE_COLUMNS if name in rows]].copy()
    numbered["sample"] = rows["sample"].to_numpy() if "sample" in rows else range(1, len(rows) + 1)
    writer = FORMATS[extension](buffer)
    writer.write(numbered)
    writer.close()
    return buffer.getvalue()


def three_d_bytes(rows: pd.DataFrame) -> bytes:
    """The conformer of lowest energy of each molecule, as SDF; molecules without one are left out."""
    return lowest_sdf(rows["smiles"].tolist(), _names(rows), 3).encode("utf-8")


def sheet_bytes(rows: pd.DataFrame) -> bytes:
    """The structures with their names on one PNG."""
    return sheet_png(rows["smiles"].tolist(), _names(rows))


def _names(rows: pd.DataFrame) -> list[str]:
    if "name" in rows:
        return [name or f"row {row}" for name, row in zip(rows["name"], rows["row"], strict=True)]
    return [molecule_name(number) for number in range(1, len(rows) + 1)]


def histogram(sets: dict[str, np.ndarray], reference: np.ndarray, name: str) -> alt.LayerChart:
    """The distribution of a property in each set, over that of the known molecules in grey."""
    every = np.concatenate([*sets.values(), reference])
    low, high = np.nanpercentile(every, (0.5, 99.5)) if len(every) else (0.0, 1.0)
    edges = bin_edges(low, high, 30, whole=not SHOWN[name].decimals)
    lines = []
    for key, values in {**sets, KNOWN: reference}.items():
        counts, _ = np.histogram(values[np.isfinite(values)], edges)
        share = counts / max(1, counts.sum())
        lines += [
            {"set": key, "from": a, "to": b, "share": s} for a, b, s in zip(edges, edges[1:], share, strict=False)
        ]
    data = pd.DataFrame(lines)
    base = alt.Chart(data).encode(
        x=alt.X("from:Q", title=SHOWN[name].title),
        y=alt.Y("share:Q", axis=alt.Axis(format="%"), title="share"),
        tooltip=["set", alt.Tooltip("from:Q", format=".3g"), alt.Tooltip("to:Q", format=".3g"), "share"],
    )
    known = base.transform_filter(alt.datum.set == KNOWN).mark_area(
        interpolate="step-after", opacity=0.35, color="gray"
    )
    colour = alt.Color(
        "set:N", title=None, legend=alt.Legend(orient="top"), scale=alt.Scale(domain=list(sets), range=COLOURS)
    )
    others = base.transform_filter(alt.datum.set != KNOWN).mark_line(interpolate="step-after")
    return (known + others.encode(color=colour)).properties(height=230)


def space_map(points: pd.DataFrame) -> alt.Chart:
    """Points with the columns x, y, set, smiles, image (a data URI): the structure shows under the pointer."""
    names = sorted(set(points["set"]) - {KNOWN})
    colours = [COLOURS[at % len(COLOURS)] for at in range(len(names))] + ["#9ca3af"]
    names.append(KNOWN)
    return (
        alt.Chart(points)
        .mark_circle(size=28, opacity=0.65)
        .encode(
            x=alt.X("x:Q", axis=None),
            y=alt.Y("y:Q", axis=None),
            color=alt.Color(
                "set:N", title=None, legend=alt.Legend(orient="top"), scale=alt.Scale(domain=names, range=colours)
            ),
            tooltip=["image", "smiles", "set"],
        )
        .properties(height=460)
        .interactive()
    )

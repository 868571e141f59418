"""Molecules as files that a visitor takes away."""

import io
from collections.abc import Callable

import pandas as pd
import streamlit as st
from jobs import values_of

from molgen.data.writers import FORMATS, CsvWriter, molecule_name
from molgen.evaluation.assessment import QUANTITIES
from molgen.molecules.conformers import lowest_sdf
from molgen.molecules.drawing import sheet_png
from molgen.molecules.properties import PROPERTIES

THREE_D_LIMIT = 200
SHEET_LIMIT = 60
DECIMALS = 4
FILE_COLUMNS = (
    *("name", "note", "smiles", "isomer", "input", "row", "valid", "reason", "changes", "formula", "inchikey"),
    *PROPERTIES,
    *("fraction_sp3", "stereocentres", "np", "lipinski", "veber", "alerts", "scaffold", "novel", "nearest"),
    *("similarity", "likeness", "rare_rings", "score"),
)


def downloads(rows: pd.DataFrame, stem: str, key: str) -> None:
    """Buttons that give the molecules as files, with the stereo that was read where there is some."""
    if has_stereo(rows) and st.toggle(
        "with the stereo that was read",
        value=True,
        key=f"{key}-stereo",
        help="SMILES and SDF as they came in; figures, filters and what is new leave stereo out",
    ):
        rows = rows.assign(smiles=rows["isomer"].where(rows["isomer"].fillna("") != "", rows["smiles"]))
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


def has_stereo(rows: pd.DataFrame) -> bool:
    """Whether some of the molecules were read with stereo."""
    return "isomer" in rows and bool(((rows["isomer"].fillna("") != "") & (rows["isomer"] != rows["smiles"])).any())


def csv_bytes(rows: pd.DataFrame) -> bytes:
    """Molecules as a table that is safe to open in a spreadsheet."""
    return table_bytes(_for_files(rows))


def table_bytes(frame: pd.DataFrame) -> bytes:
    """Any table as CSV that is safe to open in a spreadsheet."""
    buffer = io.BytesIO()
    CsvWriter(buffer).write(frame)
    return buffer.getvalue()


def file_bytes(rows: pd.DataFrame, extension: str) -> bytes:
    """The molecules as a file of one of molgen.data.writers.FORMATS."""
    buffer = io.BytesIO()
    numbered = _for_files(rows)
    numbered["sample"] = rows["sample"].to_numpy() if "sample" in rows else rows["row"].to_numpy()
    numbered["name"] = _names(rows)
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


def _for_files(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of a file; numbers with as many digits as mean something."""
    rows = rows[[name for name in [*FILE_COLUMNS, *values_of(rows)] if name in rows]].copy()
    for name in ("note", "isomer", "changes"):
        if name in rows and (rows[name].isin(["", None]) | (rows[name] == rows["smiles"])).all():
            del rows[name]
    for name, quantity in QUANTITIES.items():
        if name in rows:
            rows[name] = rows[name].astype(float).round(DECIMALS)
            rows[name] = rows[name] if quantity.decimals else rows[name].astype("Int64")
    return rows


def _names(rows: pd.DataFrame) -> list[str]:
    if "name" in rows:
        return [name or f"row {row}" for name, row in zip(rows["name"].fillna(""), rows["row"], strict=True)]
    return [molecule_name(number) for number in range(1, len(rows) + 1)]

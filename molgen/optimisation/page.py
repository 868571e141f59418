"""The report of a search: one file of HTML with its pictures inside, in which no text of the molecules can run."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pandas as pd
from jinja2 import Environment, PackageLoader

import molgen
from molgen.molecules.drawing import to_svg
from molgen.optimisation.results import Results

CARDS = 24


def page(found: Results, record: Mapping[str, object], curve: bytes, components: Sequence[str]) -> str:
    """report.html, which needs no other file and no network. curve: a PNG; components: their names, in order."""
    environment = Environment(loader=PackageLoader("molgen.optimisation", "."), autoescape=True)
    return environment.get_template("report.html.j2").render(
        record=record,
        curve=_data_uri("image/png", curve),
        cards=[_card(row, components) for _, row in found.best.head(CARDS).iterrows()],
        best=len(found.best),
        with_unseen=int((found.best["unseen_rings"].fillna(0) > 0).sum()),
        rings_known=bool(found.best["unseen_rings"].notna().any()),
        version=molgen.__version__,
        date=datetime.now(UTC).date().isoformat(),
    )


def _card(row: pd.Series, components: Sequence[str]) -> dict[str, object]:
    return {
        "smiles": row["smiles"],
        "image": _data_uri("image/svg+xml", to_svg(str(row["smiles"]), width=240, height=180).encode("utf-8")),
        "score": _text(row["score"]),
        "values": ", ".join(f"{name} {_text(row[name])}" for name in components),
        "made": f"{row['move']} of {row['parents']}" if row["parents"] else row["move"],
        "number": row["number"],
        "unseen_rings": 0 if pd.isna(row["unseen_rings"]) else row["unseen_rings"],
        "percentile": "" if pd.isna(row["nll_percentile"]) else f"{row['nll_percentile']:.0f}",
    }


def _text(value: float) -> str:
    return f"{value:.4g}"


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"

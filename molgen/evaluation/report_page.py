"""The page of a report: one file of HTML with its pictures inside, in which no text of the molecules can run."""

import base64
import math
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader
from rdkit import rdBase

import molgen
from molgen.evaluation.admet import ENDPOINTS
from molgen.evaluation.alert_counts import AlertCounts, same_alerts
from molgen.evaluation.assessment import CHARTED
from molgen.evaluation.plots import histogram_png, map_png
from molgen.evaluation.reference import Reference
from molgen.evaluation.screening import MAX_CLUSTERED, Profile
from molgen.evaluation.tally import Judged, Record
from molgen.molecules.drawing import to_svg
from molgen.molecules.fingerprints import map_points, stacked
from molgen.molecules.properties import NUMBERS

CARDS = 24
ON_CARD = ("mw", "logp", "qed", "sa")
LISTED = 20
MAP_SIZE = 1_500


class SummaryRow(NamedTuple):
    """A line of the first table: a figure's name, what it means in words, its text for each set, and that for the
    reference, "" where there is none."""

    name: str
    meaning: str
    cells: list[str]
    reference: str


class AdmetRow(NamedTuple):
    """A line of the table of ADMET endpoints; cells: mean and median percentile of each set in turn."""

    name: str
    meaning: str
    unit: str
    cells: list[str]


def page(
    sets: list[Judged],
    reference: Reference,
    profile: Profile,
    summary: list[SummaryRow],
    warnings: list[str],
    admet: str = "",
) -> str:
    """report.html, which needs no other file and no network. admet: what the predictions are, "" without them."""
    environment = Environment(loader=PackageLoader("molgen.evaluation", "."), autoescape=True)
    names = [done.label for done in sets]
    charts = []
    for name in CHARTED:
        entry, known = NUMBERS[name], reference.assessed[name].to_numpy()
        values = {done.label: done.column(name) for done in sets}
        picture = histogram_png(entry.title, values, known, whole=not entry.decimals)
        charts.append({"alt": f"distribution of {entry.label}", "data": _data_uri("image/png", picture)})
    points = map_points([_mapped(done) for done in sets], reference.fingerprints[:MAP_SIZE])
    return environment.get_template("report.html.j2").render(
        sets=[_section(done) for done in sets],
        summary=summary,
        warnings=warnings,
        reference=reference.name,
        assessed=len(reference.assessed),
        rarity=reference.rarity,
        profile=profile,
        charts=charts,
        map=_data_uri("image/png", map_png(dict(zip([*names, ""], points, strict=True)))),
        map_size=f"{MAP_SIZE:,}",
        admet=admet,
        endpoints=admet_rows(sets) if admet else [],
        alerts=_alert_rows(sets, reference),
        version=molgen.__version__,
        rdkit=rdBase.rdkitVersion,
        date=datetime.now(UTC).date().isoformat(),
    )


def admet_rows(sets: list[Judged]) -> list[AdmetRow]:
    """The table of ADMET endpoints, of sets that have predictions."""
    found = [done.admet.endpoints() for done in sets if done.admet]
    rows = []
    for name, (meaning, unit) in ENDPOINTS.items():
        cells = []
        for mean, percentile, _ in (each[name] for each in found):
            cells += ["-" if mean is None else f"{mean:.3g}", "-" if percentile is None else f"{percentile:.0f}"]
        rows.append(AdmetRow(name, meaning, unit, cells))
    return rows


def _mapped(done: Judged) -> np.ndarray:
    order = np.random.default_rng(0).permutation(len(done.drawn.items))[:MAP_SIZE]
    return stacked(done.drawn.items[k][1] for k in order)


def _section(done: Judged) -> Record:
    best = sorted(done.picked, key=lambda row: -row["qed"] if math.isfinite(row["qed"]) else 1)[:CARDS]
    clustered = min(done.passed, MAX_CLUSTERED)
    grouped = done.clusters <= clustered / 2  # else nearly every molecule is a cluster of its own
    of = f" of {clustered:,} of them" if done.passed > clustered else ""
    rare = []
    for text, number in done.rare_rings.most_common(LISTED):
        ring, _, times = text.rpartition(" (")
        rare.append({"ring": ring, "count": number, "reference": times.rstrip(")")})
    assert done.funnel is not None
    return {
        "label": done.label,
        "funnel": done.funnel.to_dict("records"),
        "passed": done.passed,
        "picked": done.picked,
        "clusters": f", in {done.clusters:,} clusters{of}" if grouped else "",
        "cards": [_card(row) for row in best],
        "rare_share": f"{done.with_rare_rings:,} of {done.valid:,} molecules have one",
        "rare_rings": rare,
        "reasons": done.reasons.most_common(),
    }


def _alert_rows(sets: list[Judged], reference: Reference) -> list[Record]:
    usual = AlertCounts()
    usual.count(reference.assessed["alerts"])
    rows = []
    for first, *others in same_alerts([done.alerts for done in sets], usual)[:LISTED]:
        cells = [_percent(done.alerts.counts[first], done.valid) for done in sets]
        cells.append(_percent(usual.counts[first], len(reference.assessed)))
        rows.append({"name": first, "others": others, "cells": cells})
    return rows


def _card(row: Record) -> Record:
    def picture(smiles: str) -> str:
        return _data_uri("image/svg+xml", to_svg(smiles, width=240, height=180).encode("utf-8"))

    return {
        "smiles": row["smiles"],
        "name": f"row {row['row']}" + (f", {row['name']}" if row["name"] else ""),
        "image": picture(row["smiles"]),
        "nearest": row["nearest"],
        "nearest_image": picture(row["nearest"]),
        "similarity": f"{row['similarity']:.2f}",
        "novel": row["novel"],
        "rare": row["rare_rings"],
        "numbers": ", ".join(NUMBERS[name].text(row[name]) for name in ON_CARD),
    }


def _percent(count: int, total: int) -> str:
    return f"{count / total:.1%}" if total else "-"


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"

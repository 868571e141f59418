"""The page of a report: one file of HTML with its pictures inside, in which no text of the molecules can run."""

import base64
import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader
from rdkit import rdBase

import molgen
from molgen.evaluation.assessment import NUMBERS
from molgen.evaluation.plots import histogram_png, map_png
from molgen.evaluation.reference import RARE, Reference
from molgen.evaluation.scores import FCD_SAMPLE, EvenDraw
from molgen.evaluation.screening import MAX_CLUSTERED, Profile
from molgen.molecules.drawing import to_svg
from molgen.molecules.hashing import DistinctMolecules

CHARTED = ("mw", "logp", "tpsa", "qed", "sa", "np", "fraction_sp3", "rotatable_bonds")
CARDS = 24
LISTED = 20
MAP_SIZE = 1_500


@dataclass
class Judged:
    """One set of molecules, as it is read."""

    label: str
    requested: int | None = None  # molecules asked for, where the rows leave out those that failed
    rows: int = 0
    valid: int = 0
    novel: int = 0
    with_rare_rings: int = 0
    # SMILES and packed fingerprints of valid ones, repeats included
    drawn: EvenDraw = field(default_factory=lambda: EvenDraw(FCD_SAMPLE))
    numbers: list[np.ndarray] = field(default_factory=list)  # float32 [k, len(NUMBERS)] of the valid ones
    reasons: Counter[str] = field(default_factory=Counter)
    alerts: Counter[str] = field(default_factory=Counter)
    scaffolds: Counter[str] = field(default_factory=Counter)
    rare_rings: Counter[str] = field(default_factory=Counter)
    similarity: list[np.ndarray] = field(default_factory=list)
    distinct: DistinctMolecules = field(default_factory=DistinctMolecules)
    passed: int = 0
    picked: list[dict] = field(default_factory=list)
    clusters: int = 0
    funnel: pd.DataFrame | None = None


def page(
    sets: list[Judged], reference: Reference, profile: Profile, summary: list[dict[str, Any]], warnings: list[str]
) -> str:
    """report.html, which needs no other file and no network; summary: its first table."""
    environment = Environment(loader=PackageLoader("molgen.evaluation", "."), autoescape=True)
    names = [done.label for done in sets]
    values = [np.concatenate(done.numbers) for done in sets]
    charts = []
    for name in CHARTED:
        columns = [table[:, NUMBERS.index(name)] for table in values]
        picture = histogram_png(name, dict(zip(names, columns, strict=True)), reference.assessed[name].to_numpy())
        charts.append({"alt": f"distribution of {name}", "data": _data_uri("image/png", picture)})
    points = _projection([_mapped(done) for done in sets], reference.fingerprints[:MAP_SIZE])
    return environment.get_template("report.html.j2").render(
        sets=[_section(done) for done in sets],
        summary=summary,
        warnings=warnings,
        reference=reference.name,
        compared=len(reference.smiles),
        rare=RARE,
        profile=profile,
        charts=charts,
        map=_data_uri("image/png", map_png(dict(zip([*names, ""], points, strict=True)))),
        map_size=f"{MAP_SIZE:,}",
        alerts=_alert_rows(sets, reference),
        version=molgen.__version__,
        rdkit=rdBase.rdkitVersion,
        date=datetime.now(UTC).date().isoformat(),
    )


def _mapped(done: Judged) -> np.ndarray:
    order = np.random.default_rng(0).permutation(len(done.drawn.items))[:MAP_SIZE]
    return np.frombuffer(b"".join(done.drawn.items[k][1] for k in order), np.uint8).reshape(len(order), -1)


def _section(done: Judged) -> dict[str, Any]:
    best = sorted(done.picked, key=lambda row: -row["qed"] if math.isfinite(row["qed"]) else 1)[:CARDS]
    clustered = done.passed > MAX_CLUSTERED
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
        "clusters": f"{done.clusters:,}",
        "clusters_of": f" of {MAX_CLUSTERED:,} of them" if clustered else "",
        "cards": [_card(row) for row in best],
        "rare_share": f"{done.with_rare_rings:,} of {done.valid:,} molecules have one",
        "rare_rings": rare,
        "reasons": done.reasons.most_common(),
    }


def _alert_rows(sets: list[Judged], reference: Reference) -> list[dict[str, Any]]:
    usual: Counter[str] = Counter()
    for text in reference.assessed["alerts"]:
        usual.update(set(filter(None, text.split("; "))))
    total: Counter[str] = Counter()
    for done in sets:
        total.update(done.alerts)
    rows = []
    for name, _ in total.most_common(LISTED):
        cells = [_percent(done.alerts[name], done.valid) for done in sets]
        rows.append({"name": name, "cells": [*cells, _percent(usual[name], len(reference.assessed))]})
    return rows


def _card(row: dict[str, Any]) -> dict[str, Any]:
    def picture(smiles: str) -> str:
        return _data_uri("image/svg+xml", to_svg(smiles, width=240, height=180).encode("utf-8"))

    return {
        "smiles": row["smiles"],
        "name": row["name"],
        "image": picture(row["smiles"]),
        "nearest": row["nearest"],
        "nearest_image": picture(row["nearest"]),
        "similarity": f"{row['similarity']:.2f}",
        "novel": row["novel"],
        "rare": row["rare_rings"],
        **{name: f"{row[name]:.1f}" for name in ("mw", "logp", "sa")},
        "qed": f"{row['qed']:.2f}",
    }


def map_points(sets: list[list[bytes]], reference: np.ndarray) -> list[np.ndarray]:
    """Places on a map for packed fingerprints, float [k, 2] of each set and last of the reference, uint8 [m, 256]."""
    return _projection(
        [np.frombuffer(b"".join(one), np.uint8).reshape(-1, reference.shape[1]) for one in sets], reference
    )


def _projection(sets: list[np.ndarray], reference: np.ndarray) -> list[np.ndarray]:
    """The first two principal components of packed fingerprints, [k, 2] of each set and last of the reference."""
    every = [np.unpackbits(packed, axis=1).astype(np.float32) for packed in [*sets, reference]]
    stacked = np.concatenate(every)
    centred = stacked - stacked.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    points = centred @ vectors[:, -2:][:, ::-1]
    return np.split(points, np.cumsum([len(part) for part in every])[:-1])


def _percent(count: int, total: int) -> str:
    return f"{count / total:.1%}" if total else "-"


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"

"""Charts, drawn without a display."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from molgen.evaluation.bins import bin_edges, usual_range

BINS = 40


def loss_curve(log: Path, image: Path) -> None:
    """The training log (log.csv of a run) as a PNG: training and validation loss against graphs seen."""
    with log.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for column, label in (("loss", "training"), ("valid_loss", "validation (averaged weights)")):
        points = [(int(row["graphs"]) / 1e6, float(row[column])) for row in rows if row[column]]
        if points:
            axes.plot(*zip(*points, strict=True), marker=".", label=label)
    axes.set_xlabel("graphs seen, millions")
    axes.set_ylabel("loss (cross-entropy)")
    axes.grid(alpha=0.3)
    if rows:
        axes.legend()
    temporary = image.with_suffix(".new.png")
    figure.savefig(temporary, dpi=120)
    temporary.replace(image)


def histogram_png(name: str, sets: dict[str, np.ndarray], reference: np.ndarray, *, whole: bool = False) -> bytes:
    """A property's distribution in each set beside the reference in grey; values float [k], NaN left out.

    whole: they are whole numbers, so that every bin should hold equally many of them.
    """
    figure = Figure(figsize=(4.2, 2.6), layout="constrained")
    axes = figure.subplots()
    filled: dict[str, Any] = {"histtype": "stepfilled", "color": "0.8", "label": "reference"}
    drawn = [(reference, filled)]
    drawn += [(each, {"histtype": "step", "linewidth": 1.4, "label": _short(label)}) for label, each in sets.items()]
    drawn = [(there, style) for values, style in drawn if len(there := values[np.isfinite(values)])]
    if drawn:
        edges = bin_edges(*usual_range([values for values, _ in drawn]), BINS, whole=whole).tolist()
        for values, style in drawn:
            axes.hist(values, edges, density=True, **style)
    axes.set(xlabel=name, yticks=[])
    axes.legend(fontsize=7, frameon=False)
    return _png(figure)


def map_png(sets: dict[str, np.ndarray]) -> bytes:
    """Points [k, 2] of each set; the one without a name is the reference, drawn first and in grey."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for label, points in sorted(sets.items(), key=lambda item: item[0] != ""):
        colour, text = (None, _short(label)) if label else ("0.75", "reference")
        axes.scatter(points[:, 0], points[:, 1], s=6, linewidths=0, alpha=0.6, c=colour, label=text)
    axes.set(xticks=[], yticks=[])
    axes.legend(fontsize=8, frameon=False)
    return _png(figure)


def _short(label: str) -> str:
    """A label that matplotlib takes as it is: no formula, no line break, not hidden."""
    text = label.replace("$", r"\$").replace("\n", " ").lstrip("_") or "set"
    return text if len(text) <= 30 else text[:27] + "..."


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()

"""The chart of a search, drawn without a display."""

from __future__ import annotations

import io

import pandas as pd
from matplotlib.figure import Figure

LINES = {"best": "best", "best_10": "mean of the best 10", "best_100": "mean of the best 100"}


def curve_png(curve: pd.DataFrame) -> bytes:
    """The score of the best molecules against the number asked, as a PNG. curve: of `molgen.optimisation.results`."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for column, label in LINES.items():
        axes.plot(curve["calls"], curve[column], label=label, linewidth=2.0 if column == "best_10" else 1.0)
    axes.set(xlabel="molecules asked", ylabel="score", ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()

"""Charts, drawn without a display."""

import csv
from pathlib import Path

from matplotlib.figure import Figure


def loss_curve(log: Path, image: Path) -> None:
    """The training log (log.csv of molgen.train) as a PNG: training and validation loss against graphs seen."""
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

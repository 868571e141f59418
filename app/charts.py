"""Charts that compare sets of molecules: distributions of properties, the map."""

import altair as alt
import numpy as np
import pandas as pd
from views import SHOWN

from molgen.evaluation.bins import bin_edges, usual_range

COLOURS = ["#0f766e", "#d97706", "#7c3aed", "#be123c"]


def histogram(sets: dict[str, np.ndarray], known: str, reference: np.ndarray, name: str) -> alt.LayerChart:
    """The distribution of a property in each set, over that of the known molecules, called `known`, in grey."""
    low, high = usual_range([*sets.values(), reference])
    edges = bin_edges(low, high, 30, whole=not SHOWN[name].decimals)
    lines = []
    for key, values in {**sets, known: reference}.items():
        counts, _ = np.histogram(values[np.isfinite(values)], edges)
        share = counts / max(1, counts.sum())
        lines += [
            {"set": key, "from": a, "to": b, "share": s} for a, b, s in zip(edges, edges[1:], share, strict=False)
        ]
        lines.append({"set": key, "from": edges[-1], "to": edges[-1], "share": 0.0})  # the last bin has an end, too
    data = pd.DataFrame(lines)
    base = alt.Chart(data).encode(
        x=alt.X("from:Q", title=SHOWN[name].title),
        y=alt.Y("share:Q", axis=alt.Axis(format="%"), title="share"),
        tooltip=["set", alt.Tooltip("from:Q", format=".3g"), alt.Tooltip("to:Q", format=".3g"), "share"],
    )
    behind = base.transform_filter(alt.datum.set == known).mark_area(
        interpolate="step-after", opacity=0.35, color="gray"
    )
    colour = alt.Color(
        "set:N", title=None, legend=alt.Legend(orient="top"), scale=alt.Scale(domain=list(sets), range=COLOURS)
    )
    others = base.transform_filter(alt.datum.set != known).mark_line(interpolate="step-after")
    layers: alt.LayerChart = (behind + others.encode(color=colour)).properties(height=230)
    return layers


def distribution(values: np.ndarray, low: float, high: float) -> alt.Chart:
    """A property of known molecules, float [m], without axes: to stand over a scale from low to high."""
    counts, edges = np.histogram(values[np.isfinite(values)], 60, (low, high))
    data = pd.DataFrame({"from": edges[:-1], "count": counts})
    chart: alt.Chart = (
        alt.Chart(data)
        .mark_area(interpolate="step-after", opacity=0.5, color="gray")
        .encode(
            x=alt.X("from:Q", axis=None, scale=alt.Scale(domain=[low, high])),
            y=alt.Y("count:Q", axis=None),
        )
        .configure_view(strokeWidth=0)
        .properties(padding=0)
    )
    return chart


def space_map(points: pd.DataFrame, known: str) -> alt.Chart:
    """Points with the columns x, y, set, smiles, image (a data URI): the structure shows under the pointer."""
    names = sorted(set(points["set"]) - {known})
    colours = [COLOURS[at % len(COLOURS)] for at in range(len(names))] + ["#9ca3af"]
    names.append(known)
    chart: alt.Chart = (
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
    return chart

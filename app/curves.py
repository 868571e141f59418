"""Charts of an objective and of a search."""

import altair as alt
import numpy as np
import pandas as pd
from charts import COLOURS

from molgen.evaluation.admet import ENDPOINTS
from molgen.evaluation.bins import bin_edges, usual_range
from molgen.molecules.properties import CATALOGUE
from molgen.optimisation.curves import Range, Sigmoid, Target
from molgen.optimisation.objective import Component
from molgen.optimisation.plots import LINES
from molgen.optimisation.scorers import OWN_SCALE

POINTS, HEIGHT = 200, 210
# where values of a kind lie, other than from 0 to 1
SCALES = {"alerts": (0.0, 5.0), "unseen_rings": (0.0, 5.0), "likelihood": (0.0, 100.0)}
TITLES = {
    **{"similar_to": "similarity", "unlike": "similarity", "has": "share that is there", "lacks": "1 without them"},
    **{"alerts": "alerts", "unseen_rings": "unseen ring systems", "novel": "1 where novel"},
    **{"likelihood": "percentile among training molecules", "buyable": "1 where it can be bought"},
}


def desirability(component: Component, known: np.ndarray | None) -> alt.Chart | alt.LayerChart:
    """The curve of a component; known: the values of its property in known molecules, which stand behind in grey."""
    low, high = scale(component, known)
    x = np.linspace(low, high, POINTS)
    kind, name = component.kind, str(component.value)
    axis = alt.X("value:Q", title=_title(kind, name))
    axis = axis.scale(domain=[low, high], nice=False)
    base = alt.Chart(pd.DataFrame({"value": x, "desirability": component.curve(x)})).encode(
        x=axis, y=alt.Y("desirability:Q", title="desirability").scale(domain=[0, 1])
    )
    line: alt.Chart = base.mark_line(color=COLOURS[0], strokeWidth=2.5, clip=True).properties(height=HEIGHT)
    if known is None:
        return line
    edges = bin_edges(low, high, 40, whole=not CATALOGUE[name].decimals)
    counts, _ = np.histogram(known, edges)
    shares = pd.DataFrame({"value": edges, "desirability": np.append(counts, 0) / max(1, counts.max())})
    behind = alt.Chart(shares).mark_area(interpolate="step-after", opacity=0.3, color="gray", clip=True)
    layers: alt.LayerChart = (behind.encode(x="value:Q", y="desirability:Q") + line).properties(height=HEIGHT)
    return layers


def _title(kind: str, name: str) -> str:
    if kind == "property":
        return CATALOGUE[name].title
    return ", ".join(ENDPOINTS[name]) if kind == "admet" else TITLES[kind]


def scale(component: Component, known: np.ndarray | None) -> tuple[float, float]:
    """Where values of a component lie, and where its curve rises and falls."""
    if component.kind not in ("property", "admet") or component.value in OWN_SCALE:
        return SCALES.get(component.kind, (0.0, 1.0))
    curve = component.curve
    places: list[float] = []
    if isinstance(curve, Range):
        places = [curve.low - 2.5 * curve.soft, curve.high + 2.5 * curve.soft]
    elif isinstance(curve, Target):
        places = [curve.value - 2.5 * curve.soft, curve.value + 2.5 * curve.soft]
    elif isinstance(curve, Sigmoid):
        reach = abs(curve.one - curve.zero) / 4
        places = [min(curve.zero, curve.one) - reach, max(curve.zero, curve.one) + reach]
    places += () if known is None else usual_range([known])
    low, high = min(places), max(places)
    return 0.0 if known is not None and known.min() >= 0 else low, high


def climb(found: pd.DataFrame) -> alt.Chart:
    """The best scores against molecules scored. found: calls and LINES, as molgen.optimisation.results has them."""
    long = found.rename(columns=LINES).melt("calls", list(LINES.values()), "what", "score")
    colour = alt.Color("what:N", title=None, sort=list(LINES.values()), legend=alt.Legend(orient="top"))
    chart: alt.Chart = (
        alt.Chart(long)
        .mark_line(point=len(found) < 3)
        .encode(
            x=alt.X("calls:Q", title="molecules scored").scale(domainMin=0),
            y=alt.Y("score:Q", title="score").scale(domain=[0, 1]),
            color=colour.scale(domain=list(LINES.values()), range=COLOURS[:3]),
            tooltip=["what", "calls", alt.Tooltip("score:Q", format=".3f")],
        )
        .properties(height=320)
    )
    return chart

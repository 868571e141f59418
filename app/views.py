"""Pieces that several pages show: pictures, fields, how a job stands."""

import base64
import re
from collections.abc import Sequence

import streamlit as st
from job_queue import Job
from jobs import VALUE
from references import source_name
from server import server

from molgen.evaluation.assessment import QUANTITIES
from molgen.molecules.drawing import to_svg
from molgen.molecules.parsing import Rejected
from molgen.molecules.properties import Quantity

# columns of some sets alone, which show wherever they are there
OF_SOME = {
    "score": Quantity("score", "score of the search", decimals=3, scale="0 to 1", short="score"),
    "likeness": Quantity("likeness", "likeness", decimals=2),
}
SHOWN: dict[str, Quantity] = {**QUANTITIES, **OF_SOME}


def quantity(name: str) -> Quantity:
    """How a column of numbers is shown: one of SHOWN, or the values of a component."""
    shown = name.removeprefix(VALUE)
    return SHOWN.get(shown) or Quantity(name, name, decimals=3, short=shown)


def label_of(name: str) -> str:
    """A column in words, where there are any."""
    return SHOWN[name].label if name in SHOWN else {"novel": "new"}.get(name, name)


def heading(name: str) -> str:
    """A column of numbers in a word or two, as over a table."""
    return quantity(name).short or quantity(name).label.split(" to the ")[0]


def plain(text: str, longest: int = 500) -> str:
    """A text, cut where it is long, that Markdown shows as it is: the brackets of SMILES would else be links."""
    text = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


def counted(count: int, what: str) -> str:
    """A number of things, such as "1 molecule" or "1,200 molecules"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def dark() -> bool:
    """Whether the page is dark."""
    return st.context.theme.type == "dark"


def picture(smiles: str, width: int, height: int, aligned_on: str = "", highlighted: tuple[int, ...] = ()) -> str:
    """The 2D structure as SVG in the colours of the page; an empty picture for what RDKit cannot draw."""
    return _picture(smiles, width, height, aligned_on, highlighted, dark())


@st.cache_data(max_entries=500, show_spinner=False)
def _picture(smiles: str, width: int, height: int, aligned_on: str, highlighted: tuple[int, ...], on_dark: bool) -> str:
    try:
        return to_svg(
            smiles,
            width=width,
            height=height,
            aligned_on=aligned_on or None,
            highlight_atoms=highlighted,
            dark=on_dark,
        )
    except (Rejected, ValueError, RuntimeError):
        return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"></svg>'


def choose_known(usual: str, key: str = "known") -> str:
    """A field to choose the known molecules that others are compared with; its source."""
    choices = server().references.choices
    return st.selectbox(
        "Compare with",
        choices,
        choices.index(usual) if usual in choices else 0,
        key=key,
        bind="query-params",
        format_func=source_name,
        help="known molecules: what is new, near, usual and rare is said beside them. QM9: up to 9 heavy atoms; "
        "MOSES: drug-like, 8 to 27; ChEMBL sample: 16 to 26, from medicinal chemistry, charged groups too",
    )


def data_uri(svg: str) -> str:
    """A picture for the src of an image."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode("utf-8")).decode("ascii")


def tell_state(job: Job, warnings: Sequence[str], stopped: str) -> None:
    """The heading over a job: its name, how it ended, what went wrong. stopped: what is said of one that was."""
    state = {"done": "done", "stopped": stopped, "failed": "failed"}.get(job.state, "")
    st.subheader(f"{plain(job.label)} {state}".strip())
    if job.error:
        st.error(job.error, icon=":material/error:")
    for warning in warnings:
        st.caption(f":material/warning: {warning}")


def out_of_bounds(label: str, value: int | None, low: int, high: int) -> bool:
    """Whether a number is, which the page tells: Streamlit's own bounds keep the old number without a word."""
    wrong = value is not None and not low <= value <= high
    if wrong:
        st.error(f"{label}: {value:,} is out of bounds; from {low:,} to {high:,} is allowed", icon=":material/error:")
    return wrong

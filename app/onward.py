"""From a molecule on the screen to new ones: the page that makes them, with a lead or a core filled in."""

import contextlib
from collections.abc import Iterator, Mapping

import streamlit as st
from making import Generation
from server import server
from session import active, fill, forget

from molgen.errors import MolgenError
from molgen.generation.asked import parse_wanted
from molgen.generation.likelihood import molecule_graph
from molgen.models.checkpoints import Model

LIKE, KEEP = "More like this", "Keep this part"
FIELD = {LIKE: "lead", KEEP: "core"}  # of the page that makes molecules
USUAL_CHANGER = "moses-digress"
CONDITIONS = ("formula", "core", "size", "lead", "targets", "atoms")  # fields that may contradict each other


def can(model: Model, way: str) -> bool:
    """Whether a model was made for it."""
    return model.backend.starts if way == LIKE else model.backend.config.known_parts


@st.cache_resource(show_spinner=False)
def ways() -> list[str]:
    """What some model can do, of LIKE and KEEP; models are loaded until one is found."""
    return [way for way in FIELD if any(can(model, way) for _, model in _models())]


@st.cache_resource(show_spinner="Loading models ...")
def changers() -> list[str]:
    """Names of the models that can change molecules, the usual one first."""
    names = [name for name, model in _models() if any(can(model, way) for way in FIELD)]
    return sorted(names, key=lambda name: name != USUAL_CHANGER)


def go_on(way: str, row: Mapping[str, object]) -> None:
    """Go to the page that makes molecules, with a molecule as the lead or its scaffold as the core.

    The model is that of the set where it can take them, or the first that can; where none can, the page says why not.
    """
    text = str(row["smiles"] if way == LIKE else row["scaffold"])
    name, why = _model_for(way, text, str(row["smiles"]))
    if not name:
        st.toast(f"No model can do this: {why}", icon=":material/error:")
        return
    if st.session_state.page_shown == "":  # its fields are on the page
        fill(dict.fromkeys(CONDITIONS, "") | {"targets": [], "model": name, FIELD[way]: text})
    forget("", CONDITIONS)
    st.switch_page("screens/generate.py", query_params={"model": name, FIELD[way]: text})


def _model_for(way: str, text: str, smiles: str) -> tuple[str, str]:
    """The name of a model that takes a lead or a core, "" for none, and why not.

    smiles: the molecule that it is from; a model that makes molecules of this size comes first, then the largest.
    """
    job, why, second, most = active(), "", "", 0
    names = sorted(server().names(), key=lambda name: name != USUAL_CHANGER)
    if isinstance(job, Generation):
        names.sort(key=lambda name: server().models.get(name) is not job.model)
    for name in names:
        try:
            model = server().model(name)
            if can(model, way):
                wanted = parse_wanted(model, **{"like" if way == LIKE else "core": text})
                if len(model.statistics.sizes) > most:
                    second, most = name, len(model.statistics.sizes)
                fits = molecule_graph(model, smiles).size < len(model.statistics.sizes)
                if fits and not wanted.is_large(model.statistics):
                    return name, ""
        except MolgenError as error:
            why = str(error)
    return second, why


def _models() -> Iterator[tuple[str, Model]]:
    for name in server().names():
        with contextlib.suppress(MolgenError):
            yield name, server().model(name)

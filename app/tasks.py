"""What visitors come for: each task fills the form with an example to change, and shows what has come out of it."""

from typing import Any, NamedTuple

import streamlit as st
from views import picture

EMPTY: dict[str, Any] = {
    **{"formula": "", "size": "", "core": "", "lead": "", "targets": [], "keeps": "any", "known_rings": False},
    **{"num": 100, "distinct": False},
}


class Task(NamedTuple):
    """title, icon, about: of its tile; fields: what the form is filled with; made: molecules that came out of that."""

    title: str
    icon: str
    about: str
    fields: dict[str, Any]
    made: tuple[str, ...]


TASKS = {
    "library": Task(
        "Drug-like library",
        ":material/library_books:",
        "distinct molecules that pass a lead-like screen, without strange rings",
        {"model": "moses-digress", "keeps": "lead-like", "known_rings": True, "distinct": True, "num": 50},
        (
            "O=S(=O)(NCc1cccs1)c1ccnn1C1CCCCC1",
            "CC(=O)OCC1CCN(S(=O)(=O)c2c(C)cc(C)cc2C)C1",
            "Cc1cccc(NC(=O)NS(=O)(=O)c2ccc(F)cc2)c1",
            "Cc1n[nH]c(C)c1CCC(=O)N1CCC(Nc2cccc(F)c2)C1",
            "Cc1cc(=O)n(C)c2ncc(C(=O)OCc3cccnc3)cc12",
            "CC(N1CCOC(CNc2ccncc2)C1)n1cnc2ccccc21",
        ),
    ),
    "core": Task(
        "Grow from a core",
        ":material/account_tree:",
        "every molecule contains the part that you name",
        {"model": "moses-digress", "core": "c1ccc2[nH]ccc2c1", "num": 50},
        (
            "CCc1nnc(CNC(=O)Cc2c[nH]c3ccccc23)s1",
            "Cn1cc(C(=O)NC2CCCC2O)c2ccccc21",
            "O=C(c1ccc2[nH]ccc2c1)N1CCN(c2ccsc2)CC1",
            "COC1CC1NC(=O)c1ccc(Cl)c2[nH]ccc12",
            "O=S(=O)(CCn1ccc2ccccc21)N1CCNCC1",
            "O=C(Cc1ccc(Cl)cc1)NCc1c[nH]c2ccccc12",
        ),
    ),
    "link": Task(
        "Link two pieces",
        ":material/link:",
        "one molecule around several parts",
        {"model": "moses-digress", "core": "c1ccncc1.C1CCNCC1", "num": 50},
        (
            "O=C(CC1CCCCN1c1ccsc1)Nc1cccnc1",
            "O=C(c1cccnc1)N1CCCC(c2cccs2)C1",
            "CC1C2CCCC(C2)CN1Cc1nc(-c2cccnc2)no1",
            "CNC(=O)C1CCCN(c2ncc(Cl)cc2Cl)C1",
            "O=C(NCS(=O)(=O)N1CC2CC(C2)C1)c1ccccn1",
            "O=C(Nc1ccccn1)N1CCCCC1c1ccncc1",
        ),
    ),
    "analogues": Task(
        "Analogues of a lead",
        ":material/content_copy:",
        "what is like one molecule, and is not that one",
        {
            **{"model": "moses-digress", "lead": "CC(C)Cc1ccc(cc1)C(C)C(=O)Nc1ccccc1", "window": (0.3, 0.8)},
            "num": 50,
        },
        (
            "CC(C)Oc1ccc(C(C)C(=O)Nc2cccnc2)cc1",
            "CC(C)Cc1ccc(C(N)C(=O)Nc2ccccn2)cc1",
            "CC(C)Cc1ccc(C2Cc3ccccc3NC2=O)cc1",
            "CC(C)Cc1ccccc1NC(=O)C(C)c1ccccc1",
            "CC(C)Cc1ccc(CNC(=O)Nc2ccccc2)cc1",
            "CC(C)Oc1ccc(C(C)C(=O)Nc2ccccc2)cc1",
        ),
    ),
    "targets": Task(
        "Aim at properties",
        ":material/target:",
        "such as a logP of 2.5 and a weight below 300",
        {
            **{"model": "moses-digress", "targets": ["logp", "mw"], "num": 50},
            **{"aim-logp": (2.5, 2.5), "aim-mw": (223.0, 300.0)},
        },
        (
            "CC(=O)CC(=O)Nc1nc(-c2cccc(N)c2)no1",
            "CCCn1nc(CSc2ccccc2Cl)nc1C",
            "CCCc1c(C(=O)Nc2cccc(C)c2C)cnn1C",
            "O=C1c2ncc(Br)c(n2)C(=O)N2CCN1CC2",
            "CC=CCNC(=O)c1ccc(OCCC)c(C)c1",
            "CN1C=Nc2ccc(cc2)CN(C)C(=O)CNC1=O",
        ),
    ),
    "isomers": Task(
        "Isomers of a formula",
        ":material/functions:",
        "molecules with exactly these atoms, up to nine heavy ones",
        {"model": "qm9-edge", "formula": "C6H9NO2", "num": 100},
        (
            "CC1(N)C=CC(=O)C1O",
            "CC1C2CC1(O)C(=O)N2",
            "CC1COC(=O)C2NC12",
            "CC1=NC2OC(C)C12O",
            "CC(=N)CC(=O)C1CO1",
            "CC1C2OC(=O)N(C)C12",
        ),
    ),
}


def tiles() -> None:
    """The tasks, to begin with one."""
    places = st.columns(4) + st.columns(4)
    for place, (key, task) in zip(places, TASKS.items(), strict=False):
        with place:
            st.button(task.title, icon=task.icon, key=f"task-{key}", on_click=choose, args=[key], width="stretch")
            st.caption(task.about)
    with places[len(TASKS)]:
        st.page_link("screens/score.py", label="Judge your own file", icon=":material/fact_check:")
        st.caption("validity, novelty, properties, alerts, a report")
    with places[len(TASKS) + 1]:
        st.page_link("screens/improve.py", label="Search for high scores", icon=":material/trending_up:")
        st.caption("under an objective of your own, with weights and curves")


def choose(key: str) -> None:
    """Fill the form with a task's example."""
    st.session_state.task = key
    st.session_state.update(EMPTY | TASKS[key].fields)


def example() -> None:
    """What has come out of the chosen task's example."""
    task = TASKS.get(st.session_state.get("task", ""))
    if task is None:
        return
    st.caption(f"{task.title}, for example:")
    for place, smiles in zip(st.columns(3) * 2, task.made, strict=False):
        place.image(picture(smiles, 220, 150), width="stretch", alt=f"Structure {smiles}")

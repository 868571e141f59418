"""A core as a picture on which the atoms that may grow are chosen with a click."""

from functools import partial

import streamlit as st
from views import dark

from molgen.errors import InputError
from molgen.generation.cores import Sites, growth_sites, with_growth
from molgen.molecules.drawing import placed_svg

WIDTH, HEIGHT = 340, 220
SPOT = 26  # pixels across, of an atom to click
CSS = f"""
.picture {{position: relative; width: {WIDTH}px; height: {HEIGHT}px; max-width: 100%}}
button {{position: absolute; width: {SPOT}px; height: {SPOT}px; margin: -{SPOT // 2}px; padding: 0; border-radius: 50%;
  border: 1px dashed #8a8a8a; background: transparent; cursor: pointer}}
button[aria-pressed="true"] {{border: 2px solid #0d9488; background: #14b8a655}}
"""
JS = """
export default function({data, parentElement, setTriggerValue}) {
  let picture = parentElement.querySelector(".picture");
  picture.innerHTML = data.svg;
  data.spots.forEach((spot) => {
    const button = document.createElement("button");
    button.type = "button";
    button.style.left = spot.x + "px";
    button.style.top = spot.y + "px";
    button.title = spot.label;
    button.setAttribute("aria-label", spot.label);
    button.setAttribute("aria-pressed", String(spot.growing));
    button.onclick = () => setTriggerValue("clicked", spot.atom);
    picture.appendChild(button);
  });
}
"""


@st.cache_resource(show_spinner=False)
def _component():  # type: ignore[no-untyped-def]  # Streamlit's own type is not public
    return st.components.v2.component("growth", html='<div class="picture"></div>', css=CSS, js=JS)


def toggled(sites: Sites, atom: int) -> str:
    """The core after a click on an atom. Where all may grow, the first click chooses that one alone."""
    growing = set(sites.growing)
    if growing == set(sites.possible) and len(growing) > 1:
        growing = {atom}
    else:
        growing ^= {atom}
    return with_growth(sites.smiles, growing)


def choose_growth(field: str) -> None:
    """Show the core that a text field holds, where it can be read; a click on an atom writes into the field."""
    try:
        sites = growth_sites(st.session_state[field])
    except InputError:
        return  # told when molecules are asked for
    svg, places = placed_svg(sites.smiles, width=WIDTH, height=HEIGHT, dark=dark())
    spots = [
        {"atom": atom, "x": places[atom][0], "y": places[atom][1], "growing": atom in sites.growing}
        | {"label": f"atom {atom + 1} {'may grow' if atom in sites.growing else 'stays as it is'}"}
        for atom in sites.possible
    ]
    key = f"growth-{field}"
    _component()(
        key=key,
        data={"svg": svg, "spots": spots},
        height=HEIGHT,
        on_clicked_change=partial(_clicked, field, key, sites),
    )
    st.caption("Click the atoms that may grow: green ones do. As long as none is chosen, all that have a hydrogen do.")


def _clicked(field: str, key: str, sites: Sites) -> None:
    clicked = st.session_state[key].get("clicked")
    if clicked in sites.possible:
        st.session_state[field] = toggled(sites, clicked)

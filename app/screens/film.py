"""Watch it form: the steps from noise to molecule."""

import json

import streamlit as st
from server import server
from viewer import DARK_DRAWING, GROUND_DARK
from views import dark, out_of_bounds

from molgen.errors import MolgenError
from molgen.generation.settings import make_settings
from molgen.generation.trajectory import SIDE, Trajectory, trajectories

SAMPLES = 6
PLAYER = """
<style>body{margin:0;font:15px sans-serif;background:%(ground)s;color:%(text)s}%(more)s#p{height:%(side)dpx}
.c{display:flex;gap:12px;align-items:center;padding:6px}input{flex:1}button{font:inherit;padding:4px 14px}</style>
<div id="p"></div><div class="c"><button id="b">Play</button>
<input id="s" type="range" min="0" max="%(last)d" value="0" aria-label="step"><span id="t"></span></div>
<script>
const pictures=%(pictures)s, p=document.getElementById("p"), s=document.getElementById("s"),
t=document.getElementById("t"), b=document.getElementById("b");
let timer=null;
function show(){p.innerHTML=pictures[s.value];t.textContent="step "+s.value+" of %(last)d";}
function halt(){clearInterval(timer);timer=null;b.textContent="Play";}
function play(){if(timer){halt();return;}if(+s.value>=%(last)d)s.value=0;b.textContent="Pause";
timer=setInterval(()=>{if(+s.value>=%(last)d){halt();return;}s.value=+s.value+1;show();},%(pause)d);}
s.oninput=show;b.onclick=play;show();
</script>"""


@st.cache_data(max_entries=30, show_spinner="Drawing the steps ...")
def made(name: str, seed: int, steps: int) -> list[Trajectory]:
    """How some samples form."""
    model = server().model(name)
    return trajectories(model, make_settings(model, num=SAMPLES, seed=seed, steps=steps))


st.title("Watch a molecule form")
left, right = st.columns([1, 2])
with left:
    name = st.selectbox("Model", server().names(), key="model", bind="query-params")
    try:
        model = server().model(name)
    except MolgenError as error:
        st.error(str(error))
        st.stop()
    seed = st.number_input(
        "Seed", value=7, step=1, key="film", bind="query-params", help="another seed, other molecules"
    )
    most = min(200, model.backend.max_steps)
    usual = min(100, model.backend.default_steps)
    steps = st.number_input("Steps", value=usual, step=1, key=f"film-steps-{name}")
    if out_of_bounds("Seed", seed, 0, 2**32) or out_of_bounds("Steps", steps, 2, most):
        st.stop()
    found = made(name, int(seed), int(steps))
    number = st.radio(
        "Molecule",
        range(len(found)),
        format_func=lambda k: found[k].smiles if not found[k].reason else f"failed: {found[k].reason}",
    )
    st.caption(model.backend.forming)
with right:
    pictures = found[number].pictures
    values = {
        "side": SIDE,
        "last": len(pictures) - 1,
        "pictures": json.dumps(pictures).replace("</", "<\\/"),
        "ground": GROUND_DARK if dark() else "#fff",
        "text": "#eee" if dark() else "#222",
        "more": DARK_DRAWING if dark() else "",
        "pause": max(40, 6_000 // len(pictures)),
    }
    st.iframe(PLAYER % values, height=SIDE + 50)
    st.caption("Every atom stands where it is in the finished molecule; hydrogens are not drawn.")

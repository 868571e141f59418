"""Molecules in 3D: py3Dmol's page with 3Dmol.js inside, and a drawing where the browser cannot run it."""

import contextlib
import importlib
import inspect
import re
import shutil
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path

import py3Dmol

from molgen.data.prepared import cache_folder
from molgen.molecules.drawing import block_svg

STYLES = {
    "sticks": {"stick": {"radius": 0.14}},
    "ball and stick": {"stick": {"radius": 0.12}, "sphere": {"scale": 0.25}},
    "spheres": {"sphere": {}},
    "lines": {"line": {}},
}
HEIGHT = 420


def viewer_page(block: str, style: str, hydrogens: bool) -> str:
    """A page that shows a mol block; nothing of a molecule's name gets into it."""
    lines = block.splitlines()
    block = "\n".join(["", "", "", *lines[3:]])  # a title could hold a script
    script = library()
    view = py3Dmol.view(width="100%", height=HEIGHT, **({"js": "data:,"} if script else {}))
    view.addModel(block, "mol")
    view.setStyle(STYLES[style])
    if not hydrogens:
        view.setStyle({"elem": "H"}, {})
    view.zoomTo()
    page = view._make_html()
    if script:
        # py3Dmol loads its library unless this promise is there
        page = f"<script>{script}</script><script>var $3Dmolpromise = Promise.resolve();</script>{page}"
    drawing = block_svg(block, width=560, height=HEIGHT - 40)
    return (
        f'<style>body{{margin:0;background:#fff;font:14px sans-serif}}</style><div id="drawing">{drawing}</div>{page}'
        '<script>$3Dmolpromise.then(function(){document.getElementById("drawing").remove()});</script>'
    )


@cache
def library() -> str:
    """3Dmol.js of the version that py3Dmol names, from npm's package of it; "" where that cannot be had.

    It is kept in the cache folder of molgen. Without it, py3Dmol's page asks a network for it.
    """
    found = re.search(r"3dmol@([\d.]+)/", str(inspect.signature(py3Dmol.view.__init__)))
    if found is None:
        return ""
    kept = cache_folder() / f"3Dmol-{found[1]}.js"
    if not kept.is_file():
        _fetch(found[1], kept)
    # "</" would end the script element that it is put in
    return kept.read_text(encoding="utf-8").replace("</", "<\\/") if kept.is_file() else ""


def _fetch(version: str, target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(OSError, subprocess.SubprocessError, KeyError):
        command = [npm, "pack", f"3dmol@{version}", "--silent"]
        subprocess.run(command, cwd=folder, check=True, timeout=60, capture_output=True)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            member = archive.extractfile("package/build/3Dmol-min.js")
            assert member is not None
            text = member.read()
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(".new")
        unfinished.write_bytes(text)
        unfinished.replace(target)


def sketcher(key: str) -> str:
    """A drawn structure as SMILES, "" while there is none or where the sketcher is not installed."""
    import streamlit as st

    try:
        module = importlib.import_module("streamlit_ketcher")
    except ImportError:
        st.caption("For a sketcher: pip install streamlit-ketcher. Without it, write SMILES.")
        return ""
    st.caption("Draw, then press Apply below the canvas.")
    return module.st_ketcher(height=430, key=key) or ""

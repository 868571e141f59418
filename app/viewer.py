"""Molecules in 3D: py3Dmol's page with 3Dmol.js inside, and a drawing where the browser cannot run it."""

import base64
import contextlib
import hashlib
import importlib
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
GROUND_DARK = "#171614"  # as .streamlit/config.toml has it
# for drawings on white that a page in a frame holds
DARK_DRAWING = "svg rect{fill:none!important}svg{filter:invert(1) hue-rotate(180deg)}"
# of 3Dmol.js; a newer one needs its own hash: openssl dgst -sha384 -binary build/3Dmol-min.js | base64
VERSION = "2.5.5"
SHA384 = "OsczYbldvrHgslr9fFp/i4GiLSeuw9l+QIlv99ITw8soOwXcoGeflFMLg+CU/X1d"
NETWORK = f"https://cdn.jsdelivr.net/npm/3dmol@{VERSION}/build/3Dmol-min.js"


def viewer_page(block: str, style: str, hydrogens: bool, dark: bool = False) -> str:
    """A page that shows a mol block, on a dark ground or a white one; nothing of a molecule's name gets into it."""
    lines = block.splitlines()
    block = "\n".join(["", "", "", *lines[3:]])  # a title could hold a script
    # py3Dmol loads its own library unless the promise of it is there
    view = py3Dmol.view(width="100%", height=HEIGHT, js="data:,")
    view.addModel(block, "mol")
    view.setStyle(STYLES[style])
    if not hydrogens:
        view.setStyle({"elem": "H"}, {})
    ground = GROUND_DARK if dark else "#ffffff"
    view.setBackgroundColor(ground)
    view.zoomTo()
    page = view._make_html()
    drawing = block_svg(block, width=560, height=HEIGHT - 40)
    return (
        f"<style>body{{margin:0;background:{ground};font:14px sans-serif}}{DARK_DRAWING if dark else ''}</style>"
        f'<div id="drawing">{drawing}</div>'
        f"{_script()}{page}"
        '<script>$3Dmolpromise.then(function(){document.getElementById("drawing").remove()});</script>'
    )


def _script() -> str:
    """3Dmol.js for a page: from the cache, or from a network where the browser refuses any other file.

    The promise is what py3Dmol's page waits for: where the library did not come, the drawing stays.
    """
    script = library()
    source = f">{script}" if script else f' src="{NETWORK}" integrity="sha384-{SHA384}" crossorigin="anonymous">'
    promise = 'window.$3Dmol ? Promise.resolve() : Promise.reject(new Error("no 3Dmol.js"))'
    return f"<script{source}</script><script>var $3Dmolpromise = {promise};</script>"


@cache
def library() -> str:
    """3Dmol.js from npm's package of it, of one version and with its known hash; "" where that cannot be had.

    It is kept in the cache folder of molgen; a file there that is not the one expected is fetched again.
    """
    kept = cache_folder() / f"3Dmol-{VERSION}.js"
    for _ in range(2):
        content = kept.read_bytes() if kept.is_file() else b""
        if _is_expected(content):
            # "</" would end the script element that it is put in
            return content.decode("utf-8").replace("</", "<\\/")
        _fetch(kept)
    return ""


def _is_expected(content: bytes) -> bool:
    return base64.b64encode(hashlib.sha384(content).digest()).decode("ascii") == SHA384


def _fetch(target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(OSError, subprocess.SubprocessError, KeyError):
        command = [npm, "pack", f"3dmol@{VERSION}", "--silent"]
        subprocess.run(command, cwd=folder, check=True, timeout=60, capture_output=True)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            member = archive.extractfile("package/build/3Dmol-min.js")
            assert member is not None
            content = member.read()
        if not _is_expected(content):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(".new")
        unfinished.write_bytes(content)
        unfinished.replace(target)


def sketcher(key: str, at_first: str = "") -> str:
    """A drawn structure as SMILES, "" while there is none or where the sketcher is not installed."""
    import streamlit as st

    try:
        module = importlib.import_module("streamlit_ketcher")
    except ImportError:
        st.caption("For a sketcher: pip install streamlit-ketcher. Without it, write SMILES.")
        return ""
    st.caption("Draw, then press Apply below the canvas.")
    return module.st_ketcher(at_first, height=430, key=key) or ""

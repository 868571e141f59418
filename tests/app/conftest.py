"""What the tests of the app's pages share."""

import sys

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.pages import APP, made, seen_as
from tests.conftest import SMILES


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A small reference, so that no data set is prepared, and a server that starts anew."""
    folder = tmp_path_factory.mktemp("app")
    known = folder / "known.smi"
    known.write_text("".join(f"{smiles}\n" for smiles in [*SMILES, "CCC", "CCCC", "c1ccccc1", "CCOC"]))
    patch = pytest.MonkeyPatch()
    patch.setenv("MOLGEN_APP_REFERENCE", str(known))
    patch.setenv("MOLGEN_APP_SETS", str(folder / "sets.sqlite"))
    patch.setenv("MOLGEN_APP_MAX_MOLECULES", "200")
    patch.syspath_prepend(str(APP))
    import streamlit as st

    st.cache_resource.clear()
    yield
    from server import server

    for job in server().jobs.values():  # none works on while the interpreter ends
        server().queue.stop(job)
        job.wait(60)
    st.cache_resource.clear()
    patch.undo()
    for path in APP.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture(scope="module")
def looked(environment) -> AppTest:
    app = made(num=40)
    app.switch_page("screens/molecules.py").run()
    return seen_as(app, "Table")

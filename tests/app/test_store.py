"""Sets outlive the server: they are on the disk as soon as they are there, under their own key alone."""

import os
import subprocess
import sys

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from tests.app.pages import APP, made, molecule_set, opened, press, sets_of, shown, texts
from tests.app.test_fields import tick

pytestmark = pytest.mark.usefixtures("environment")


def started_anew() -> None:
    """The server ends, and another one begins."""
    import streamlit as st

    st.cache_resource.clear()


def test_a_new_server_finds_sets_and_basket(looked: AppTest):
    before = molecule_set(looked)
    app = opened("molecules", sets=before.key, view="Table")
    tick(app, 0, 1)
    press(app, "Put 2 in the basket")
    named = app.query_params["sets"]
    put_aside = sets_of(app)[-1].frame()["smiles"].tolist()
    started_anew()
    again = opened("molecules", sets=named, view="Table")
    first, basket = sets_of(again)
    assert first is not before and first.label == before.label and first.command == before.command
    assert first.counts() == before.counts() and first.drawn_for == before.drawn_for == 40
    assert first.reasons == before.reasons and first.novel_to == before.novel_to
    pd.testing.assert_frame_equal(first.frame(), before.frame(), check_dtype=False)
    assert shown(again) == shown(opened("molecules", sets=before.key, view="Table"))
    assert basket.label == "Basket" and basket.frame()["smiles"].tolist() == put_aside
    next(button for button in again.button if button.key == f"set-{basket.key}").click().run()
    tick(again, 0)
    press(again, "Take 1 out of the basket")
    started_anew()
    assert sets_of(opened("molecules", sets=named, view="Table"))[1].frame()["smiles"].tolist() == put_aside[1:]


def test_names_last_and_what_is_removed_is_gone():
    app = made(num=6)
    key = app.session_state["sets"][0]
    next(box for box in app.text_input if box.key == f"name-{key}").set_value("my isomers").run()
    started_anew()
    again = opened(sets=key)
    assert sets_of(again)[0].label == "my isomers"
    from server import server

    server().queue.is_here = lambda session: False  # nobody else looks at it
    next(button for button in again.button if button.key == f"remove-{key}").click().run()
    started_anew()
    assert "no longer has" in "\n".join(box.value for box in opened(sets=key).warning)


def test_a_set_is_whole_or_not_there_where_the_server_is_killed(tmp_path):
    """A process that puts sets down one after the other is killed; every set that is there is whole."""
    script = f"""
import sys
sys.path.insert(0, {str(APP)!r})
import pandas as pd
from references import Known
from jobs import MoleculeSet
from store import Store
store = Store(__import__("pathlib").Path({str(tmp_path / "sets.sqlite")!r}))
for number in range(10_000):
    job = MoleculeSet("set", 1, Known("qm9", lambda tell: None))
    job.key, job.state = f"key{{number}}", "done"
    job.whole = pd.DataFrame({{"smiles": ["C" * (number % 9 + 1)] * 2000, "valid": True}})
    store.save(job)
    print(number, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(12)]
        process.kill()
    from references import References
    from store import Store

    store = Store(tmp_path / "sets.sqlite")
    references = References("", 1)
    for number in told:
        found = store.load(f"key{number}", references)
        assert found is not None and found.frame()["smiles"].tolist() == ["C" * (number % 9 + 1)] * 2000
    assert store.load("key9999", references) is None


def test_what_is_removed_while_it_is_made_is_not_put_down():
    from jobs import MoleculeSet
    from references import Known
    from server import server

    job = MoleculeSet("set", 1, Known("qm9", lambda tell: None))
    job.whole = pd.DataFrame({"smiles": ["C"], "valid": [True]})
    job.work, job.core = lambda: None, "C1CC1"
    server().queue.launch, launch = lambda job, run: run(), server().queue.launch
    try:
        server().queue.start(job, "somebody")
        kept = server().store.load(job.key, server().references)
        assert kept is not None and kept.core == "C1CC1" and kept.state == "done"
        server().store.remove(job.key)
        job.state = "waiting"
        server().queue.launch = lambda job, run: (server().jobs.pop(job.key), run())
        server().queue.start(job, "somebody")
        assert server().store.load(job.key, server().references) is None
    finally:
        server().queue.launch = launch


@pytest.mark.parametrize("column", ["about", "molecules"])
def test_a_damaged_set_is_told_and_not_there(tmp_path, caplog, column: str):
    import sqlite3

    from jobs import MoleculeSet
    from references import Known, References
    from store import Store

    job = MoleculeSet("set", 1, Known("qm9", lambda tell: None))
    job.whole = pd.DataFrame({"smiles": ["C"], "valid": [True]})
    store = Store(tmp_path / "sets.sqlite")
    store.save(job)
    with sqlite3.connect(store.path) as connection:
        connection.execute(f"UPDATE sets SET {column} = CAST('PAR1 no' AS BLOB)")
    assert store.load(job.key, References("", 1)) is None
    assert "is damaged" in caplog.text


def test_old_sets_and_those_above_the_limit_go(tmp_path, monkeypatch):
    import store as app
    from jobs import MoleculeSet
    from references import Known, References

    now = [1e9]
    monkeypatch.setattr(app.time, "time", lambda: now[0])
    store, references = app.Store(tmp_path / "sets.sqlite"), References("", 1)

    def put_down(key: str) -> None:
        job = MoleculeSet("set", 1, Known("qm9", lambda tell: None))
        job.key, job.state, job.whole = key, "done", pd.DataFrame({"smiles": ["C"], "valid": [True]})
        store.save(job)
        now[0] += 86_400

    def there(*keys: str) -> list[str]:
        return [key for key in keys if store.load(key, references) is not None]

    put_down("a")
    put_down("b")
    now[0] += 86_400 * (app.KEPT_DAYS - 2)
    assert there("b") == ["b"]  # has been opened, and counts as new
    now[0] += 86_400
    put_down("c")
    assert there("a", "b", "c") == ["b", "c"]
    monkeypatch.setattr(app, "MOST_BYTES", 1)
    put_down("d")
    assert there("b", "c", "d") == []
    monkeypatch.setattr(app, "MOST_BYTES", 10_000)
    for key in "efghijkl":
        put_down(key)
    left = there(*"efghijkl")
    assert 1 < len(left) < 8 and left == list("efghijkl")[-len(left) :]


def test_without_a_place_for_sets_the_app_works(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MOLGEN_APP_SETS", str(tmp_path / "file" / "sets.sqlite"))
    started_anew()
    app = made(num=6)
    assert "The same molecules" in texts(app) and "sets are not kept" in caplog.text
    started_anew()


def test_a_note_on_a_molecule_stays_with_it():
    app = opened("molecule", smiles="c1ccccc1O")
    press(app, "To the basket")
    box = next(area for area in app.text_area if area.label == "Note on this molecule")
    box.set_value("ask for a sample").run()
    named = app.query_params["sets"]
    started_anew()
    look = opened("molecules", sets=named)
    assert "ask for a sample" in texts(look)
    look = opened("molecules", sets=named, view="Table")
    assert look.dataframe[0].value["note"].tolist() == ["ask for a sample"]
    again = opened("molecule", sets=named, smiles="Oc1ccccc1")
    assert any(area.value == "ask for a sample" for area in again.text_area)
    press(again, "Out of the basket")
    assert molecule_set(opened(sets=named)).frame().empty

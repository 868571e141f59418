"""Searches in the app: an objective is edited, searched for, stopped, gone on with, and found again."""

import os
import signal
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from tests.app.pages import APP, fine, molecule_set, opened, press, texts, until_done
from tests.app.test_store import started_anew

pytestmark = pytest.mark.usefixtures("environment")
MODEL = "qm9-digress"
FILE = """
mean = "arithmetic"

[[component]]
property = "mw"
target = {value = 100, soft = 12.5}
weight = 2.5

[[component]]
has = ["[OX2H]", "[#7]"]

[[component]]
has = ["C=O"]
name = "carbonyl"
penalty = true

[[component]]
alerts = ["PAINS", "BRENK"]
range = {low = 0, high = 1, soft = 1}

[[component]]
unlike = ["CCO"]

[[component]]
unseen_rings = "model"

[[component]]
novel = "model"
weight = 0.5
"""


def improved(**values) -> AppTest:
    """The page with a small model and a small budget, ready to search."""
    app = opened("improve")
    app.selectbox(key="search-model").set_value(MODEL).run()
    fields = {"budget": 12, "batch": 4, "search-seed": 3, f"search-steps-{MODEL}": 4, **values}
    for key, value in fields.items():
        app.number_input(key=key).set_value(value)
    return fine(app.run())


def searched(**values) -> AppTest:
    return until_done(press(improved(**values), "Search"))


def part(app: AppTest, boxes, name: str, place: int = 0):
    """A field of the component at a place."""
    key = f"part-{app.session_state['parts'][place]}-{name}"
    return next(box for box in boxes if box.key == key)


def with_file(app: AppTest, text: str, name: str = "objective.toml") -> AppTest:
    uploader = next(box for box in app.file_uploader if "TOML" in box.label)
    uploader.set_value((name, text.encode(), "text/plain")).run()
    return press(app, "Put it into the editor")


def toml(app: AppTest) -> str:
    return next(box.value for box in app.code if box.value.startswith("mean"))


def asked(job) -> list[str]:
    """The molecules of a search in the order asked."""
    with sqlite3.connect(job.folder / "run" / "search.sqlite") as log:
        return [smiles for (smiles,) in log.execute("SELECT smiles FROM asked ORDER BY number")]


def more(app: AppTest, count: int) -> AppTest:
    next(box for box in app.number_input if box.label == "Molecules in all").set_value(count).run()
    return until_done(press(app, "Go on"))


def test_the_example_runs_and_gives_a_set():
    app = searched()
    job = molecule_set(app)
    assert job.state == "done" and not job.error
    frame = job.frame()
    assert len(frame) == 12 and frame["valid"].all() and frame["smiles"].is_unique
    assert frame["score"].is_monotonic_decreasing and frame["score"].between(0, 1).all()
    assert asked(job) == frame.sort_values("row")["smiles"].tolist()
    assert frame["value of qed"].to_numpy() == pytest.approx(frame["qed"].to_numpy(float), abs=1e-6)
    assert job.curve["best"].iloc[-1] == frame["score"][0]
    assert app.metric[0].value == f"{frame['score'][0]:.3f}"
    assert f"--model {MODEL} --budget 12 --batch 4 --steps 4 --seed 3" in job.command and job.command in texts(app)
    assert sorted(job.files()) == ["best.csv", "molecules.csv", "report.html"]
    app.switch_page("screens/molecules.py").run()
    shown = texts(fine(app))
    assert "score\u00a00." in shown and "**12** of 12 molecules" in shown and job.label == "search qed, logp"


def test_the_values_of_the_components_go_along():
    """Into the table, the cards, the order, the files, and a project file."""
    from files import csv_bytes
    from jobs import values_of
    from project import Opening, project_bytes
    from server import server

    app = improved()
    job = molecule_set(until_done(press(with_file(app, FILE), "Search")))
    names = values_of(job.frame())
    assert "value of carbonyl" in names and len(names) == len(job.objective.components)
    look = fine(opened("molecules", sets=job.key, view="Table", sort="value of carbonyl"))
    assert look.selectbox(key="sort").value == "value of carbonyl"
    values = look.dataframe[0].value["value of carbonyl"]
    assert set(values) <= {0, 1} and values.is_monotonic_increasing
    cards = fine(opened("molecules", sets=job.key, view="Cards"))
    assert any("carbonyl\u00a0" in caption.value for caption in cards.caption)
    assert b"value of carbonyl" in csv_bytes(job.frame()).splitlines()[0]
    opening = Opening("p.json.gz", project_bytes([job]), 5, 1_000, server().references, 1)
    opening.run()
    assert opening.error == ""
    (back,) = opening.sets
    pd.testing.assert_frame_equal(back.frame()[names], job.frame()[names])


def test_a_search_goes_on_with_a_larger_budget_and_scores_nothing_twice():
    app = searched()
    first = asked(molecule_set(app))
    key = molecule_set(app).key
    more(app, 20)
    job = molecule_set(app)
    assert job.key == key and job.state == "done" and job.size == 20
    both = asked(job)
    assert both[:12] == first and len(set(both)) == 20
    assert job.frame()["row"].sort_values().tolist() == list(range(1, 21))
    app = improved(budget=20)  # the same in one go
    assert asked(molecule_set(until_done(press(app, "Search")))) == both


def test_a_stopped_search_keeps_what_was_done_and_goes_on(monkeypatch):
    import searching

    judge = searching.Searching._judge

    def stopping(job, search) -> None:
        judge(job, search)
        if len(job.frame()) == 8:
            job.stop.set()

    monkeypatch.setattr(searching.Searching, "_judge", stopping)
    app = searched()
    job = molecule_set(app)
    assert job.state == "stopped" and "stopped; what was scored is kept" in texts(app)
    first = asked(job)
    assert job.size == 8 == len(first) and sorted(job.files()) == ["best.csv", "molecules.csv", "report.html"]
    monkeypatch.undo()
    until_done(press(app, "Go on"))
    job = molecule_set(app)
    assert job.state == "done" and job.size == 12
    assert asked(job)[:8] == first and len(set(asked(job))) == 12


def test_the_time_limit_stops_a_search(monkeypatch):
    from server import server

    monkeypatch.setattr(server(), "max_minutes", 0.0)
    app = searched()
    job = molecule_set(app)
    assert job.state == "stopped" and "the most that this server allows" in texts(app)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("kind", "has", "should be SMARTS"),
        ("kind", "alerts", "names of alert sets"),
        ("property", "tpsa", ""),
    ],
)
def test_another_kind_is_begun_and_what_lacks_is_told(name: str, value: str, told: str):
    app = opened("improve")
    part(app, app.selectbox, name).set_value(value).run()
    if told:
        assert told in fine(app).error[0].value
        assert not any(button.label == "Search" for button in app.button)
    else:
        assert not fine(app).error  # a range is there, from known molecules
        assert "range = {low = " in toml(app).split('property = "tpsa"')[1]


def test_kinds_of_optional_packages():
    app = opened("improve")
    part(app, app.selectbox, "kind").set_value("buyable").run()
    assert "7 % of all others" in texts(fine(app)) and "buyable = true" in toml(app)
    part(app, app.selectbox, "kind").set_value("admet").run()
    assert "range needs low" in fine(app).error[0].value
    part(app, app.selectbox, "endpoint").set_value("hERG").run()
    part(app, app.selectbox, "curve").set_value("sigmoid").run()
    for name, value in (("sigmoid-zero", 0.6), ("sigmoid-one", 0.1)):
        part(app, app.number_input, name).set_value(value).run()
    assert not fine(app).error and 'admet = "hERG"\nsigmoid = {zero = 0.6, one = 0.1}' in toml(app)
    again = with_file(opened("improve"), toml(app))
    assert toml(again) == toml(app)


def test_an_optional_package_that_is_missing_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "molbloom", None)
    app = with_file(opened("improve"), "[[component]]\nbuyable = true")
    assert "buyable: the package molbloom is not installed: pip install" in app.error[0].value


def test_what_is_wrong_is_told_at_the_component():
    app = opened("improve")
    part(app, app.selectbox, "kind").set_value("has").run()
    part(app, app.text_input, "texts").set_value("c1cc(").run()
    assert [box.value for box in fine(app).error] == ["has: 'c1cc(' is not SMARTS"]
    part(app, app.text_input, "texts").set_value("c1ccccc1 [OX2H]").run()
    assert not fine(app).error and 'has = ["c1ccccc1", "[OX2H]"]' in toml(app)
    part(app, app.text_input, "texts", 2).set_value("CC(").run()
    assert "cannot be a reference" in fine(app).error[0].value
    press(app, "Add a component")
    app = opened("improve")
    part(app, app.number_input, "range-low", 1).set_value(5).run()
    assert "range: low should be at most high, got 5 and 3" in fine(app).error[0].value
    for place in range(3):
        part(app, app.toggle, "penalty", place).set_value(True)
    part(app, app.number_input, "range-low", 1).set_value(1).run()
    assert "at least one component should have a weight above 0" in fine(app).error[0].value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('function = "os:system"', "function: code and files of your own are not run here"),
        ('program = "touch {mark}"', "program: code and files of your own are not run here"),
        ('onnx = "model.onnx"', "onnx: code and files of your own are not run here"),
        ('novel = "/etc/passwd"', 'can only be "model" here'),
        ('unseen_rings = "known.smi"', 'can only be "model" here'),
        ("has = 1", "should be SMARTS"),
        ("component = 1 2", "is not TOML"),
    ],
)
def test_own_code_files_and_nonsense_are_refused(text: str, told: str, tmp_path):
    app = opened("improve")
    before = toml(app)
    with_file(app, f"[[component]]\n{text.format(mark=tmp_path / 'mark')}")
    assert told in app.error[0].value and "objective.toml" in app.error[0].value
    assert toml(app) == before and not (tmp_path / "mark").exists()


def test_a_plan_with_own_code_is_no_search():
    """Whatever the editor would let through."""
    from searching import Plan
    from server import server

    from molgen.errors import InputError

    with pytest.raises(InputError, match="not run here"):
        server().search(Plan(MODEL, '[[component]]\nprogram = "true"', 12, 4, 4, 3))


def test_an_objective_comes_back_from_the_editor_as_it_went_in():
    app = with_file(opened("improve"), FILE)
    assert not app.error
    assert tomllib.loads(toml(app)) == tomllib.loads(FILE)
    again = with_file(opened("improve"), toml(app))
    assert toml(again) == toml(app)
    again.switch_page("screens/generate.py").run()
    again.switch_page("screens/improve.py").run()
    assert toml(fine(again)) == toml(app)  # the page finds its fields as it left them


def test_components_of_one_kind_get_names_and_can_be_removed():
    app = opened("improve")
    for _ in range(2):
        press(app, "Add a component")
    names = [one.get("name") for one in tomllib.loads(toml(app))["component"]]
    assert names == [None, None, None, None, "tpsa 2"]
    for _ in range(4):
        number = app.session_state["parts"][0]
        fine(app.button(key=f"remove-{number}").click().run())
    assert [one["property"] for one in tomllib.loads(toml(app))["component"]] == ["tpsa"]
    fine(app.button(key=f"remove-{app.session_state['parts'][0]}").click().run())
    assert "needs components" in app.error[0].value


@pytest.fixture
def with_plain(plain_model, monkeypatch):
    """An app that was started with a model of the user's own, which takes no core."""
    from onward import changers

    monkeypatch.setenv("MOLGEN_APP_MODEL", str(plain_model))
    changers.clear()
    yield str(plain_model)
    changers.clear()


def test_a_core_is_kept_or_refused(with_plain):
    app = improved()
    assert not app.text_input(key="search-core").disabled
    app.selectbox(key="search-model").set_value(with_plain).run()
    assert app.text_input(key="search-core").disabled
    app.selectbox(key="search-model").set_value("moses-digress").run()
    assert not app.text_input(key="search-core").disabled
    app.text_input(key="search-core").set_value("c1cc(").run()
    press(app, "Search")
    assert "core 'c1cc('" in app.error[0].value and app.session_state["sets"] == []
    app.text_input(key="search-core").set_value("").run()
    app.number_input(key="budget").set_value(201).run()
    assert "from 1 to 200 is allowed" in fine(app).error[0].value


def test_a_search_of_a_killed_server_is_found_and_goes_on(tmp_path, monkeypatch):
    """A process that searches is killed; a server finds what was done, under the address of the search."""
    sets = tmp_path / "sets.sqlite"
    monkeypatch.setenv("MOLGEN_APP_SETS", str(sets))
    script = f"""
import sys
sys.path.insert(0, {str(APP)!r})
from objectives import EXAMPLE, to_toml
from searching import Plan, Searching
from server import Server
place = Server()
job = place.search(Plan({MODEL!r}, to_toml("geometric", EXAMPLE), 60, 4, 4, 3))
place.queue.jobs[job.key] = job
keep = job.keep
job.keep = lambda one: (keep(one), print(job.key, len(job.frame()), flush=True))
job.run()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            key, count = line.split()
            if int(count) >= 8:
                break
        process.send_signal(signal.SIGKILL)
    started_anew()
    app = opened("improve", sets=key)
    job = molecule_set(app)
    first = asked(job)
    assert job.state == "stopped" and "the server was ended while this search ran" in app.error[0].value
    assert 8 <= job.size <= len(first) < 60 and job.curve["calls"].iloc[-1] == job.size
    assert "--budget 60 --batch 4 --steps 4 --seed 3 --output run" in texts(app)
    more(app, len(first) + 4)
    job = molecule_set(app)
    assert job.key == key and job.state == "done" and job.size == len(first) + 4
    assert asked(job)[: len(first)] == first and len(set(asked(job))) == job.size
    started_anew()
    assert molecule_set(opened("improve", sets=key)).size == len(first) + 4
    monkeypatch.undo()
    started_anew()


def test_the_folder_of_a_removed_search_goes():
    from server import server

    app = searched()
    job, folders = molecule_set(app), Path(server().searches)
    assert job.folder.is_dir() and job.folder.parent == folders
    server().tidy()
    assert job.folder.is_dir()
    started_anew()  # no longer at hand, but kept
    server().tidy()
    assert job.folder.is_dir()
    app = opened("improve", sets=job.key)
    server().queue.is_here = lambda session: False  # nobody else looks at it
    next(button for button in app.button if button.key == f"remove-{job.key}").click().run()
    server().tidy()
    assert not job.folder.exists()


def test_a_search_that_cannot_be_kept_says_so(tmp_path, monkeypatch):
    from server import server

    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(server(), "searches", tmp_path / "file" / "searches")
    job = molecule_set(searched())
    assert job.state == "failed" and "cannot be kept on the disk" in job.error


def test_the_first_page_leads_to_it():
    links = {link.proto.label: link.proto.page for link in opened().get("page_link")}
    assert links["Search for high scores"] == "improve"

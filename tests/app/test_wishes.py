"""What a visitor asks for: conditions, filters, the command line that does the same, and how long it will take."""

import shlex

import pytest

from molgen.cli import cli
from molgen.generation.settings import make_settings
from molgen.models.checkpoints import load_checkpoint
from tests.app.pages import fine, molecule_set, opened, press, sets_of, texts, until_done

pytestmark = pytest.mark.usefixtures("environment")


def test_conditions_and_filters_are_asked_for_and_shown_as_a_command():
    app = opened()
    app.number_input(key="num").set_value(20)
    app.number_input(key="seed").set_value(3)
    app.number_input(key="steps-qm9-digress").set_value(10)
    app.text_input(key="size").set_value("7:8")
    app.selectbox(key="keeps").set_value("fragment")
    next(toggle for toggle in app.toggle if toggle.key == "known_rings").set_value(True).run()
    until_done(press(fine(app), "Make molecules"))
    job = molecule_set(app)
    counts, frame = job.counts(), job.frame()
    assert counts["requested"] == 20 and counts["passed"] <= counts["unique"] <= counts["valid"]
    assert frame["heavy_atoms"].between(7, 8).all() and frame["smiles"].nunique() == counts["passed"]
    assert job.drawn_for is None and job.size == len(frame)
    words = "--size 7:8 --profile fragment --known-rings --output molecules.csv"
    assert app.code[0].value.endswith(words) and f"of {counts['unique']} unique left after" in texts(app)


def test_a_wrong_wish_is_told(monkeypatch):
    app = opened()
    app.text_input(key="size").set_value("40").run()
    press(app, "Make molecules")
    assert "size 40" in app.error[0].value and app.session_state["sets"] == []
    app.text_input(key="size").set_value("").run()
    app.text_input(key="lead").set_value("CCOC(C").run()
    press(app, "Make molecules")
    assert "CCOC(C" in app.error[0].value


def test_a_salt_is_a_lead_without_its_counter_ion():
    app = opened()
    assert "parent" not in {box.key for box in app.toggle}
    app.text_input(key="lead").set_value("CCOC(=O)CN.Cl").run()
    assert app.toggle(key="parent").value
    app.toggle(key="parent").set_value(False).run()
    press(app, "Make molecules")
    assert "a salt can be standardised" in app.error[0].value
    app.toggle(key="parent").set_value(True).run()
    app.number_input(key="num").set_value(5)
    app.number_input(key="steps-qm9-digress").set_value(5).run()
    until_done(press(app, "Make molecules"))
    assert molecule_set(app).settings.like == "CCOC(=O)CN"


def test_fields_follow_what_the_model_can_do(plain_model, monkeypatch):
    monkeypatch.setenv("MOLGEN_APP_MODEL", str(plain_model))
    app = opened(model="qm9-edge")
    assert {"formula", "atoms"} <= {box.key for box in app.text_input}
    assert "lead" not in {box.key for box in app.text_input}
    assert "no analogues" in texts(app) and "no core" not in texts(app)
    assert "no formula; others do" in texts(opened(model="qm9-nvdiff"))
    assert "no core, no property targets; others do" in texts(opened(model=str(plain_model)))
    told = opened(model="moses-digress")
    told.multiselect(key="targets").set_value(["mw"]).run()
    assert told.slider(key="aim-mw").value == (258.325, 346.408)  # what most training molecules have
    assert "core" in {box.key for box in told.text_input}


def test_the_ends_of_a_scale_are_open():
    from making import Generation

    def aiming():
        app = opened(model="moses-digress", num="1")
        app.number_input(key="steps-moses-digress").set_value(1)
        app.multiselect(key="targets").set_value(["mw"]).run()
        return fine(app)

    def asked(ends: tuple[float, float]) -> str:
        app = aiming()
        app.slider(key="aim-mw").set_value(ends).run()
        job = molecule_set(press(app, "Make molecules"))
        assert isinstance(job, Generation)
        job.stop.set()
        return " ".join(job.settings.targets)

    scale = aiming().slider(key="aim-mw")
    low, high = scale.min, scale.max
    assert asked((low, 300.0)) == "mw=:300"
    assert asked((300.0, high)) == "mw=300:"
    assert asked((300.0, 300.0)) == "mw=300"
    assert asked((280.0, 320.0)) == "mw=280:320"
    assert asked((low, high)) == ""


def test_a_scale_spans_what_is_there():
    from wishes import span

    from molgen.data.dataset import TargetStatistics

    assert span(TargetStatistics("qed", 0.8, 0.1, 0.6, 0.93)) == (0.5, 1.0, 0.01)
    assert span(TargetStatistics("hbd", 1.1, 0.8, 0, 3)) == (0, 4, 1)
    low, high, step = span(TargetStatistics("logp", 2.4, 0.9, 0.7, 3.8))
    assert low < 0 < high and step == 0.1


def test_a_click_on_an_atom_writes_an_attachment_point():
    from picker import toggled

    from molgen.generation.cores import growth_sites

    text = toggled(growth_sites("c1ccncc1"), 0)
    assert text == "c1([*:1])ccncc1"
    text = toggled(growth_sites(text), 4)
    assert growth_sites(text).growing == [0, 4]
    assert toggled(growth_sites(toggled(growth_sites(text), 0)), 4) == "c1ccncc1"
    core = opened(model="moses-digress", core="c1ccncc1")
    assert "Click the atoms that may grow" in texts(core)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("qm9-digress", {"num": 5, "like": "CCOCC", "similarity": "0.3:0.9", "seed": 1}),
        ("moses-digress", {"unique": 5, "core": "c1ccc([*:1])cc1", "targets": ["mw=250:350"], "guidance": 1.5}),
        ("qm9-edge", {"num": 5, "atoms": "C3 C2 C2 O1 C1 C1"}),
    ],
)
def test_the_command_line_has_the_same_settings(name, wanted):
    from making import command_line

    model = load_checkpoint(name)
    settings = make_settings(model, **wanted).seeded()
    _, command, *words = shlex.split(command_line(model, settings))
    context = cli.get_command(None, command).make_context(command, words)
    given = {**context.params, "targets": list(context.params["targets"])}
    for key in ("model_name", "output", "overwrite", "workers", "engine", "address", "config", "likelihood"):
        given.pop(key, None)
    assert make_settings(model, **given) == settings


def test_no_time_left_is_told_before_it_can_be_known():
    from pace import duration, pace

    assert pace(0, 300, 0.0) == "0 of 300"
    assert pace(1, 300, 4.3) == "1 of 300"  # 1,280 s left, it would seem
    assert pace(61, 300, 15.0) == "61 of 300, 4.1/s, about 60 s left"
    assert pace(15, 300, 600.0) == "15 of 300, 40 s each, about 3.2 h left"
    assert pace(300, 300, 20.0) == "300 of 300, 15/s"
    assert [duration(seconds) for seconds in (1, 58, 61, 1_000)] == ["5 s", "60 s", "1 min", "17 min"]


def test_an_effort_takes_the_place_of_the_steps():
    app = opened(effort="fast")
    steps = next(box for box in app.number_input if box.key == "steps-qm9-digress")
    assert steps.disabled
    assert "20 evaluations: valid 97.20 %" in texts(app)
    app = until_done(press(app, "Make molecules"))
    assert sets_of(app)[0].settings.steps == 20

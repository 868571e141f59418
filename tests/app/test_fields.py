"""What a visitor ticks and types: ticks belong to molecules, numbers out of bounds are told."""

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from tests.app.pages import fine, molecule_set, opened, press, sets_of, shown, texts

pytestmark = pytest.mark.usefixtures("environment")


def tick(app: AppTest, *positions: int) -> AppTest:
    key = app.dataframe[0].key
    app.session_state[key] = {"selection": {"rows": list(positions), "columns": [], "cells": []}}
    return fine(app.run())


def ticks(app: AppTest) -> list[str]:
    """The molecules whose rows are ticked in the table."""
    rows = app.session_state[app.dataframe[0].key]["selection"]["rows"]
    return [shown(app)[row] for row in rows]


def test_ticks_belong_to_molecules_through_sort_pages_and_filter(looked: AppTest, monkeypatch):
    app = opened("molecules", sets=looked.session_state["sets"][0], view="Table")
    first, _, third = shown(app)[:3]
    tick(app, 0, 2)
    assert ticks(app) == [first, third]
    app.selectbox(key="sort").set_value("qed").run()
    assert shown(fine(app))[0] != first or shown(app)[2] != third
    assert sorted(ticks(app)) == sorted([first, third])
    app.text_input(key="smarts").set_value("[Br]").run()  # hides all
    app.text_input(key="smarts").set_value("").run()
    assert sorted(ticks(app)) == sorted([first, third])
    tick(app, shown(app).index(first))  # the other is unticked
    app.selectbox(key="sort").set_value("as made").run()
    assert ticks(fine(app)) == [first]
    press(app, "Put 1 in the basket")
    assert [len(one.frame()) for one in sets_of(app)[1:]] == [1] and sets_of(app)[1].frame()["smiles"][0] == first
    press(app, "Untick all")
    assert ticks(app) == []


def test_ticks_stay_when_the_page_is_turned(looked: AppTest, monkeypatch):
    job = molecule_set(looked)
    rows = [job.frame().iloc[[0]].assign(row=number) for number in range(120)]
    monkeypatch.setattr(job, "whole", pd.concat(rows, ignore_index=True))
    app = opened("molecules", sets=looked.session_state["sets"][0], view="Table")
    next(toggle for toggle in app.toggle if toggle.key == "once").set_value(False).run()
    tick(app, 1, 4)
    app.number_input(key="page").set_value(2).run()
    assert ticks(fine(app)) == []
    tick(app, 7)
    assert "2 of those selected are on other pages" in texts(app)
    app.number_input(key="page").set_value(1).run()
    assert app.session_state[app.dataframe[0].key]["selection"]["rows"] == [1, 4]
    assert app.session_state[f"ticks-{job.key}"] == {1, 4, 57}
    assert app.query_params["ticks"] == "1,4,57"
    other = opened("molecules", sets=job.key, ticks="2", once="false", view="Table")  # a reload, or a colleague
    assert other.session_state[other.dataframe[0].key]["selection"]["rows"] == [2]
    app.number_input(key="page").set_value(0).run()
    assert "Page: 0 is out of bounds; from 1 to 3 is allowed" in fine(app).error[0].value


def test_numbers_out_of_bounds_are_told_and_start_nothing():
    app = opened()
    for key, value, allowed in [("num", 0, "1 to 200"), ("num", -1, "1 to 200"), ("seed", -1, "0 to 4,294,967,296")]:
        app.number_input(key=key).set_value(value).run()
        press(app, "Make molecules")
        assert f"{value} is out of bounds; from {allowed} is allowed" in app.error[0].value
        assert app.session_state["sets"] == []
        app.number_input(key=key).set_value(7).run()
        assert not fine(app).error

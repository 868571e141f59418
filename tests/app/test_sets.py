"""What belongs to a visitor: sets that are named, removed and shared, the basket, fields that keep what they held."""

import pytest
from streamlit.testing.v1 import AppTest

from tests.app.pages import fine, molecule_set, opened, press, sets_of, shown, texts
from tests.app.test_fields import tick

pytestmark = pytest.mark.usefixtures("environment")


def field(boxes, key: str):
    return next(box for box in boxes if box.key == key)


def test_the_basket_is_a_set_that_a_reload_finds(looked: AppTest):
    app = opened("molecules", sets=looked.session_state["sets"][0], view="Table")
    first, second = shown(app)[:2]
    tick(app, 0, 1)
    press(app, "Put 2 in the basket")
    again = opened("molecules", sets=app.query_params["sets"], view="Table")
    basket = sets_of(again)[-1]
    assert basket.label == "Basket" and basket.frame()["smiles"].tolist() == [first, second]
    field(again.button, f"set-{basket.key}").click().run()  # to look at
    assert shown(fine(again)) == [first, second]
    tick(again, 0)
    press(again, "Take 1 out of the basket")
    assert shown(again) == [second]


def test_what_is_put_aside_twice_is_there_once(looked: AppTest):
    from jobs import Basket

    frame = molecule_set(looked).frame()
    basket = Basket(molecule_set(looked).known)
    assert basket.empty
    assert basket.put(frame[:3]) == frame["smiles"][:3].nunique()
    basket.put(frame[:5])
    kept = basket.frame()
    assert kept["smiles"].tolist() == frame["smiles"][:5].drop_duplicates().tolist()
    assert kept["row"].tolist() == list(range(1, len(kept) + 1)) and "sample" not in kept
    basket.take_out(kept)
    assert basket.empty


def test_sets_are_named_and_removed(looked: AppTest):
    from server import server

    job = molecule_set(looked)
    server().queue.is_here = lambda session: False  # nobody else looks at it
    app = opened("molecules", sets=job.key)
    before = job.label
    field(app.text_input, f"name-{job.key}").set_value("  my \n fragments ").run()
    assert job.label == "my fragments" and "my fragments" in fine(app).caption[0].value
    job.label = before
    from jobs import Basket

    basket = Basket(job.known)
    basket.put(job.frame()[:1])
    server().queue.keep(basket, "nobody")
    app = opened("molecules", sets=f"{basket.key},{job.key}")
    field(app.button, f"remove-{basket.key}").click().run()
    assert fine(app).session_state["sets"] == [job.key] and app.query_params["sets"] == job.key
    assert basket.key not in server().jobs


def test_a_dead_link_says_what_has_become_of_it(looked: AppTest):
    for page in ("generate", "molecules"):
        assert "no longer has" in opened(page, sets="never-was").warning[0].value
    assert not opened("molecules").warning
    assert not opened("molecules", sets=looked.session_state["sets"][0]).warning


def test_a_page_finds_its_fields_as_it_left_them(looked: AppTest):
    app = opened("molecules", sets=looked.session_state["sets"][0], view="Table")
    app.text_input(key="smarts").set_value("[#8]").run()
    app.selectbox(key="sort").set_value("mw").run()
    before = shown(app)
    app.switch_page("screens/molecule.py").run()
    app.text_input(key="smiles").set_value(before[0]).run()
    assert f"1 of {len(before)} in the list" in texts(fine(app))
    press(app, "Next")
    assert app.text_input(key="smiles").value == before[1]
    press(app, "Previous")
    assert app.text_input(key="smiles").value == before[0]
    app.switch_page("screens/molecules.py").run()
    assert app.text_input(key="smarts").value == "[#8]" and shown(fine(app)) == before
    app.switch_page("screens/molecule.py").run()
    assert app.text_input(key="smiles").value == before[0]


def test_a_refused_file_is_no_set():
    app = opened("score")
    app.file_uploader[0].set_value(("a.xyz", b"CCO", "text/plain")).run()
    press(app, "Judge the file")
    from server import server

    job = server().jobs[app.session_state["sets"][0]]
    assert job.wait(60)
    assert "extension" in fine(app.run()).error[0].value
    assert not [button for button in app.button if str(button.key).startswith("set-")]
    app.file_uploader[0].set_value(("nothing.smi", b"", "text/plain")).run()
    press(app, "Judge the file")
    assert "nothing.smi is empty" in app.error[0].value

"""Views of molecules: cards, scaffolds, R groups; ticks that all of them share, and the way to new molecules."""

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from tests.app.pages import fine, judged, made, molecule_set, opened, press, seen_as, shown, texts
from tests.app.test_fields import tick, ticks

pytestmark = pytest.mark.usefixtures("environment")

OWN = [
    *("CC(=O)Nc1ccc(O)cc1", "Cc1ccccc1", "Oc1ccccc1", "C[N+](C)(C)CC(=O)[O-]", "CC1CCCCC1", "CCO"),
    "O=[N+]([O-])c1ccccc1",
]
BENZENES = [OWN[0], OWN[1], OWN[2], OWN[6]]


def cards(app: AppTest) -> list[str]:
    """The molecules that have a card."""
    return [image.proto.imgs[0].alt.removeprefix("Structure ") for image in app.image]


def spoken(app: AppTest) -> list[str]:
    """What stands on cards."""
    return [caption.value.replace("\u00a0", " ") for caption in app.caption]


def box(app: AppTest, row: int):
    return app.checkbox(key=f"tick-{molecule_set(app).key}-{row}")


def make(app: AppTest, row: int, way: str) -> AppTest:
    """Choose from the menu of a card."""
    return fine(app.menu_button(key=f"make-{molecule_set(app).key}-{row}").click(way).run())


@pytest.fixture(scope="module")
def own(environment) -> str:
    """A set of molecules of a visitor's own; its key."""
    return judged("own.smi", "".join(f"{smiles}\n" for smiles in OWN).encode()).session_state["sets"][0]


def test_cards_come_first_and_tell_of_each_molecule(own: str):
    app = opened("molecules", sets=own)
    assert app.segmented_control(key="view").value == "Cards" and not app.dataframe and not app.warning
    assert cards(app) == OWN
    captions = spoken(app)
    assert "MW 151.2 g/mol · logP 1.4 · QED 0.60 · SA 1.4" in captions
    assert "known" in captions and "new · 2 alerts" in captions
    assert "MW 46.1 g/mol · logP 0.0 · QED 0.41 · SA 2.0" in captions  # no -0.0
    title = app.page_link[OWN.index("C[N+](C)(C)CC(=O)[O-]")]
    assert title.label.startswith(r"C\[N\+\]\(C\)\(C\)CC\(\=O\)")  # for Markdown it would hold links
    assert "smiles=C%5BN%2B%5D" in title.proto.query_string
    app.multiselect(key="columns").set_value(["formula", "tpsa", "mw"]).run()
    assert "TPSA 49.3 Å² · MW 151.2 g/mol" in spoken(fine(app))
    assert "known" not in spoken(app)


def test_the_part_asked_for_is_marked_on_cards(own: str):
    app = opened("molecules", sets=own)
    before = [image.proto.imgs[0].url for image in app.image]
    app.text_input(key="smarts").set_value("[OX2H]").run()
    assert cards(fine(app)) == [OWN[0], OWN[2], OWN[5]]
    assert app.image[0].proto.imgs[0].url != before[0]


def test_all_views_have_the_same_ticks(own: str):
    app = opened("molecules", sets=own)
    box(app, 2).check().run()
    box(fine(app), 5).check().run()
    assert fine(app).query_params["ticks"] == "2,5" and "Put 2 in the basket" in [one.label for one in app.button]
    assert ticks(seen_as(app, "Table")) == [OWN[1], OWN[4]]
    tick(app, 0, 4)
    seen_as(app, "Cards")
    assert [box(app, row).value for row in range(1, 8)] == [True, False, False, False, True, False, False]
    app.selectbox(key="sort").set_value("mw").run()
    app.text_input(key="smarts").set_value("[CX4]").run()
    assert cards(fine(app)) != OWN and box(app, 1).value and box(app, 5).value
    box(app, 5).uncheck().run()
    app.text_input(key="smarts").set_value("").run()
    assert fine(app).session_state[f"ticks-{own}"] == {1}
    press(app, "Untick all")
    assert not any(box(app, row).value for row in range(1, 8)) and "ticks" not in app.query_params
    again = opened("molecules", sets=own, ticks="3")
    assert box(again, 3).value and not box(again, 1).value


def test_a_page_of_cards_is_turned_and_found_in_the_table(own: str, monkeypatch):
    app = opened("molecules", sets=own, once="false")
    rows = [molecule_set(app).frame().iloc[[0]].assign(row=number) for number in range(120)]
    monkeypatch.setattr(molecule_set(app), "whole", pd.concat(rows, ignore_index=True))
    app.run()
    assert len(cards(fine(app))) == 24
    app.number_input(key="page").set_value(4).run()
    assert box(fine(app), 72) and box(app, 95)
    seen_as(app, "Table")
    assert app.number_input(key="page").value == 2 and len(shown(app)) == 50 and not app.warning
    seen_as(app, "Cards")
    assert app.number_input(key="page").value == 3 and box(app, 48) and not app.error


def test_scaffolds_are_counted_and_lead_to_their_molecules(own: str):
    app = opened("molecules", sets=own, view="Scaffolds")
    told = texts(app)
    assert "2 scaffolds, 1 of them with a single molecule." in told
    assert [part.value for part in app.markdown][1:] == [
        *("**4 molecules**, 57%", "**2 molecules**, 29%, acyclic", "**1 molecule**, 14%")
    ]
    assert "MW 92.1 to 151.2 g/mol  \nlogP 1.4 to 2.0  \nQED 0.42 to 0.60" in told
    app.button(key="scaffold-c1ccccc1").click().run()
    assert cards(fine(app)) == BENZENES and not app.warning
    assert app.query_params["scaffold"] == "c1ccccc1" and app.text_input(key="scaffold").value == "c1ccccc1"
    assert cards(opened("molecules", sets=own, scaffold="C1=CC=CC=C1")) == BENZENES  # however it is written
    press(app, r"With the scaffold c1ccccc1: back to all scaffolds")
    app.button(key="scaffold-acyclic").click().run()
    assert cards(fine(app)) == [OWN[3], OWN[5]]
    app.text_input(key="scaffold").set_value("C(").run()
    assert "'C(' is not the SMILES of a scaffold" in fine(app).error[0].value and cards(app) == OWN


def test_a_molecule_on_a_card_leads_to_ones_like_it(own: str):
    app = opened("molecules", sets=own, core="C1CC1", num="7")
    make(app, 5, "More like this")
    assert app.text_input(key="lead").value == OWN[4] and app.selectbox(key="model").value == "qm9-digress"
    assert "core" not in app.query_params and app.number_input(key="num").value == 7
    assert app.session_state["sets"] == [own]
    app.switch_page("screens/molecules.py").run()
    make(app, 1, "More like this")  # 11 heavy atoms: too many for the models of QM9
    assert app.text_input(key="lead").value == OWN[0] and app.selectbox(key="model").value == "moses-digress"


def test_the_scaffold_of_a_molecule_on_a_card_is_kept(own: str):
    app = opened("molecules", sets=own)
    assert app.menu_button(key=f"make-{own}-6").options == ["More like this"]  # it has no ring
    make(app, 1, "Keep this part")
    assert app.text_input(key="core").value == "c1ccccc1"
    assert app.selectbox(key="model").value == "moses-digress" and "lead" not in app.query_params


def test_the_scaffold_of_a_molecule_with_an_atom_that_no_model_has_is_kept_all_the_same(environment):
    app = judged("phosphorus.smi", b"CP(C)(=O)c1ccccc1\n")
    app.switch_page("screens/molecules.py").run()
    make(app, 1, "Keep this part")
    assert app.text_input(key="core").value == "c1ccccc1" and not app.error


def test_r_groups_of_a_core(own: str):
    app = opened("molecules", sets=own, view="R groups")
    assert "Core c1ccccc1: 4 of 7 different molecules below; 3 without it." in texts(app)
    table = app.dataframe[0].value
    assert table["SMILES"].tolist() == BENZENES and {"core", "R1", "R2", "mw"} <= set(table.columns)
    assert table["R1"].str.startswith("data:image/svg+xml").all()
    app.text_input(key="series").set_value("c1ccc([*:1])cc1").run()
    assert len(fine(app).dataframe[0].value) == 4
    app.text_input(key="series").set_value("C1CC1.C1CC1").run()
    assert "several pieces" in fine(app).error[0].value and not app.dataframe


def test_the_cards_of_the_page_that_makes_molecules_lead_on_there():
    app = made(num=6, size="7:8")
    smiles = cards(app)[0]
    row = int(molecule_set(app).frame()["row"].iloc[0])
    make(app, row, "More like this")
    assert app.text_input(key="lead").value == smiles and app.text_input(key="size").value == ""

"""The app's pages without a browser: each is run, filled in and read by Streamlit's own test harness."""

import io
import time

import numpy as np
import pandas as pd
import pytest
import torch
from streamlit.testing.v1 import AppTest

from molgen.generation.sampling import Shards
from molgen.generation.settings import make_settings
from molgen.generation.trajectory import trajectories
from molgen.models.checkpoints import load_checkpoint, save_checkpoint
from molgen.models.nvdiff.model import NVDiff, NVDiffConfig
from molgen.molecules.hashing import smiles_hashes
from tests.app.pages import fine, judged, made, molecule_set, opened, press, seen_as, shown, texts, until_done
from tests.conftest import SMILES, TINY

pytestmark = pytest.mark.usefixtures("environment")

HOSTILE = "<script>alert(1)</script>"


def test_the_molecules_are_those_of_the_command_line():
    app = made()
    job = molecule_set(app)
    model = load_checkpoint("qm9-digress")
    rows = Shards(model, make_settings(model, num=12, seed=3)).draw(0)
    frame = job.frame()
    assert frame["smiles"].tolist() == rows.smiles[rows.reason == ""].tolist()
    assert frame["sample"].tolist() == rows["sample"][rows.reason == ""].tolist()
    assert "molgen generate --model qm9-digress --num 12 --sampler ancestral --steps 50 --seed 3" in app.code[0].value
    metrics = {metric.label: metric.value for metric in app.metric[-4:]}
    assert metrics == {name: str(value) for name, value in job.counts().items()}
    assert job.counts()["requested"] == 12


def test_a_reload_finds_the_molecules_again():
    key = made().session_state["sets"][0]
    again = opened(sets=key)
    assert again.session_state["sets"] == [key]
    assert again.metric[-4].value == "12"
    assert opened(sets="never-was").session_state["sets"] == []


def test_another_visitor_has_nothing_of_it():
    made()
    other = opened("molecules")
    assert other.session_state["sets"] == []
    assert "There are no molecules yet" in texts(other)


def test_wrong_input_is_told_and_starts_nothing():
    app = opened()
    next(box for box in app.text_input if box.key == "formula").set_value("C5H99").run()
    press(app, "Make molecules")
    assert "C5H99" in app.error[0].value
    assert app.session_state["sets"] == []


def test_distinct_molecules_are_as_many_as_asked_for():
    app = opened()
    app.number_input(key="num").set_value(5)
    next(toggle for toggle in app.toggle if toggle.key == "distinct").set_value(True).run()
    until_done(press(app, "Make molecules"))
    assert len(molecule_set(app).frame()) == 5 == molecule_set(app).frame()["smiles"].nunique()


def test_filters_narrow_the_table(looked: AppTest):
    frame = molecule_set(looked).frame().drop_duplicates("smiles")
    assert shown(looked) == frame["smiles"].tolist()
    pictures = dict(zip(shown(looked), looked.dataframe[0].value["structure"], strict=True))
    looked.text_input(key="smarts").set_value("[#8]").run()
    assert shown(fine(looked)) == [smiles for smiles in frame["smiles"] if "O" in smiles or "o" in smiles]
    found = dict(zip(shown(looked), looked.dataframe[0].value["structure"], strict=True))
    assert all(picture != pictures[smiles] for smiles, picture in found.items())  # the part is marked
    looked.text_input(key="smarts").set_value("").run()
    looked.selectbox(key="sort").set_value("mw").run()
    assert looked.dataframe[0].value["mw"].is_monotonic_increasing
    looked.text_input(key="like").set_value(frame["smiles"][0]).run()
    likeness = fine(looked).dataframe[0].value["likeness"]
    assert 0 < len(likeness) < len(frame) and likeness[0] == 1  # filters, and the most similar comes first
    assert likeness.min() >= 0.3 and likeness.is_monotonic_decreasing
    looked.text_input(key="like").set_value("").run()
    assert shown(fine(looked)) == frame["smiles"].tolist()


def test_wrong_smarts_are_told(looked: AppTest):
    before = shown(looked)
    looked.text_input(key="smarts").set_value("[[").run()
    assert "'[[' is not SMARTS" in fine(looked).error[0].value
    assert not any(folded.error for folded in looked.expander)  # where it would not be seen
    assert shown(looked) == before
    looked.text_input(key="smarts").set_value("").run()
    assert not fine(looked).error


def test_a_filter_that_none_passes_says_so(looked: AppTest):
    looked.text_input(key="smarts").set_value("[Br]").run()
    assert "No molecule passes" in texts(fine(looked))
    looked.text_input(key="smarts").set_value("").run()


def test_an_address_brings_its_filters(looked: AppTest):
    app = opened("molecules", sets=looked.session_state["sets"][0], smarts="[#7]")
    assert app.text_input(key="smarts").value == "[#7]"


def test_files_to_take_away_are_whole(looked: AppTest):
    from files import csv_bytes, file_bytes, three_d_bytes
    from rdkit import Chem

    frame = molecule_set(looked).frame()
    table = pd.read_csv(io.BytesIO(csv_bytes(frame)), dtype=str, keep_default_na=False)
    assert table["smiles"].tolist() == frame["smiles"].tolist()
    lines = file_bytes(frame, ".smi").decode().splitlines()
    assert [line.split("\t")[0] for line in lines] == frame["smiles"].tolist()
    supplier = Chem.SDMolSupplier()
    supplier.SetData(three_d_bytes(frame[:3]).decode(), removeHs=False)
    found = list(supplier)
    assert [Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False) for mol in found] == frame["smiles"][:3].tolist()
    assert all(mol.GetConformer().Is3D() for mol in found)


def test_one_molecule_is_shown_with_all_there_is_of_it(tmp_path, monkeypatch):
    app = opened("molecule", smiles="CC(=O)N")
    for _ in range(100):
        if "Nearest in known.smi" in texts(app):
            break
        time.sleep(0.2)
        app = fine(app.run())
    assert "C2H5NO" in texts(app)
    assert "Nearest in known.smi" in texts(app)
    values = app.dataframe[0].value.set_index("property")["value"]
    assert values["molecular weight [g/mol]"] == "59.1"
    assert values["hydrogen bond donors"] == "1"
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path))  # what the models bring along is enough
    next(toggle for toggle in app.toggle if toggle.key == "likelihood").set_value(True).run()
    assert "nats, lower in" in texts(fine(app))


@pytest.mark.parametrize(
    ("smiles", "reason"), [("C(", "unparsable"), ("C" * 20_000, "longer"), (HOSTILE, "unparsable")]
)
def test_what_is_no_molecule_is_told(smiles: str, reason: str):
    app = opened("molecule")
    app.text_input(key="smiles").set_value(smiles).run()
    assert reason in fine(app).error[0].value


def test_the_film_has_a_picture_for_each_step():
    from server import server

    app = opened("film")
    assert len(app.radio[0].options) == 6
    model = server().model("qm9-digress")
    made = trajectories(model, make_settings(model, num=3, seed=7, steps=9))
    rows = Shards(model, make_settings(model, num=3, seed=7, steps=9)).draw(0)
    assert [one.smiles for one in made] == rows.smiles.tolist()
    assert all(len(one.pictures) == 10 and one.pictures[0].startswith("<svg") for one in made)
    assert all(one.pictures[0] != one.pictures[-1] for one in made)


def test_a_messy_file_is_judged_row_by_row():
    lines = ["smiles,name", "CCO,=cmd", f"{HOSTILE},x", "CC.O,salt", ",empty", f"CCN,{HOSTILE}", "CCO,again"]
    app = judged(f"../../{HOSTILE}.csv", "\n".join(lines).encode())
    job = molecule_set(app)
    assert "/" not in job.label.replace("</script>", "")
    assert job.counts() == {"requested": 6, "valid": 3, "unique": 2, "novel": 1}
    rejected = app.dataframe[0].value
    assert rejected["line"].tolist() == [3, 4, 5]
    assert rejected["reason"].tolist() == ["unparsable", "several fragments", "empty"]
    from files import csv_bytes

    table = pd.read_csv(io.BytesIO(csv_bytes(job.frame())), dtype=str, keep_default_na=False)
    assert table["name"].tolist()[0] == "'=cmd"
    app.switch_page("screens/molecules.py").run()
    assert shown(seen_as(app, "Table")) == ["CCO", "CCN"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.xyz", b"CCO", "extension"),
        ("a.csv", b"x,y\n1,2\n", "column"),
        ("a.smi", b"\x00\x01", "binary"),
        ("a.smi", b"C\n" * 1_001, "more than 1,000 rows"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(name: str, content: bytes, reason: str):
    app = judged(name, content)
    assert reason in app.error[0].value
    assert "upload" not in app.error[0].value  # nothing of the server's folders


def test_sets_are_compared_in_a_report():
    app = made(num=30)
    app.switch_page("screens/score.py").run()
    app.text_area[0].set_value("CCO ethanol\nc1ccccc1 benzene\nCCC propane\n")
    until_done(press(app, "Judge the text"))
    app.switch_page("screens/compare.py").run()
    press(fine(app), "Judge and write the report")
    from server import server

    job = server().jobs[app.session_state["comparison"]]
    assert job.wait(120)
    assert job.state == "done", job.error
    app.run()
    table = fine(app).dataframe[0].value
    assert table.columns.tolist() == ["1. pasted.smi", "2. qm9-digress"]
    assert table.loc["valid", "1. pasted.smi"].startswith("100.0% ")
    assert b"<html" in job.files["report.html"]
    rows = sum(len(server().jobs[key].frame()) for key in app.session_state["sets"])
    assert len(pd.read_csv(io.BytesIO(job.files["molecules.csv"]))) == rows


def test_a_wrong_profile_is_told_with_its_line():
    app = made()
    app.switch_page("screens/compare.py").run()
    app.text_area[0].set_value("pick = 3\n[ranges]\nweight = [1, 2]\n").run()
    press(fine(app), "Judge and write the report")
    assert "line 3" in app.error[0].value and "'weight'" in app.error[0].value


def test_the_3d_page_holds_nothing_of_a_title():
    from viewer import STYLES, viewer_page

    from molgen.molecules.conformers import conformers

    block = next(iter(conformers(["CCO"], 3))).blocks[0]
    page = viewer_page(f"</script>{HOSTILE}\n" + block.split("\n", 1)[1], "sticks", True)
    assert "alert(1)" not in page
    assert all("addModel" in viewer_page(block, style, False) for style in STYLES)


def test_a_model_of_ones_own_can_be_chosen(tmp_path, monkeypatch, vocabulary, dataset):
    from server import Server

    torch.manual_seed(0)
    save_checkpoint(
        tmp_path / "mine",
        backend_name="nvdiff",
        backend=NVDiff(NVDiffConfig(**TINY["nvdiff"]), vocabulary, dataset.statistics()),
        weights=NVDiff(NVDiffConfig(**TINY["nvdiff"]), vocabulary, dataset.statistics()).state_dict(),
        vocabulary=vocabulary,
        statistics=dataset.statistics(),
        known=np.sort(smiles_hashes(SMILES)),
        card={"name": "mine"},
    )
    monkeypatch.setenv("MOLGEN_APP_MODEL", str(tmp_path / "mine"))
    place = Server()
    assert place.names()[-1] == str(tmp_path / "mine")
    assert place.model(place.names()[-1]).name == "mine"
    assert place.model(place.names()[-1]) is place.model(place.names()[-1])

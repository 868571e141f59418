"""A visitor's own molecules: parents, stereo, names, and the known molecules that they are compared with."""

import io

import numpy as np
import pandas as pd
import pytest

from tests.app.pages import molecule_set, opened, press, seen_as, shown, texts, until_done

pytestmark = pytest.mark.usefixtures("environment")
FILE = "C[C@H](N)C(=O)O alanine\nCC(N)C(=O)O racemate\nCC(=O)[O-].[Na+] acetate\nCCO\n"


def test_salts_stereo_and_names_are_not_lost():
    from files import csv_bytes, file_bytes, has_stereo

    app = opened("score")
    app.text_area[0].set_value(FILE)
    until_done(press(app, "Judge the text"))
    said = texts(app)
    assert "Stereo of 1 of the valid is kept" in said and "1 stereoisomers of another" in said
    assert "Salts or mixtures among them: 1" in said and not app.success
    next(toggle for toggle in app.toggle if toggle.key == "standardise").set_value(True).run()
    app.text_area[0].set_value(FILE)
    until_done(press(app, "Judge the text"))
    said = texts(app)
    assert "Standardised: 1 of the valid (1 fragments removed, 1 charges neutralised)" in said
    assert app.success[0].value == "Every row is a usable molecule."
    frame = molecule_set(app).frame()
    assert has_stereo(frame)
    table = pd.read_csv(io.BytesIO(csv_bytes(frame)), keep_default_na=False)
    assert table["name"].tolist() == ["alanine", "racemate", "acetate", ""]
    assert table["isomer"][0] == "C[C@H](N)C(=O)O" and table["changes"][2] == "fragments removed; charges neutralised"
    assert table["mw"].tolist() == [89.094, 89.094, 60.052, 46.069] and table["hbd"].dtype == int
    with_stereo = file_bytes(frame.assign(smiles=frame["isomer"]), ".smi").decode().splitlines()
    assert with_stereo == ["C[C@H](N)C(=O)O\talanine", "CC(N)C(=O)O\tracemate", "CC(=O)O\tacetate", "CCO\trow 4"]
    app.switch_page("screens/molecules.py").run()
    assert shown(seen_as(app, "Table")) == ["CC(N)C(=O)O", "CC(=O)O", "CCO"]
    assert app.dataframe[0].value["name"].tolist() == ["alanine", "acetate", ""]


def test_a_histogram_holds_all_members_of_a_small_set():
    from charts import histogram

    known = np.linspace(0.2, 0.87, 5_000)
    chart = histogram({"mine": np.array([0.5, 0.94]), "none": np.array([np.nan])}, "MOSES", known, "qed")
    data = chart.data  # Altair lifts what the layers share
    assert data[data["set"] == "mine"]["share"].sum() == pytest.approx(1)
    assert data["to"].max() == pytest.approx(0.94) and set(data["set"]) == {"mine", "none", "MOSES"}


def test_the_known_molecules_are_those_of_the_model_or_chosen(monkeypatch):
    from references import References, source_name

    from molgen.models.checkpoints import load_checkpoint

    places = References("", 1)
    assert places.usual_for(load_checkpoint("moses-digress")).source == "moses"
    assert places.usual_for(load_checkpoint("qm9-digress")).name == "QM9"
    assert places.choices == ["qm9", "moses", "chembl"]
    own = References("/somewhere/known.smi", 1)
    assert own.usual_for(load_checkpoint("moses-digress")).name == "known.smi"
    assert own.choices == ["/somewhere/known.smi", "qm9", "moses", "chembl"] and source_name("moses") == "MOSES"


def test_whoever_waits_for_known_molecules_hears_how_far_they_are_and_can_leave(tmp_path, monkeypatch):
    import threading

    import references
    from references import References

    from molgen.errors import MolgenError
    from molgen.evaluation.open_reference import open_reference

    go_on, heard = threading.Event(), []

    def slow(source, workers, progress):
        progress("reading", 3, 7)
        go_on.wait(30)
        return open_reference(source, workers=workers, progress=progress)

    def leave(*told):
        heard.append(told)
        if told[0] == "reading":
            raise InterruptedError

    monkeypatch.setattr(references, "open_reference", slow)
    known = tmp_path / "known.smi"
    known.write_text("CCO\nCCC\nc1ccccc1\n")
    places = References("", 1)
    with pytest.raises(InterruptedError):
        places.get(str(known), leave)
    assert heard[-1] == ("reading", 3, 7) and not places.ready(str(known))
    assert places.status(str(known)) == "reading: 3 of 7"
    go_on.set()
    assert sorted(places.get(str(known)).smiles) == ["CCC", "CCO", "c1ccccc1"]
    assert places.ready(str(known))
    with pytest.raises(MolgenError, match="nowhere"):
        places.get("nowhere.smi")
    assert "nowhere.smi" in places.why("nowhere.smi") and not places.why(str(known))


def test_the_column_of_a_table_is_told_and_can_be_chosen():
    content = b"id,smiles_1,smiles_2\na,CCO,CCN\nb,CCC,CCCl\n"
    app = opened("score")
    app.file_uploader[0].set_value(("two.csv", content, "text/csv")).run()
    press(app, "Judge the file")
    until_done(app)
    assert "several columns" in app.error[0].value and "'smiles_1', 'smiles_2'" in app.error[0].value
    app.text_input(key="column").set_value("smiles_2").run()
    until_done(press(app, "Judge the file"))
    assert "SMILES column: smiles\\_2" in texts(app)
    assert molecule_set(app).frame()["smiles"].tolist() == ["CCN", "CCCl"]
    app.text_input(key="column").set_value("nope").run()
    until_done(press(app, "Judge the file"))
    assert "nope" in app.error[0].value and "smiles_1" in app.error[0].value

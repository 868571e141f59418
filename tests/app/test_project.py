"""A project is one file: what was in the sets comes back, and a file of somebody else's can do no harm."""

import gzip
import json

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from tests.app.pages import fine, judged, molecule_set, opened, press, sets_of, texts

pytestmark = pytest.mark.usefixtures("environment")

FILE = b"C[C@H](O)F one\nCC.O salt\nnonsense odd\nc1ccccc1 three\nOc1ccccc1 four\n"


def opening(content: bytes, rows: int = 1_000):
    """What a project file is opened to, by the job alone."""
    from project import Opening
    from server import server

    job = Opening("their.json.gz", content, 5, rows, server().references, 1)
    job.run()
    return job


def packed(record: object) -> bytes:
    return gzip.compress(json.dumps(record).encode())


@pytest.fixture(scope="module")
def record(environment) -> dict:
    """What is in a project of two sets, with a note and a basket."""
    from project import project_bytes

    app = judged("mine.smi", FILE)
    job = molecule_set(app)
    app.text_area(key=f"note-{job.key}").set_value("from the fridge").run()
    look = opened("molecules", sets=job.key, view="Cards")
    look.checkbox(key=f"tick-{job.key}-4").check().run()
    press(look, "Put 1 in the basket")
    return json.loads(gzip.decompress(project_bytes(sets_of(look))))


def test_a_project_comes_back(record: dict):
    job = opening(packed(record))
    assert job.error == "" and job.state == "done"
    mine, basket = job.sets
    assert mine.label == "mine.smi" and mine.note == "from the fridge" and mine.requested == 5
    assert mine.counts() == {"requested": 5, "valid": 3, "unique": 3, "novel": 2}
    frame = mine.frame()
    assert frame["isomer"].tolist() == ["C[C@H](O)F", "", "", "c1ccccc1", "Oc1ccccc1"]
    assert frame["name"].tolist() == ["one", "salt", "odd", "three", "four"]
    assert frame.loc[~frame["valid"].astype(bool), "reason"].tolist() == ["several fragments", "unparsable"]
    assert basket.frame()["smiles"].tolist() == ["c1ccccc1"]


def test_what_comes_back_is_what_was_there(record: dict, looked: AppTest):
    from project import project_bytes

    made = molecule_set(looked)
    again = opening(project_bytes([made])).sets[0]
    assert (again.command, again.drawn_for, again.reasons) == (made.command, made.drawn_for, made.reasons)
    assert again.counts() == made.counts() and again.novel_to == made.novel_to
    before, after = made.frame(), again.frame()
    assert set(after) == set(before)
    pd.testing.assert_frame_equal(after[before.columns], before, check_dtype=False)


def test_a_project_is_opened_beside_the_pages(record: dict):
    app = opened()
    app.file_uploader(key="project-file").set_value(("theirs.json.gz", packed(record), "application/gzip")).run()
    from server import server

    server().jobs[app.session_state["opening"]].wait(60)
    fine(app.run())
    assert [job.label for job in sets_of(app)] == ["mine.smi", "Basket"]
    key = app.session_state["sets"][0]
    assert server().store.load(key, server().references).note == "from the fridge"
    assert "from the fridge" in texts(opened("molecules", sets=key))


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"no gzip", gzip.compress(b"no json"), packed([]), packed({"sets": []}), packed({"molgen project": 1})),
        *(gzip.compress(b"[" * 100_000), gzip.compress(b"{}")[:-6], packed({"molgen project": 1, "sets": [3]})),
    ],
)
def test_what_is_no_project_is_told(content: bytes):
    job = opening(content)
    assert job.state == "failed" and "no molgen project" in job.error


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("label", 3), ("note", "x" * 5_000), ("state", "running"), ("counts", {"valid": -1}), ("requested", "5")),
        *(("reasons", []), ("drawn_for", 1.5), ("molecules", {"row": [1], "smiles": ["C", "C"]})),
        *(("molecules", {"row": [1, 1]}), ("molecules", {"row": [1], "smiles": [7]}), ("molecules", {})),
    ],
)
def test_a_wrong_set_is_told(record: dict, field: str, value: object):
    sets = [record["sets"][0] | {field: value}]
    job = opening(packed(record | {"sets": sets}))
    assert job.state == "failed" and "no molgen project" in job.error and job.sets == []


def test_limits(record: dict):
    assert "the most that is opened here" in opening(packed(record | {"sets": record["sets"] * 30})).error
    assert "holds 6 molecules" in opening(packed(record), rows=5).error
    assert "one is larger" in opening(gzip.compress(b" " * 70_000_000)).error


def test_a_file_chooses_no_reference_of_the_server(record: dict, tmp_path):
    other = tmp_path / "secret.smi"
    other.write_text("C\n")
    job = opening(packed(record | {"sets": [record["sets"][0] | {"source": str(other)}]}))
    assert job.error == "" and job.sets[0].known.name == "known.smi"


def test_hostile_molecules_are_rows_that_fail(record: dict):
    molecules = {"row": [1, 2], "smiles": ["C" * 3_000, "<script>"], "fingerprint": ["x", "y"], "qed": ["a", 3]}
    job = opening(packed(record | {"sets": [record["sets"][0] | {"molecules": molecules}]}))
    assert job.error == ""
    assert len(job.sets[0].frame()) == 2 and not job.sets[0].frame()["valid"].iloc[1]

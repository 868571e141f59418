"""The app's work: stopped, cancelled, counted."""

import threading
import time

import pytest

from molgen.generation.sampling import Shards
from molgen.generation.settings import make_settings
from tests.app.pages import molecule_set, opened, press

pytestmark = pytest.mark.usefixtures("environment")


def test_a_run_can_be_stopped_and_keeps_what_is_there():
    from making import Generation
    from server import server

    place = server()
    model = place.model("qm9-digress")
    job = Generation("x", 5, model, make_settings(model, num=200, steps=60).seeded(), place.references.usual_for(model))
    place.start(job)
    while job.busy and len(job.frame()) == 0:
        time.sleep(0.02)
    place.queue.stop(job)
    assert job.wait(60)
    assert job.state == "stopped"
    assert 0 < len(job.frame()) < 200
    assert len(job.frame()) == job.counts()["valid"] <= job.requested < 200


def test_a_stop_keeps_and_counts_all_that_was_decoded(monkeypatch):
    import making
    from server import server

    def batches(*arguments):
        for batch in as_drawn(*arguments):
            place.queue.stop(job)  # while it is being looked at
            decoded.append(batch)
            yield batch

    as_drawn, decoded = Shards._batches, []
    monkeypatch.setattr(Shards, "_batches", batches)
    place = server()
    model = place.model("qm9-digress")
    job = making.Generation(
        "x", 5, model, make_settings(model, num=60, steps=10, seed=1), place.references.usual_for(model)
    )
    place.start(job)
    assert job.wait(60)
    rows = decoded[0]
    assert job.state == "stopped" and len(decoded) == 1 and len(rows)
    assert job.frame()["smiles"].tolist() == rows["smiles"][rows["reason"] == ""].tolist()
    assert job.requested == len(rows)


def test_live_shares_are_of_what_was_decoded(monkeypatch):
    import making
    from server import server

    def assessed(self, batch):
        found = as_assessed(self, batch)
        decoded.append(len(batch))
        return found

    def drawn(self, *arguments):
        seen.append((self.counts()["requested"], sum(decoded)))
        return as_told(self, *arguments)

    seen, decoded = [], []
    as_told, as_assessed = making.Generation._drawn, making.Generation._assessed
    monkeypatch.setattr(making.Generation, "_drawn", drawn)
    monkeypatch.setattr(making.Generation, "_assessed", assessed)
    place = server()
    model = place.model("qm9-digress")
    job = making.Generation(
        "x", 5, model, make_settings(model, num=40, steps=10, seed=1), place.references.usual_for(model)
    )
    place.start(job)
    assert job.wait(60) and job.state == "done"
    assert len(seen) > 10 and all(requested == decoded for requested, decoded in seen)


def test_work_that_waits_can_be_cancelled_and_too_much_is_refused(monkeypatch):
    import job_queue
    import making

    release = threading.Event()

    def work(self):
        while not release.is_set():
            self.check()
            time.sleep(0.01)

    monkeypatch.setattr(making.Generation, "work", work)
    app = opened()
    try:
        for _ in range(job_queue.PER_VISITOR):
            press(app, "Make molecules")
        waiting = molecule_set(app)
        assert waiting.state == "waiting"
        press(app, "Make molecules")
        assert "most that one visitor may have" in app.error[0].value
        press(app, "Cancel")
        assert waiting.state == "stopped"
        press(app, "Make molecules")
        assert molecule_set(app) is not waiting and not app.error
    finally:
        release.set()


def test_the_time_limit_ends_a_job_with_a_reason():
    from making import Generation
    from server import server

    place = server()
    model = place.model("qm9-digress")
    job = Generation("x", 0.001, model, make_settings(model, num=200).seeded(), place.references.usual_for(model))
    place.start(job)
    assert job.wait(60)
    assert job.state == "stopped" and "0.001 minutes" in job.error


@pytest.mark.parametrize("spoilt", ["the first", "all"])
def test_batches_without_a_valid_molecule_end_no_job(monkeypatch, spoilt):
    import making
    from server import server

    def batches(*arguments):
        for number, batch in enumerate(as_drawn(*arguments)):
            yield batch.assign(reason="spoilt") if number == 0 or spoilt == "all" else batch

    as_drawn = Shards._batches
    monkeypatch.setattr(Shards, "_batches", batches)
    place = server()
    model = place.model("qm9-digress")
    settings = make_settings(model, unique=5, max_samples=60, seed=1, steps=10)
    job = making.Generation("x", 1, model, settings, place.references.usual_for(model))
    place.start(job)
    assert job.wait(60)
    assert (job.state, job.error) == ("done", "")
    assert len(job.frame()) == job.counts()["unique"] == (0 if spoilt == "all" else 5)
    assert job.counts()["requested"] == 60 if spoilt == "all" else job.counts()["requested"] >= 5


def test_molecules_are_there_where_no_known_ones_can_be_had():
    import making
    from server import server

    place = server()
    model = place.model("qm9-digress")
    settings = make_settings(model, num=5, steps=5, seed=1)
    job = making.Generation("x", 5, model, settings, place.references.known("nowhere.smi"))
    place.start(job)
    assert job.wait(60)
    assert job.state == "done" and "no comparison with nowhere.smi: no reference" in job.error
    assert len(job.frame()) == job.counts()["valid"] > 0 and "nearest" not in job.frame()

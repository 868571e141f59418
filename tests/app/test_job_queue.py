"""The queue of the app's work, with jobs that do nothing, by a clock that stands still."""

from pathlib import Path

import pytest

from molgen.errors import InputError

APP = Path(__file__).resolve().parents[2] / "app"


@pytest.fixture
def app(monkeypatch):
    monkeypatch.syspath_prepend(str(APP))
    import job_queue

    return job_queue


class World:
    """A queue whose jobs run when the test says so; who is here, and what time it is."""

    def __init__(self, app):
        self.app = app
        self.now = 0.0
        self.here = {"ann", "bob", "cy"}
        self.launched = []
        self.queue = app.JobQueue(
            lambda visitor: visitor in self.here, lambda: self.now, lambda job, run: self.launched.append((job, run))
        )

    def start(self, label: str, visitor: str):
        job = self.app.Job(label, 5)
        job.work = lambda: None
        self.queue.start(job, visitor)
        return job

    def running(self) -> list[str]:
        return [job.label for job in self.queue.jobs.values() if job.state == "running"]

    def end_one(self) -> str:
        job, run = self.launched.pop(0)
        run()
        return job.label


@pytest.fixture
def world(app) -> World:
    return World(app)


def test_a_visitor_may_have_a_few_jobs_and_all_visitors_together_some_more(app, world: World):
    for number in range(app.PER_VISITOR):
        world.start(f"ann {number}", "ann")
    with pytest.raises(InputError, match="most that one visitor may have"):
        world.start("too much", "ann")
    for number in range(app.IN_ALL - app.PER_VISITOR):
        world.start(f"script {number}", f"session {number}")
    with pytest.raises(InputError, match=f"{app.IN_ALL} pieces of work"):
        world.start("too much", "bob")
    assert len(world.queue.jobs) == app.IN_ALL and len(world.running()) == app.AT_ONCE
    world.end_one()
    world.start("now", "bob")


def test_visitors_take_turns(world: World):
    for label in ("ann 1", "ann 2", "ann 3"):
        world.start(label, "ann")
    for label in ("bob 1", "bob 2"):
        world.start(label, "bob")
    world.start("cy 1", "cy")
    assert [world.end_one() for _ in range(6)] == ["ann 1", "ann 2", "bob 1", "cy 1", "ann 3", "bob 2"]
    assert world.queue.running == world.queue.waiting == {}


def test_a_waiting_job_is_cancelled_at_once_and_never_runs(world: World):
    jobs = [world.start(f"ann {number}", "ann") for number in range(3)]
    world.queue.stop(jobs[2])
    assert (jobs[2].state, jobs[2].wait(0)) == ("stopped", True)
    assert [world.end_one(), world.end_one()] == ["ann 0", "ann 1"]
    assert world.launched == []


def test_a_running_job_that_is_stopped_makes_room(world: World):
    jobs = [world.start(f"ann {number}", "ann") for number in range(3)]
    world.queue.stop(jobs[0])
    assert jobs[0].busy and jobs[2].state == "waiting"
    world.end_one()
    assert jobs[0].state == "stopped" and jobs[2].state == "running"


def test_work_of_a_visitor_who_has_gone_is_stopped_after_some_minutes(app, world: World):
    jobs = [world.start(f"ann {number}", "ann") for number in range(3)]
    world.here = {"bob"}
    world.now = app.GONE_SECONDS - 1
    world.queue.sweep()
    assert not any(job.stop.is_set() for job in jobs)
    world.now += 1
    world.queue.sweep()
    assert all(job.stop.is_set() for job in jobs) and jobs[2].state == "stopped"
    assert "nobody has looked at it for 5 minutes" in jobs[0].error


def test_a_reload_keeps_the_work(app, world: World):
    job = world.start("ann", "ann")
    world.here = {"ann again"}
    world.queue.join(job.key, "ann again")
    world.now = 10 * app.GONE_SECONDS
    world.queue.sweep()
    assert not job.stop.is_set() and job.visitors == {"ann again"}
    with pytest.raises(InputError):
        for number in range(app.PER_VISITOR):  # the reload has not made the visitor another one
            world.start(f"more {number}", "ann again")


def test_results_are_kept_while_somebody_looks_and_some_time_after(app, world: World):
    job = world.start("ann", "ann")
    world.end_one()
    world.now = 10 * app.KEPT_SECONDS
    world.queue.sweep()
    assert job.key in world.queue.jobs
    world.here = set()
    world.now += app.KEPT_SECONDS - 1
    world.queue.sweep()
    assert job.key in world.queue.jobs
    world.now += 1
    world.queue.sweep()
    assert world.queue.jobs == {}


def test_a_job_that_breaks_frees_its_place(world: World):
    broken = world.start("broken", "ann")
    broken.work = lambda: 1 / 0
    others = [world.start(f"ann {number}", "ann") for number in range(2)]
    with pytest.raises(ZeroDivisionError):
        world.end_one()
    assert broken.state == "failed" and "ZeroDivisionError" in broken.error
    assert others[1].state == "running"


def test_a_job_that_is_left_ends_and_is_forgotten_once_nobody_looks_at_it(app, world: World):
    running, other, waiting = (world.start(name, "ann") for name in ("running", "other", "waiting"))
    world.queue.join(running.key, "bob")
    world.queue.leave(running, "ann")
    assert not running.stop.is_set() and running.key in world.queue.jobs
    world.queue.leave(running, "bob")
    world.queue.leave(waiting, "ann")
    assert running.stop.is_set() and waiting.state == "stopped"
    assert list(world.queue.jobs.values()) == [other]
    assert world.end_one() == "running" and world.running() == ["other"]
    world.start("next", "ann")
    assert world.running() == ["other", "next"]


def test_what_is_kept_without_a_run_is_forgotten_like_results(app, world: World):
    aside = app.Job("aside", 0)
    aside.state = "done"
    world.queue.keep(aside, "ann")
    world.now = app.KEPT_SECONDS
    world.queue.sweep()
    assert aside.key in world.queue.jobs  # ann is here
    world.here = set()
    world.now *= 2
    world.queue.sweep()
    assert aside.key not in world.queue.jobs

"""The same molecules whatever the processes, their deaths and the stops; nothing is drawn twice."""

import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

import molgen.generation.runs
import molgen.workers
from molgen.errors import InputError, MolgenError
from molgen.generation.runs import run
from molgen.generation.sampling import Shards
from molgen.generation.settings import SHARD_SIZE, make_settings
from molgen.models.checkpoints import load_checkpoint
from tests.generation.fake_model import fake_model
from tests.generation.small_run import StoppedError, generate, stop_after
from tests.killing import children, kill, kill_at_start


def test_workers_do_not_change_the_molecules(tmp_path):
    seen = []
    generate(tmp_path / "one.csv", num=1200, likelihood=True)
    record = generate(
        tmp_path / "two.csv",
        num=1200,
        likelihood=True,
        workers=2,
        progress=lambda _stage, done, _total: seen.append(done),
    )
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert record["workers"] == 2
    assert seen[0] == 0 and seen[-1] == 1200 and seen == sorted(seen)


def test_workers_do_not_change_the_molecules_of_the_shipped_model(tmp_path):
    """One process with two threads against two with fewer: rounding that depends on the threads would show."""
    model = load_checkpoint("qm9-digress")
    chosen = make_settings(model, unique=200, max_samples=400, seed=1, steps=4, drafts=2, device="cpu")
    assert chosen.shards == 2  # a shard has as many samples as there are distinct molecules to find
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run(model, chosen, tmp_path / "one.csv")
    finally:
        torch.set_num_threads(threads)
    record = run(model, chosen, tmp_path / "two.csv", workers=2).record
    assert record["counts"]["requested"] > 200 and record["rows"] > 50  # both shards were needed
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_too_many_workers_are_refused(tmp_path):
    limit = molgen.generation.runs.WORKERS_PER_CORE * molgen.workers.available_cores()
    with pytest.raises(InputError, match=f"at most {limit}, got {limit + 1}"):
        generate(tmp_path / "m.csv", workers=limit + 1)


def test_a_dead_worker_is_told_and_the_same_run_goes_on(tmp_path):
    with pytest.raises(MolgenError, match="worker process died"):
        generate(tmp_path / "m.csv", fake_model(dies=True), num=1200, workers=2)
    generate(tmp_path / "m.csv", num=1200)
    assert (tmp_path / "m.csv").exists()


def test_workers_killed_at_their_start_are_replaced(tmp_path, monkeypatch):
    """The model is larger than a pipe: writing it to a dead process must not wait for ever."""
    model = fake_model()
    model.backend.ballast = torch.nn.Parameter(torch.zeros(1_000_000))
    with kill_at_start(monkeypatch, 2) as killed:
        generate(tmp_path / "two.csv", model, num=2200, workers=2)
    assert len(killed) == 2
    generate(tmp_path / "one.csv", num=2200)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_workers_killed_in_the_middle_cost_their_shard_alone(tmp_path):
    """One is killed when it has drawn a part of its shard, and again later."""
    killed, seen = [], []

    def progress(_stage: str, done: int, _total: int | None) -> None:
        seen.append(done)
        if done > 1200 * (len(killed) + 1) and len(killed) < 2:
            killed.append(children()[0])
            kill(killed[-1])

    generate(tmp_path / "two.csv", fake_model(delay=0.05), num=5200, workers=2, progress=progress)
    assert len(killed) == 2 and seen == sorted(seen) and seen[-1] == 5200
    generate(tmp_path / "one.csv", num=5200)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


@pytest.mark.parametrize("missing", ["Pipe", "Process"])
def test_where_no_process_starts_one_does_the_work(tmp_path, monkeypatch, caplog, missing):
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(type(get_context("spawn")), missing, refuse)
    generate(tmp_path / "two.csv", num=1200, workers=2)
    assert "no worker process can be started" in caplog.text
    monkeypatch.undo()
    generate(tmp_path / "one.csv", num=1200)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_workers_need_no_semaphores_and_no_shared_memory(tmp_path, monkeypatch):
    """Both lie in /dev/shm, which may be read-only or tiny."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", refuse)
    monkeypatch.setattr("torch.UntypedStorage._share_fd_cpu_", refuse)
    model = fake_model()
    model.backend.weight = torch.nn.Parameter(torch.zeros(3))
    assert generate(tmp_path / "two.csv", model, num=1200, workers=2)["rows"] > 0


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_been(tmp_path):
    whole, killed = tmp_path / "whole.csv", tmp_path / "killed.csv"
    script = Path(__file__).with_name("fake_model.py")
    program = subprocess.Popen([sys.executable, str(script), str(killed), "4000", "0.2"])
    try:
        deadline = time.monotonic() + 120
        while not (shards := sorted(tmp_path.glob("killed.csv.partial/shard-*"))):
            assert time.monotonic() < deadline and program.poll() is None
            time.sleep(0.02)
    finally:
        program.kill()
        program.wait()
    assert not killed.exists()
    shards = sorted(tmp_path.glob("killed.csv.partial/shard-*"))
    assert 1 <= len(shards) < 4
    record = generate(killed, num=4000, seed=None)
    assert record["samples_of_earlier_starts"] == SHARD_SIZE * len(shards)
    generate(whole, num=4000, seed=record["seed"])
    assert killed.read_bytes() == whole.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"killed.csv", "killed.json", "whole.csv", "whole.json"}


def test_a_stopped_run_draws_only_what_is_missing(tmp_path, monkeypatch):
    with pytest.raises(StoppedError):
        generate(tmp_path / "m.csv", num=2500, progress=stop_after(2100))
    drawn = []
    draw = Shards.draw
    monkeypatch.setattr(Shards, "draw", lambda *rest: (drawn.append(rest[1]), draw(*rest))[1])
    seen = []
    generate(tmp_path / "m.csv", num=2500, progress=lambda _stage, done, _total: seen.append(done))
    assert drawn == [2]
    assert seen[0] == 2000 and seen[-1] == 2500

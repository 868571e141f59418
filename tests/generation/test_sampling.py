"""Runs: the same molecules whatever the processes, the stops and the format; nothing lost, nothing twice."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock

import molgen.generation.runs
import molgen.generation.sampling
import molgen.parallel
from molgen.errors import InputError, MolgenError
from molgen.generation.runs import run
from molgen.generation.sampling import SHARD_SIZE, choose_settings, draw_graphs, draw_shard, sample_smiles
from molgen.models.checkpoints import load_checkpoint
from molgen.molecules.parsing import parse_smiles
from molgen.molecules.properties import properties
from tests.generation.fake_model import SIZES, fake_model

MODEL = fake_model()
MODEL_THAT_DIES = fake_model(dies=True)


def settings(**changes):
    return choose_settings(MODEL, **({"num": 700, "seed": 5, "device": "cpu"} | changes))


def generate(path: Path, model=MODEL, **changes):
    """The record of a run of `settings(**changes)`; workers, overwrite and progress go to the run."""
    options = {name: changes.pop(name) for name in ("workers", "overwrite", "progress") if name in changes}
    return run(model, settings(**changes), path, **options)[1]


def all_samples(**changes) -> pd.DataFrame:
    chosen = settings(**changes)
    return pd.concat([draw_shard(MODEL, chosen, shard) for shard in range(chosen.shards)], ignore_index=True)


class StoppedError(Exception):
    """Ends a run in the middle."""


def stop_after(samples: int):
    def progress(drawn: int, _: int) -> None:
        if drawn >= samples:
            raise StoppedError

    return progress


def test_every_sample_comes_once_with_the_sizes_of_the_training_data(monkeypatch):
    monkeypatch.setattr(molgen.generation.sampling, "ENTRIES_PER_BATCH", 100)  # many small batches
    positions, counts = [], np.zeros(len(SIZES))
    options = {"sampler": "plain", "steps": 2, "seed": 1}
    for where, batch in draw_graphs(MODEL.backend, MODEL.statistics, 4000, **options):
        assert len(where) == len(batch) <= max(1, 100 // (batch.size * (batch.size + 1) // 2))
        positions += where.tolist()
        counts[batch.size] += len(batch)
    assert sorted(positions) == list(range(4000))
    shares = np.array(SIZES) / sum(SIZES)
    np.testing.assert_allclose(counts / 4000, shares, atol=5 * np.sqrt(0.25 / 4000))


def test_the_file_holds_every_valid_sample_in_order_with_its_properties(tmp_path):
    record = generate(tmp_path / "m.csv")
    rows = pd.read_csv(tmp_path / "m.csv", keep_default_na=False)
    samples = all_samples()
    assert samples["sample"].tolist() == list(range(1, 701))
    valid = samples[samples.reason == ""]
    assert 0 < len(valid) < 700
    assert rows["sample"].tolist() == valid["sample"].tolist()
    assert rows.smiles.tolist() == valid.smiles.tolist()
    for row in rows[:20].to_dict("records"):
        for name, value in properties(parse_smiles(row["smiles"])).items():
            assert row[name] == pytest.approx(value, abs=1e-4)
    known = rows.smiles.isin(["C", "O", "CO", "CC", "CCO"])
    assert known.any() and (rows.novel == ~known).all()
    counts = record["counts"]
    assert counts["requested"] == 700
    assert counts["sanitised"] == (samples.smiles != "").sum()
    assert counts["valid"] == len(valid) == record["rows"]
    assert counts["unique"] == valid.smiles.nunique()
    assert counts["novel"] == valid[valid.novel].smiles.nunique()
    assert sum(counts["reasons"].values()) == 700 - len(valid)
    assert any("valence" in reason for reason in counts["reasons"])
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8")) == record
    assert {path.name for path in tmp_path.iterdir()} == {"m.csv", "m.json"}


def test_fragments_are_sanitised_but_not_valid(tmp_path):
    counts = generate(tmp_path / "m.csv", sampler="other")["counts"]
    assert counts["reasons"].keys() == {"several fragments"}
    assert counts["sanitised"] == 700 > counts["valid"]


def test_seeds(tmp_path):
    texts = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1), ("d", None), ("e", None)):
        record = generate(tmp_path / f"{name}.csv", seed=seed, num=50)
        texts[name] = (tmp_path / f"{name}.csv").read_text(encoding="utf-8")
        assert record["seed"] == seed if seed is not None else record["seed"] >= 0
    assert texts["a"] == texts["b"]
    assert len(set(texts.values())) == 4
    drawn = json.loads((tmp_path / "d.json").read_text(encoding="utf-8"))["seed"]
    generate(tmp_path / "again.csv", seed=drawn, num=50)
    assert (tmp_path / "again.csv").read_text(encoding="utf-8") == texts["d"]


def test_workers_do_not_change_the_molecules(tmp_path):
    seen = []
    generate(tmp_path / "one.csv", num=1200, likelihood=True)
    record = generate(
        tmp_path / "two.csv", num=1200, likelihood=True, workers=2, progress=lambda drawn, _: seen.append(drawn)
    )
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert record["workers"] == 2
    assert seen[0] == 0 and seen[-1] == 1200 and seen == sorted(seen)


def test_workers_do_not_change_the_molecules_of_the_shipped_model(tmp_path):
    """One process with two threads against two with fewer: rounding that depends on the threads would show."""
    model = load_checkpoint("qm9-digress")
    chosen = choose_settings(model, unique=200, max_samples=400, seed=1, steps=4, device="cpu")
    assert chosen.shards == 2  # a shard has as many samples as there are distinct molecules to find
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run(model, chosen, tmp_path / "one.csv")
    finally:
        torch.set_num_threads(threads)
    record = run(model, chosen, tmp_path / "two.csv", workers=2)[1]
    assert record["counts"]["requested"] > 200 and record["rows"] > 50  # both shards were needed
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_too_many_workers_are_refused(tmp_path):
    limit = molgen.generation.runs.WORKERS_PER_CORE * molgen.parallel.available_cores()
    with pytest.raises(InputError, match=f"at most {limit}, got {limit + 1}"):
        generate(tmp_path / "m.csv", workers=limit + 1)


def test_a_dead_worker_is_told_and_the_same_run_goes_on(tmp_path):
    with pytest.raises(MolgenError, match="worker process died"):
        generate(tmp_path / "m.csv", fake_model(dies=True), num=1200, workers=2)
    generate(tmp_path / "m.csv", num=1200)
    assert (tmp_path / "m.csv").exists()


def test_the_likelihood_changes_no_molecule(tmp_path):
    generate(tmp_path / "without.csv")
    generate(tmp_path / "with.csv", likelihood=True)
    without, with_ = pd.read_csv(tmp_path / "without.csv"), pd.read_csv(tmp_path / "with.csv")
    pd.testing.assert_frame_equal(with_.drop(columns=["nll", "nll_se"]), without)
    assert with_.nll.notna().all() and (with_.nll_se > 0).all()
    # the fake's bound is the sum of its node classes (C 0, N 1, O 2) plus less than 1
    row = with_[with_.smiles == "CO"].iloc[0]
    assert 2 <= row.nll < 3


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
    original = molgen.generation.executors.draw_shard
    monkeypatch.setattr(
        molgen.generation.executors, "draw_shard", lambda *rest: (drawn.append(rest[2]), original(*rest))[1]
    )
    seen = []
    generate(tmp_path / "m.csv", num=2500, progress=lambda drawn, _: seen.append(drawn))
    assert drawn == [2]
    assert seen[0] == 2000 and seen[-1] == 2500


@pytest.mark.parametrize("seed", [5, None])
@pytest.mark.parametrize("moment", ["output", "record", "clean-up", "last file"])
def test_a_kill_while_the_files_are_moved_is_made_good_by_the_same_command(tmp_path, monkeypatch, moment, seed):
    """Each moment is that before the named thing is done; the files are as a kill leaves them."""
    path, folder = tmp_path / "m.csv", tmp_path / "m.csv.partial"
    replace, write_json, remove = Path.replace, molgen.generation.runs._write_json, molgen.generation.runs._remove_work

    def stop_at(name):
        def step(first, *rest):
            where = {"output": rest and rest[0] == path, "record": first == path.with_suffix(".json")}
            if where.get(name, (folder / "record.json").exists()):
                if name == "last file":
                    for left in (*folder.glob("shard-*"), *folder.glob("settings.json")):
                        left.unlink()
                raise StoppedError
            return {"output": replace, "record": write_json}.get(name, remove)(first, *rest)

        return step

    with monkeypatch.context() as patch:
        if moment == "output":
            patch.setattr(Path, "replace", stop_at("output"))
        elif moment == "record":
            patch.setattr("molgen.generation.runs._write_json", stop_at("record"))
        else:
            patch.setattr("molgen.generation.runs._remove_work", stop_at(moment))
        with pytest.raises(StoppedError):
            generate(path, seed=seed)
    assert (folder / "record.json").exists()
    record = generate(path, MODEL_THAT_DIES, seed=seed)  # nothing is drawn again
    assert {file.name for file in tmp_path.iterdir()} == {"m.csv", "m.json"}
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8")) == record
    generate(tmp_path / "whole.csv", seed=record["seed"])
    assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    with pytest.raises(InputError, match="exists"):
        generate(path, seed=seed)


def test_a_finished_output_that_is_lost_is_made_again(tmp_path, monkeypatch):
    path, remove = tmp_path / "m.csv", molgen.generation.runs._remove_work

    def stop(folder: Path) -> None:
        if (folder / "record.json").exists():
            raise StoppedError
        remove(folder)

    with monkeypatch.context() as patch:
        patch.setattr("molgen.generation.runs._remove_work", stop)
        with pytest.raises(StoppedError):
            generate(path)
    before = path.read_bytes()
    path.unlink()
    (tmp_path / "m.json").unlink()
    generate(path)
    assert path.read_bytes() == before and not (tmp_path / "m.csv.partial").exists()


def test_a_file_put_there_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "m.csv"

    def progress(drawn: int, _: int) -> None:
        path.write_text("mine", encoding="utf-8")

    with pytest.raises(InputError, match="exists"):
        generate(path, progress=progress)
    assert path.read_text(encoding="utf-8") == "mine"
    generate(path, MODEL_THAT_DIES, overwrite=True)
    assert len(pd.read_csv(path)) > 0 and not (tmp_path / "m.csv.partial").exists()


def test_other_settings_are_refused_until_told_to_start_over(tmp_path):
    path = tmp_path / "m.csv"
    with pytest.raises(StoppedError):
        generate(path, num=1500, progress=stop_after(1100))
    with pytest.raises(InputError, match=re.escape("steps (4 then, 7 now), seed (5 then, 6 now)")):
        generate(path, num=1500, seed=6, steps=7)
    generate(path, num=1500, seed=6, steps=7, overwrite=True)
    generate(tmp_path / "fresh.csv", num=1500, seed=6, steps=7)
    assert path.read_bytes() == (tmp_path / "fresh.csv").read_bytes()


def test_an_output_is_replaced_only_when_told(tmp_path):
    path = tmp_path / "m.csv"
    generate(path, num=20)
    before = path.read_bytes()
    with pytest.raises(InputError, match="--overwrite"):
        generate(path, num=20, seed=6)
    with pytest.raises(InputError, match=r"m\.json exists"):  # the record of m.csv
        generate(tmp_path / "m.smi", num=20)
    assert path.read_bytes() == before
    with pytest.raises(StoppedError):
        generate(path, num=1500, seed=6, overwrite=True, progress=stop_after(1100))
    assert path.read_bytes() == before
    generate(path, num=1500, seed=6, overwrite=True)
    assert path.read_bytes() != before


def test_a_second_writer_is_refused(tmp_path):
    (tmp_path / "m.csv.partial").mkdir()
    with FileLock(tmp_path / "m.csv.partial" / "lock"), pytest.raises(InputError, match="another molgen"):
        generate(tmp_path / "m.csv", num=20)
    generate(tmp_path / "m.csv", num=20)


def test_files_of_others_in_the_work_folder_stay(tmp_path):
    (tmp_path / "m.csv.partial").mkdir()
    (tmp_path / "m.csv.partial" / "notes.txt").write_text("mine", encoding="utf-8")
    generate(tmp_path / "m.csv", num=20)
    assert [path.name for path in (tmp_path / "m.csv.partial").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("wanted", [1, 40, 170])
def test_unique_stops_at_the_sample_that_completes_it(tmp_path, wanted):
    record = generate(tmp_path / "m.csv", num=None, unique=wanted)
    rows = pd.read_csv(tmp_path / "m.csv")
    assert len(rows) == rows.smiles.nunique() == wanted == record["rows"]
    assert record["counts"]["unique"] == wanted and not record["fell_short"]
    assert record["counts"]["requested"] == rows["sample"].iloc[-1]
    samples = all_samples(num=None, unique=wanted)[: rows["sample"].iloc[-1]]
    assert rows.smiles.tolist() == samples[samples.reason == ""].smiles.drop_duplicates().tolist()
    assert record["counts"]["valid"] == (samples.reason == "").sum()


def test_unique_ends_at_its_limit_and_says_so(tmp_path):
    record = generate(tmp_path / "m.csv", num=None, unique=200, max_samples=210)
    assert record["fell_short"] and record["counts"]["requested"] == 210
    assert record["rows"] == record["counts"]["unique"] < 200


def test_sample_smiles_is_repeatable():
    first, again, other = (
        sample_smiles(MODEL.backend, MODEL.vocabulary, MODEL.statistics, 60, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert {verdict.valid for verdict in first} == {True, False}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num": 0}, "at least 1, got 0"),
        ({"num": -1}, "at least 1, got -1"),
        ({"num": 10**12}, "at most 100,000,000 samples"),
        ({"num": None, "unique": 0}, "unique should be at least 1"),
        ({"num": None}, "either"),
        ({"unique": 5}, "either"),
        ({"max_samples": 5}, "limit of samples"),
        ({"num": None, "unique": 5, "max_samples": 4}, "cannot come from at most 4"),
        ({"seed": -1}, "seed should be 0 or more, got -1"),
        ({"steps": 0}, "steps should be at least 1, got 0"),
        ({"steps": 51}, "at most 50 steps, got 51"),
        ({"sampler": "best"}, "'best'; choose from plain, other"),
        ({"device": "tpu"}, "tpu"),
    ],
)
def test_settings_out_of_range_are_named(changes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        settings(**changes)


@pytest.mark.parametrize("name", ["m.xls", "", "missing/m.csv"])
def test_outputs_that_cannot_be_written_leave_nothing(tmp_path, name):
    with pytest.raises(InputError):
        generate(tmp_path / name, num=5)
    assert not list(tmp_path.iterdir())


def test_nothing_is_seeded_globally(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    generate(tmp_path / "m.csv", num=20)
    assert torch.equal(torch.rand(4), expected)

"""Searches: what is asked and written, and that one which is killed goes on as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from molgen.errors import InputError, MolgenError
from molgen.optimisation.curves import parse_curve
from molgen.optimisation.log import Log
from molgen.optimisation.objective import parse_objective
from molgen.optimisation.run import optimise
from molgen.optimisation.scorers import Place
from molgen.optimisation.search import Search, SearchSettings
from tests.optimisation.trees import OPTIONS, model

OBJECTIVE = """
[[component]]
property = "logp"
range = {low = 1, high = 2}

[[component]]
has = "[OX2H]"
weight = 0.5
"""
# it writes down what it is asked, and takes its time where a file says so
SLOW = """
import sys, time, pathlib
smiles = sys.stdin.read().split()
with open("calls.log", "a") as log:
    log.write("".join(text + "\\n" for text in smiles))
if pathlib.Path("slow").exists():
    time.sleep(0.15)
print("\\n".join(str(text.count("N")) for text in smiles))
"""
WITH_PROGRAM = f"""{OBJECTIVE}
[[component]]
program = ["{sys.executable}", "count.py"]
batch = 4
sigmoid = {{zero = 0, one = 2}}
"""


def objective(folder: Path, text: str = OBJECTIVE) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "count.py").write_text(SLOW, encoding="utf-8")
    (folder / "objective.toml").write_text(text, encoding="utf-8")
    return folder / "objective.toml"


def search(folder: Path, name: str = "run", budget: int = 60, text: str = OBJECTIVE, **changes):
    made = changes.pop("model", None) or model()
    return optimise(made, objective(folder, text), folder / name, budget=budget, **(OPTIONS | changes))


OPTIONAL = """
[[component]]
admet = "hERG"
sigmoid = {zero = 0.6, one = 0.1}

[[component]]
buyable = true
weight = 0.2
"""


def molecules(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "molecules.csv", keep_default_na=False, na_values=[""], dtype={"parents": str})


def test_what_a_search_writes(tmp_path):
    done = search(tmp_path, budget=100)
    folder = tmp_path / "run"
    expected = ["best.csv", "curve.csv", "curve.png", "lock", "molecules.csv", "record.json", "report.html"]
    assert sorted(path.name for path in folder.iterdir()) == [*expected, "search.sqlite", "settings.json"]
    rows = molecules(folder)
    assert rows["number"].tolist() == list(range(1, 101))
    assert rows["smiles"].is_unique
    assert all(Chem.CanonSmiles(text) == text for text in rows["smiles"])
    # every parent was asked before, in an earlier generation
    for row in rows.itertuples():
        for parent in [] if pd.isna(row.parents) else map(int, row.parents.split()):
            assert parent < row.number and rows["generation"][parent - 1] < row.generation
    assert (rows["parents"].isna() == rows["move"].isin(["fresh", "targets"])).all()
    assert {"fresh", "regrow", "grow", "shrink", "noise"} <= set(rows["move"])
    score = (rows["logp desirability"] * rows["has desirability"] ** 0.5) ** (1 / 1.5)
    assert np.allclose(rows["score"], score, atol=1e-3)
    best = pd.read_csv(folder / "best.csv")
    assert best["score"].is_monotonic_decreasing and best["score"][0] == rows["score"].max()
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    assert record == json.loads(json.dumps(done.record))
    assert record["asked"] == 100 and record["seed"] == 3 and sum(record["moves"].values()) == 100
    assert record["best_10"] == pytest.approx(np.sort(rows["score"])[-10:].mean(), abs=1e-3)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert best["smiles"][0] in page and "http" not in page.split("</style>")[1].replace("http://www.w3.org", "")
    assert (folder / "curve.png").read_bytes()[:4] == b"\x89PNG"


def test_a_search_by_what_optional_packages_say(tmp_path, capfd):
    search(tmp_path, budget=24, text=OBJECTIVE + OPTIONAL)
    rows = molecules(tmp_path / "run")
    assert len(rows) == 24 and rows["hERG"].between(0, 1).all() and set(rows["buyable"]) <= {0, 1}
    assert capfd.readouterr() == ("", "")


def test_the_search_climbs(tmp_path):
    text = '[[component]]\nsimilar_to = "CC(O)CNC(C)CO"'
    rows = search(tmp_path, budget=150, text=text).results.molecules
    by_generation = rows.groupby("generation")["score"].mean()
    assert by_generation.iloc[-3:].mean() > 1.5 * by_generation.iloc[0]
    assert rows["score"][75:].nlargest(10).mean() > 1.2 * rows["score"][:75].nlargest(10).mean()


def test_of_the_candidates_the_promising_are_asked(tmp_path):
    text = '[[component]]\nsimilar_to = "CC(O)CNC(C)CO"'
    means = {}
    for candidates in (1, 4):
        rows = search(tmp_path, f"run-{candidates}", 150, text, candidates=candidates).results.molecules
        assert len(rows) == 150
        means[candidates] = rows["score"][72:].mean()
    assert means[4] > 1.3 * means[1]


def test_strange_rings_are_not_asked_for(tmp_path):
    made = parse_objective(OBJECTIVE, "o.toml", Place(model(), tmp_path))
    settings = SearchSettings("plain", 4, 0, "cpu")
    with Log(tmp_path / "log") as log:
        for changes, familiar in (({}, False), ({"any_rings": True}, True), ({"core": "C1CCC1"}, True)):
            found = Search(model(), made, replace(settings, **changes), log)
            assert found._is_familiar("Cc1ccccc1") and found._is_familiar("CCO")
            assert found._is_familiar("CC1CCC1") is familiar
    rows = search(tmp_path, core="C1CCC1", budget=24).results.molecules
    assert len(rows) == 24 and all("1" in text for text in rows["smiles"])


def test_seeds(tmp_path):
    first, again, other = (search(tmp_path, name, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4)))
    pd.testing.assert_frame_equal(first.results.molecules, again.results.molecules)
    assert first.results.molecules["smiles"].tolist() != other.results.molecules["smiles"].tolist()


def test_the_model_is_told_what_the_objective_wants(tmp_path):
    told = model()
    search(tmp_path, budget=24, model=told)
    assert set(told.backend.told) == {1.5}


def killed(folder: Path, after: int) -> None:
    """Start a search in a process of its own, and kill it and its program once so many values are in its log."""
    (folder / "slow").touch()
    command = [
        sys.executable,
        "-m",
        "tests.optimisation.trees",
        str(folder / "objective.toml"),
        str(folder / "run"),
        "60",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = folder / "calls.log"
    end = time.monotonic() + 120
    while len(log.read_text(encoding="utf-8").splitlines() if log.exists() else []) < after:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (folder / "slow").unlink()


def test_a_killed_search_goes_on_as_if_it_had_not_been(tmp_path):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    expected = search(undisturbed, text=WITH_PROGRAM)
    objective(disturbed, WITH_PROGRAM)
    killed(disturbed, 30)
    with Log(disturbed / "run" / "search.sqlite") as log:
        answered = log.answered("program")
        assert 0 < answered < 60
    found = search(disturbed, text=WITH_PROGRAM)
    pd.testing.assert_frame_equal(found.results.molecules, expected.results.molecules)
    calls = (disturbed / "calls.log").read_text(encoding="utf-8").splitlines()
    assert len((undisturbed / "calls.log").read_text(encoding="utf-8").splitlines()) == 60
    # at a kill one batch may be under way, whose answers nobody has
    assert len(set(calls)) == 60 and len(calls) - 60 <= 4


def test_a_larger_budget_goes_on_and_a_finished_search_asks_nothing(tmp_path):
    first = search(tmp_path, budget=24, text=WITH_PROGRAM)
    longer = search(tmp_path, budget=48, text=WITH_PROGRAM, seed=None)
    pd.testing.assert_frame_equal(longer.results.molecules[:24], first.results.molecules)
    search(tmp_path, budget=48, text=WITH_PROGRAM)
    calls = (tmp_path / "calls.log").read_text(encoding="utf-8").splitlines()
    assert len(calls) == len(set(calls)) == 48


@pytest.mark.parametrize(("stage", "asked"), [("scoring", 24), ("comparing with training molecules", 48)])
def test_a_stopped_search_shows_what_there_is_and_goes_on(tmp_path, stage, asked):
    def stop(doing: str, done: int, _total: int | None) -> None:
        if doing == stage and done >= (24 if stage == "scoring" else 0):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, budget=48, progress=stop)
    assert len(molecules(tmp_path / "run")) == asked
    record = json.loads((tmp_path / "run" / "record.json").read_text(encoding="utf-8"))
    assert record["finished"] == (asked == 48) and record["missing"] == {"logp": 0, "has": 0}
    done = search(tmp_path, budget=48)
    pd.testing.assert_frame_equal(done.results.molecules, search(tmp_path, "other", budget=48).results.molecules)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 4}, r"seed \(3 then, 4 now\)"),
        ({"population": 7, "batch": 5}, r"batch \(12 then, 5 now\), population \(20 then, 7 now\)"),
        ({"text": OBJECTIVE.replace("[OX2H]", "[OX2]")}, "objective"),
    ],
)
def test_another_search_is_refused_in_its_folder(tmp_path, changes, message):
    search(tmp_path, budget=12)
    before = (tmp_path / "run" / "record.json").read_bytes()
    with pytest.raises(InputError, match=f"holds a search with other settings: {message}"):
        search(tmp_path, **changes)
    assert (tmp_path / "run" / "record.json").read_bytes() == before


def test_values_may_be_weighed_anew_and_are_not_asked_again(tmp_path):
    text = WITH_PROGRAM.replace("one = 2}", "one = 4}")
    search(tmp_path, budget=24, text=WITH_PROGRAM)
    rows = search(tmp_path, budget=48, text=f'mean = "arithmetic"\n{text}', seed=None).results.molecules
    calls = (tmp_path / "calls.log").read_text(encoding="utf-8").splitlines()
    assert len(calls) == len(set(calls)) == 48
    parts = rows["logp desirability"] + 0.5 * rows["has desirability"] + rows["program desirability"]
    assert np.allclose(rows["score"], parts / 2.5, atol=1e-3)
    fine = parse_curve("sigmoid", {"zero": 0, "one": 4})
    assert np.allclose(rows["program desirability"], fine(rows["program"].to_numpy(float)), atol=1e-3)
    before = (tmp_path / "run" / "settings.json").read_bytes()
    with pytest.raises(InputError, match="holds 48 molecules, more than a budget of 24"):
        search(tmp_path, budget=24, text=text)
    bare = text.replace("sigmoid = {zero = 0, one = 4}", "")  # counts that go beyond 1
    with pytest.raises(InputError, match="component program: a value without a curve should be from 0 to 1"):
        search(tmp_path, budget=48, text=bare)
    assert (tmp_path / "run" / "settings.json").read_bytes() == before


def test_a_program_that_was_changed_is_another_objective(tmp_path):
    path = objective(tmp_path, WITH_PROGRAM)
    optimise(model(), path, tmp_path / "run", budget=12, **OPTIONS)
    (tmp_path / "count.py").write_text(SLOW + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="other settings: objective"):
        optimise(model(), path, tmp_path / "run", budget=12, **OPTIONS)


def test_folders_that_cannot_be_used(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").touch()
    with pytest.raises(InputError, match=r"holds files that are not of a search, such as thesis\.doc"):
        search(tmp_path, "full")
    with pytest.raises(InputError, match="is a file; give the name of a folder"):
        search(tmp_path, "objective.toml")
    with pytest.raises(InputError, match=r"the folder .*none does not exist"):
        search(tmp_path, "none/run")
    for wrong, message in (
        ({"budget": 0}, "budget should be 1 to"),
        ({"batch": 0}, "batch should be at least 1"),
        ({"candidates": 0}, "candidates should be at least 1"),
        ({"candidates": 101}, "candidates should be at most 100, got 101"),
        ({"seed": -1}, "seed should be 0 or more"),
        ({"sampler": "best"}, "has no sampler 'best'"),
        ({"steps": 99}, "takes at most 50 steps"),
        ({"core": "c1ccc"}, "core 'c1ccc' cannot be used"),
    ):
        with pytest.raises(InputError, match=message):
            search(tmp_path, "new", **wrong)
    assert not (tmp_path / "new").exists()


def test_missing_scores_are_no_zeros_and_no_parents(tmp_path):
    failing = SLOW.replace('str(text.count("N"))', '"failed" if "O" in text else str(text.count("N"))')
    objective(tmp_path)
    (tmp_path / "fail.py").write_text(failing, encoding="utf-8")
    text = WITH_PROGRAM.replace("count.py", "fail.py").replace(OBJECTIVE, "")
    done = search(tmp_path, text=text)
    rows = molecules(tmp_path / "run")
    lost = rows["smiles"].str.contains("O")
    assert lost.any() and not lost.all()
    assert (rows["score"].isna() == lost).all() and (rows["program"].isna() == lost).all()
    parents = {int(number) for text in rows["parents"].dropna() for number in text.split()}
    assert parents and not any(lost[number - 1] for number in parents)
    assert done.record["without_score"] == lost.sum() == done.record["missing"]["program"]
    assert any("gave no value" in text for text in done.warnings)


def test_a_scorer_that_never_answers_stops_small_generations_too(tmp_path):
    text = f'{OBJECTIVE}\n[[component]]\nprogram = ["{sys.executable}", "-c", "raise SystemExit(1)"]'
    with pytest.raises(MolgenError, match="none of the first 20 molecules"):
        search(tmp_path, budget=60, batch=8, text=text)
    record = json.loads((tmp_path / "run" / "record.json").read_text(encoding="utf-8"))
    assert not record["finished"] and record["warnings"] == ["program gave no value for 16 of 24 molecules"]


def test_a_scorer_that_once_answered_is_not_at_fault_after_a_resume(tmp_path):
    flaky = "import pathlib, sys\nsmiles = sys.stdin.read().split()\n"
    flaky += "print('\\n'.join('no' if pathlib.Path('down').exists() else '1' for _ in smiles))\n"
    objective(tmp_path)
    (tmp_path / "flaky.py").write_text(flaky, encoding="utf-8")
    text = f'{OBJECTIVE}\n[[component]]\nprogram = ["{sys.executable}", "flaky.py"]'
    search(tmp_path, budget=12, text=text)
    (tmp_path / "down").touch()
    assert search(tmp_path, budget=48, text=text).record["missing"]["program"] == 36


def test_an_error_in_the_middle_leaves_what_was_found(tmp_path):
    text = f'{OBJECTIVE}\n[[component]]\nprogram = ["{sys.executable}", "-c", "raise SystemExit(1)"]'
    with pytest.raises(MolgenError, match="component program: none of the first 20 molecules got a number"):
        search(tmp_path, budget=30, batch=30, text=text)
    rows = molecules(tmp_path / "run")
    assert len(rows) == 30 and rows["score"].isna().all() and rows["logp"].notna().all()


def test_a_core_stays_in_every_molecule(tmp_path):
    rows = search(tmp_path, budget=80, core="OCCN").results.molecules
    assert all(Chem.MolFromSmiles(text).HasSubstructMatch(Chem.MolFromSmiles("OCCN")) for text in rows["smiles"])
    assert len(set(rows["move"])) > 4


def test_a_core_larger_than_the_model_s_molecules_stays_too(tmp_path):
    core = "NCC(C)OCCCNCCCO"
    rows = search(tmp_path, budget=60, core=core).results.molecules
    mols = [Chem.MolFromSmiles(text) for text in rows["smiles"]]
    assert all(mol.HasSubstructMatch(Chem.MolFromSmiles(core)) for mol in mols)
    assert len({mol.GetNumAtoms() for mol in mols}) > 2
    assert len(set(rows["move"])) > 4


def test_no_likelihood_is_asked_of_molecules_larger_than_the_model_s(tmp_path):
    text = OBJECTIVE + "\n[[component]]\nlikelihood = true\n"
    bounded = replace(model(), bounds={size: np.arange(100.0) for size in range(4, 12)})
    with pytest.raises(InputError, match="takes all the room of the model's largest molecule"):
        search(tmp_path, budget=20, text=text, core="NCC(C)OCCCNCCCO", model=bounded)


def test_a_space_that_is_searched_out_ends_the_run(tmp_path):
    small = model()
    sizes = (0, 0, 0, 1)
    for owner in (small, small.backend):
        object.__setattr__(owner, "statistics", type(small.statistics)(sizes, (1.0, 0.0, 0.0), (0.5, 0.5, 0.0, 0.0)))
    small.backend.targets = ()
    done = search(tmp_path, budget=500, model=small)
    assert 0 < len(done.results.molecules) < 30  # chains of three of C, N and O
    assert any("nothing new was found" in text for text in done.warnings)


def test_a_search_is_watched_and_can_be_ended_while_it_draws(tmp_path):
    def stop(stage: str, done: int, _total: int | None) -> None:
        if stage == "drawing" and done == 24:
            raise KeyboardInterrupt

    seen = []
    watch = {"watch": lambda one: seen.append((len(one.log), bool(np.isnan(one.scores()).any())))}
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, progress=stop, **watch)
    assert seen == [(0, False), (12, False), (24, False)]
    assert len(molecules(tmp_path / "run")) == 24
    seen.clear()
    made = parse_objective(OBJECTIVE, "objective", Place(model(), None))
    optimise(model(), made, tmp_path / "run", budget=36, **OPTIONS, **watch, likelihood=False)
    assert seen == [(24, False), (36, False)]
    assert molecules(tmp_path / "run")["nll_percentile"].isna().all()

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from molgen.errors import InputError
from molgen.evaluation.screening import parse_profile
from molgen.generation.cores import parse_core
from molgen.generation.filters import KNOWN_RINGS, Filter, make_filter
from molgen.generation.runs import Tally
from molgen.generation.wanted import Wanted
from molgen.models.checkpoints import load_checkpoint
from molgen.molecules.hashing import smiles_hashes

PROFILE = parse_profile("small", '[ranges]\nmw = [0, 100]\n[substructures]\nmust_not_have = ["[OH]"]\n', "small")
RINGS = np.unique(smiles_hashes(["c1ccccc1", "C1CCNCC1"]))


def test_the_first_rule_that_fails_is_told():
    kept = Filter(PROFILE, RINGS)
    assert kept.rules == ["mw 0 to 100", "lacks [OH]", KNOWN_RINGS]
    smiles = ["c1ccccc1", "CCO", "C1CCC1", "OC1CCC1", "OCCc1ccccc1", "C[NH+]1CCCCC1", "CCC"]
    assert kept.first_failed(smiles).tolist() == [-1, 1, 2, 1, 0, 0, -1]
    assert Filter(None, RINGS).first_failed(smiles).tolist() == [-1, -1, 0, 0, -1, -1, -1]
    assert kept.first_failed([]).tolist() == []


def test_a_model_that_does_not_hold_its_ring_systems_says_so():
    model = load_checkpoint("qm9-edge")
    strange, known = "C1=CC2C3C1C32", make_filter(model, None, known_rings=True, wanted=Wanted())
    assert known.first_failed(["c1ccccc1", strange]).tolist() == [-1, 0]
    core = Wanted(core=parse_core(strange, model.vocabulary))  # who wants a ring to stay does not call it strange
    assert make_filter(model, None, known_rings=True, wanted=core).first_failed([strange]).tolist() == [-1]
    with pytest.raises(InputError, match="model qm9-edge was saved without the ring systems"):
        make_filter(replace(model, ring_systems=None), None, known_rings=True, wanted=Wanted())
    assert make_filter(model, None, known_rings=False, wanted=Wanted()) is None


def rows(smiles: list[str], stopped_by: list[int]) -> pd.DataFrame:
    reasons = ["" if text else "several fragments" for text in smiles]
    numbers = range(1, len(smiles) + 1)
    return pd.DataFrame(
        {"smiles": smiles, "novel": True, "sample": numbers, "reason": reasons, "stopped_by": stopped_by}
    )


def test_the_funnel_counts_distinct_molecules():
    tally = Tally(None, kept=Filter(PROFILE, RINGS))
    taken = tally.add(rows(["CCC", "CCC", "", "CCO", "C1CCC1"], [-1, -1, -1, 1, 2]))
    assert taken["smiles"].tolist() == ["CCC", "CCC"] and "stopped_by" not in taken
    taken = tally.add(rows(["CCO", "CO", "CC"], [1, 1, -1]))
    assert taken["smiles"].tolist() == ["CC"]
    assert [line["left"] for line in tally.funnel()] == [5, 3, 2]
    assert (tally.summary().valid, tally.summary().unique, tally.passed, tally.rows) == (7, 5, 2, 3)


@pytest.mark.parametrize("wanted", [1, 2])
def test_a_run_ends_when_so_many_distinct_ones_pass(wanted):
    tally = Tally(wanted, kept=Filter(PROFILE, RINGS))
    tally.add(rows(["CCO", "CCC", "CCC", "CC", "CO"], [1, -1, -1, -1, 1]))
    assert tally.finished and tally.passed == wanted
    assert tally.requested == {1: 2, 2: 4}[wanted]  # nothing after the last one is counted
    assert tally.summary().unique == {1: 2, 2: 3}[wanted]

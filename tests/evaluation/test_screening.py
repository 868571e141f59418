"""Screening profiles: what they say, what they refuse, and the funnel of known molecules."""

import numpy as np
import pandas as pd
import pytest

from molgen.data.readers import Row
from molgen.errors import InputError
from molgen.evaluation.assessment import assess_one
from molgen.evaluation.screening import clusters, diverse_pick, load_profile, parse_profile, screen, shipped_profiles

SMILES = ["CCO", "CCO", "nonsense", "CC(=O)Oc1ccccc1C(=O)O", "c1ccccc1N=Nc1ccccc1", "CCCCCCCCCC", "O=C(O)c1ccncc1"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.DataFrame([assess_one(Row(1, "", smiles)) for smiles in SMILES])


FIRST = np.array([True, False, True, True, True, True, True])


def profile(text: str):
    return parse_profile("test", text, "test.toml")


def test_the_funnel_counts_what_enters_and_leaves(frame):
    found = screen(profile('[ranges]\nmw = [50, 200]\n[alerts]\nreject = ["PAINS"]\n'), frame, FIRST)
    assert found.funnel.to_dict("list") == {
        "rule": ["valid", "not a repeat", "mw 50 to 200", "no PAINS alert"],
        "entered": [7, 6, 5, 4],
        "left": [6, 5, 4, 3],
        "failing": [1, 1, 2, 1],  # both copies of ethanol are too light
    }
    assert found.fails[0] == "mw 50 to 200"
    assert found.fails[1] == "not a repeat; mw 50 to 200"
    assert found.fails[2:5] == ["not valid", "", "no PAINS alert"]


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ('[substructures]\nmust_have = ["[cX3]C(=O)O"]', [3, 6]),
        ('[substructures]\nmust_not_have = ["a"]', [0, 5]),
        ('[substructures]\navoid_scaffolds = ["Cc1ccccc1"]', [0, 4, 5, 6]),
        ('[similarity]\nto = ["CC(=O)Oc1ccccc1C(=O)OC"]\nrange = [0.5, 1.0]', [3]),
    ],
)
def test_each_kind_of_rule(frame, text, passing):
    fails = screen(profile(text), frame, FIRST).fails
    assert [row for row, reasons in enumerate(fails) if not reasons] == passing


def test_a_value_that_is_missing_fails_its_range(frame):
    changed = frame.assign(qed=np.nan)
    assert all(screen(profile("[ranges]\nqed = [0, 1]"), changed, FIRST).fails)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[ranges]\n\nmass = [1, 2]", r"test.toml, line 3: \[ranges\] has no 'mass'; allowed: mw, logp"),
        ("pick = 5\nwindow = 3", "line 2: no key 'window' here; allowed: description, pick"),
        ("[ranges]\nmw = [300, 200]", r"line 2: mw should be a range \[low, high\], got \[300, 200\]"),
        ('[ranges]\nmw = "small"', "line 2: mw should be a range"),
        ('[substructures]\nmust_have = ["c1cc"]', r"line 2: 'c1cc' is not SMARTS"),
        ('[alerts]\nreject = ["PAIN"]', "line 2: no alert set 'PAIN'; allowed: PAINS, BRENK"),
        ('[similarity]\nto = ["hello"]\nrange = [0, 1]', "line 2: 'hello' is not a molecule"),
        ('[similarity]\nto = ["CCO"]', "needs both"),
        ("[similarity]\nto = []\nrange = [0, 1]", "line 2: .*at least one molecule"),
        ('[similarity]\nto = ["CC(=O)[O-].[Na+]"]\nrange = [0, 1]', "line 2: .* has several fragments"),
        ('[substructures]\navoid_scaffolds = ["CCO"]', "line 2: 'CCO' has no ring"),
        ("pick = 0", "line 1: pick should be"),
        ("ranges = 3", "line 1: ranges should be a table"),
        ("pick = \n[ranges]\n", "test.toml is not TOML: .*line 1"),
    ],
)
def test_mistakes_are_told_with_their_line(text, message):
    with pytest.raises(InputError, match=message):
        profile(text)


def test_the_shipped_profiles_load_and_an_unknown_one_is_refused():
    assert shipped_profiles() == ["cns", "fragment", "lead-like", "oral"]
    for name in shipped_profiles():
        found = load_profile(name)
        assert found.description and found.ranges and "CHEMBL" not in found.alerts
    with pytest.raises(InputError, match="no profile 'leadlike'; choose from cns, fragment, lead-like, oral"):
        load_profile("leadlike")


def test_the_pick_is_diverse_and_clusters_hold_the_alike(frame):
    fingerprints = [frame["fingerprint"][k] for k in (0, 0, 0, 3, 5)]
    assert sorted(diverse_pick(fingerprints, 3)) in ([0, 3, 4], [1, 3, 4], [2, 3, 4])
    assert diverse_pick(fingerprints[:2], 5) == [0, 1]
    assert [sorted(members) for members in clusters(fingerprints)] == [[0, 1, 2], [4], [3]]

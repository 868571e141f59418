"""Distances between sets of molecules, and the intervals of shares and means."""

import numpy as np
import pandas as pd
import pytest

from molgen.evaluation.descriptors import sketch
from molgen.evaluation.set_metrics import kl_score, mean_interval, moses_suite, share_interval
from tests.evaluation.real_molecules import REAL


@pytest.fixture(scope="module")
def sketched() -> pd.DataFrame:
    return pd.DataFrame([sketch(smiles, "moses") | sketch(smiles, "kl") for smiles in REAL])


def test_a_set_is_at_no_distance_from_itself(sketched):
    suite = moses_suite(sketched, sketched)
    assert suite["SNN"] == pytest.approx(1.0)
    assert suite["Frag"] == pytest.approx(1.0) and suite["Scaf"] == pytest.approx(1.0)
    assert [suite[name] for name in ("logP", "SA", "QED", "weight")] == [0.0] * 4
    assert kl_score(sketched, sketched) == pytest.approx(1.0)


def test_another_set_is_further(sketched):
    half = sketched.iloc[:11]
    suite = moses_suite(half, sketched)
    assert suite["weight"] > 10 and suite["Frag"] < 0.99
    assert kl_score(half, sketched) < 0.95


def test_fragments_are_compared_whatever_their_number(sketched):
    one, other = sketched.iloc[:12], sketched.iloc[6:]
    few = moses_suite(one, other)["Frag"]
    assert 0 < few < 0.99
    # a hundred thousand times each
    many = one.assign(fragments=one["fragments"] + "." + "CC." * 99_999 + "CC")
    assert moses_suite(many, many)["Frag"] == pytest.approx(1)
    assert moses_suite(many, other)["Frag"] < few


def test_internal_diversity_of_two_molecules(sketched):
    pair = sketched.iloc[[0, 5]]  # ethanol and benzene share no bit
    suite = moses_suite(pair, pair)
    # the mean over both with both is 1/2, its root that of 1/2
    assert suite["IntDiv"] == pytest.approx(0.5)
    assert suite["IntDiv2"] == pytest.approx(1 - 0.5**0.5)


def test_intervals_of_means_hold_them_and_narrow_with_the_sample():
    random = np.random.default_rng(0)
    widths = []
    for count in (100, 10_000, 40_000):
        values = random.normal(3.0, 1.0, count)
        low, high = mean_interval(values)
        assert low < values.mean() < high
        assert high - low == pytest.approx(2 * 1.96 / count**0.5, rel=0.3)
        widths.append(high - low)
    assert widths[0] > widths[1] > widths[2]
    assert mean_interval(np.array([2.0, np.nan, 2.0])) == (2.0, 2.0)
    assert np.isnan(mean_interval(np.array([]))).all()


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        (3, 3, 0.4385, 1),  # 1 / (1 + z^2 / n): three hits of three are no proof
        (0, 3, 0, 0.5615),
        (30, 100, 0.2189, 0.3958),
        (81, 263, 0.2553, 0.3662),  # as Newcombe (1998) has it
        (9_700, 10_000, 0.9665, 0.9732),
    ],
)
def test_intervals_of_shares_are_those_of_wilson(count, total, low, high):
    found = share_interval(count, total)
    assert found == pytest.approx((low, high), abs=1e-4)
    assert 0 <= found.low <= count / total <= found.high <= 1


def test_nothing_has_no_interval():
    assert np.isnan(share_interval(0, 0)).all()

"""Curves at values that can be told by hand."""

import numpy as np
import pytest

from molgen.errors import InputError
from molgen.optimisation.curves import AsItIs, HalvedByEach, Opposite, Range, Sigmoid, Target, parse_curve

NAN = float("nan")


def of(curve, *values: float) -> list[float]:
    return curve(np.array(values, float)).round(6).tolist()


def test_curves_at_known_values():
    assert of(Range(1, 3, 0.5), 1, 2, 3, 0.5, 3.5, 4) == [1, 1, 1, 0.5, 0.5, 0.0625]
    assert of(Target(2, 0.5), 2, 2.5, 1.5, 3) == [1, 0.5, 0.5, 0.0625]
    assert of(Sigmoid(0.2, 0.6), 0.2, 0.4, 0.6) == [0.01, 0.5, 0.99]
    assert of(Sigmoid(0.6, 0.2), 0.2, 0.4, 0.6) == [0.99, 0.5, 0.01]
    assert of(Sigmoid(0, 1), -1e9, 1e9) == [0, 1]
    assert of(Opposite(), 0.25) == [0.75] and of(AsItIs(), 0, 0.25, 1) == [0, 0.25, 1]
    assert of(HalvedByEach(), 0, 1, 3) == [1, 0.5, 0.125]


@pytest.mark.parametrize("curve", [Range(1, 3, 1), Target(1, 1), Sigmoid(0, 1), AsItIs(), Opposite(), HalvedByEach()])
def test_a_missing_value_stays_missing(curve):
    assert np.isnan(curve(np.array([NAN]))).all()


def test_aims():
    assert [Range(1, 3, 1).aim, Target(5, 1).aim, Sigmoid(0, 7).aim, AsItIs().aim] == [2, 5, 7, None]


def test_the_soft_edge_of_a_range_is_a_quarter_of_it():
    assert parse_curve("range", {"low": 1, "high": 3}) == Range(1, 3, 0.5)
    assert parse_curve("sigmoid", {"zero": 3, "one": 1}) == Sigmoid(3, 1)


@pytest.mark.parametrize(
    ("kind", "table", "message"),
    [
        ("range", 3, "range should be written range = {low = ..., high = ...}, got 3"),
        ("range", {"low": 1}, "range needs high"),
        ("range", {"low": 1, "high": 2, "top": 3}, "range has no 'top'; it takes low, high, soft"),
        ("range", {"low": 2, "high": 1}, "range: low should be at most high, got 2 and 1"),
        ("range", {"low": 2, "high": 2}, "low and high are equal"),
        ("range", {"low": 1, "high": "3"}, "range.high should be a finite number, got '3'"),
        ("range", {"low": 1, "high": True}, "range.high should be a finite number, got True"),
        ("target", {"value": 1, "soft": 0}, "target: soft should be above 0, got 0"),
        ("target", {"value": float("inf"), "soft": 1}, "target.value should be a finite number, got inf"),
        ("sigmoid", {"zero": 1, "one": 1}, "sigmoid: zero and one should differ, both are 1"),
    ],
)
def test_bad_curves_are_told(kind, table, message):
    with pytest.raises(InputError) as error:
        parse_curve(kind, table)
    assert message in str(error.value)


def test_a_value_out_of_bounds_needs_a_curve():
    with pytest.raises(InputError, match=r"should be from 0 to 1, got 7\.3: give it a curve"):
        AsItIs()(np.array([0.5, 7.3]))
    assert AsItIs()(np.array([-1e-6, 0.5, 1.0000013])).tolist() == [0, 0.5, 1]  # votes added up in float32

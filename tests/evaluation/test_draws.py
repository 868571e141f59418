"""Draws of molecules: fixed, even, without duplicates."""

import numpy as np
import pytest

from molgen.evaluation.draws import EvenDraw, sample

MOLECULES = ["C" * length + end for length in range(1, 25) for end in ("", "O", "N", "F")]


def test_sample_is_a_fixed_draw_without_repeats():
    drawn = sample(MOLECULES, 20)
    assert drawn == sample(MOLECULES, 20) and len(set(drawn)) == 20 and set(drawn) < set(MOLECULES)
    assert drawn == sample(MOLECULES, 30)[:20]
    assert sorted(sample(MOLECULES, 10_000)) == sorted(MOLECULES)


def test_an_even_draw_is_of_the_size_asked_for_and_in_order():
    parts = [list(range(start, start + 100)) for start in range(0, 5_000, 100)]
    counts = np.zeros(5_000)
    draw = EvenDraw[int](500)
    for part in parts:
        draw.add(part)
    counts[draw.items] += 1
    assert draw.items == sorted(set(draw.items)) and len(draw.items) == 500
    assert counts[:2_500].sum() == pytest.approx(250, abs=50)  # 4.7 times the standard deviation of 10.6
    small = EvenDraw[int](500)
    small.add(parts[0])
    assert small.items == parts[0]

"""Noise levels, and the random draws that all models make."""

import pytest
import torch

from molgen.models.noise import (
    cosine_alpha_bar,
    gaussian,
    geometric_sigma,
    sample_classes,
    sample_rows,
    spread_uniforms,
    stratum_uniforms,
    uniform,
    with_noise,
)

CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_schedule_goes_from_data_to_noise():
    alpha_bar = cosine_alpha_bar(torch.linspace(0, 1, 501, dtype=torch.float64))
    assert alpha_bar[0] == 1
    assert alpha_bar[-1] == pytest.approx(0, abs=1e-12)
    assert (alpha_bar.diff() < 0).all()


def test_geometric_levels_are_even_in_the_logarithm():
    levels = geometric_sigma(torch.tensor([0.0, 0.5, 1.0]), 0.1, 10.0)
    assert levels.tolist() == pytest.approx([0.1, 1.0, 10.0])


def test_numbers_are_drawn_where_the_generator_lives():
    """The meta device stands for a GPU: what is drawn on the CPU is moved there, and the CPU's generator moves on."""
    drawing = generator()
    drawn = uniform((3, 2), drawing, torch.device("meta"))
    assert drawn.shape == (3, 2) and drawn.device.type == "meta"
    assert torch.equal(uniform((4,), drawing, CPU), torch.rand(10, generator=generator())[6:])


def test_spread_numbers_have_one_in_each_stratum():
    spread = spread_uniforms(8, generator(), CPU)
    assert (spread.sort().values * 8).floor().tolist() == list(range(8))
    assert not torch.equal(spread, spread.sort().values)
    third = stratum_uniforms(100, 2, 4, generator(), CPU)
    assert (third >= 0.5).all() and (third <= 0.75).all()


def test_each_seed_has_its_noise_and_the_variance_is_one():
    like = torch.zeros(100_000)
    first, again, other = (gaussian(like, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert abs(float((first * other).mean())) < 0.016  # 5 standard errors
    assert float(first.var()) == pytest.approx(1.0, abs=0.025)


def test_noise_is_added_by_the_level_of_each_graph():
    x = torch.ones(2, 3, 4)
    noisy = with_noise(x, torch.tensor([0.0, 2.0]), generator())
    assert torch.equal(noisy[0], x[0])
    assert torch.equal(noisy[1], x[1] + 2 * gaussian(x, generator())[1])


def test_sample_classes_follows_unnormalised_weights_and_skips_zeros():
    weights = torch.tensor([0.0, 2.0, 6.0, 0.0]).expand(100_000, 4)
    drawn = sample_classes(weights, torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn, minlength=4) / len(drawn)
    assert torch.allclose(shares, torch.tensor([0.0, 0.25, 0.75, 0.0]), atol=0.01)
    assert shares[0] == shares[3] == 0


def test_rows_are_drawn_by_their_weights():
    rows = sample_rows(torch.tensor([1.0, 0.0, 3.0]), 10_000, generator())
    shares = torch.bincount(rows, minlength=3) / len(rows)
    assert shares[1] == 0
    assert float(shares[2]) == pytest.approx(0.75, abs=0.022)  # 5 standard errors

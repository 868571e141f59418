"""Samplers of continuous diffusion on data whose denoiser is known in closed form."""

import itertools
import math

import pytest
import torch

from molgen.models import gaussian_samplers as solvers
from molgen.models.gaussian_samplers import Levels
from molgen.models.noise import gaussian

MEAN = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
SPREAD = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
LEVELS = Levels(20.0, 0.02)
ODE = [solvers.heun, solvers.multistep]
SDE = [solvers.stochastic, solvers.euler_maruyama, solvers.predictor_corrector]
ALL = [*ODE, *SDE, solvers.langevin]


def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """E[x0 | x] of x0 ~ N(MEAN, SPREAD^2)."""
    return (SPREAD**2 * x + sigma**2 * MEAN) / (SPREAD**2 + sigma**2)


def run(solver, steps: int, start: torch.Tensor, levels: Levels = LEVELS) -> torch.Tensor:
    return solver(denoise, start, steps, levels, torch.Generator().manual_seed(1))


def noise(count: int) -> torch.Tensor:
    like = torch.zeros(count, 3, dtype=torch.float64)
    return MEAN + LEVELS.most * gaussian(like, torch.Generator().manual_seed(0))


def exact(start: torch.Tensor) -> torch.Tensor:
    """Where the probability-flow ODE takes `start`, then denoised at the last level."""
    flow = MEAN + (start - MEAN) * ((SPREAD**2 + LEVELS.least**2) / (SPREAD**2 + LEVELS.most**2)).sqrt()
    return denoise(flow, LEVELS.least)


@pytest.mark.parametrize("rho", [1.0, 7.0, math.inf])
def test_levels_fall_from_most_to_least(rho):
    levels = Levels(10.0, 0.1, rho).spread(6)
    assert len(levels) == 6
    assert levels[0] == pytest.approx(10.0) and levels[-1] == pytest.approx(0.1)
    assert all(before > after for before, after in itertools.pairwise(levels))
    assert Levels(10.0, 0.1, rho).spread(1) == [pytest.approx(10.0)]


@pytest.mark.parametrize("solver", ALL)
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 8, 13])
def test_steps_are_the_evaluations_made(solver, steps):
    seen = []

    def counted(x, sigma):
        seen.append(sigma)
        return denoise(x, sigma)

    solver(counted, noise(2), steps, LEVELS, torch.Generator().manual_seed(0))
    assert len(seen) == steps
    assert seen[0] == pytest.approx(LEVELS.most)
    if steps > 1:
        assert seen[-1] == pytest.approx(LEVELS.least)


@pytest.mark.parametrize("solver", ODE)
def test_the_ode_is_solved_to_second_order(solver):
    start = noise(50)
    errors = [float((run(solver, steps, start) - exact(start)).abs().max()) for steps in (41, 81, 161)]
    assert errors[0] < 0.1
    for coarse, fine in itertools.pairwise(errors):
        assert 3.0 < coarse / fine < 5.0  # second order: 4


@pytest.mark.parametrize("solver", [*SDE, solvers.langevin])
def test_a_gaussian_is_drawn(solver):
    """Mean within 5 standard errors; spread within 3 % where the sampler has enough steps."""
    many = solver is solvers.langevin
    drawn = run(solver, 600 if many else 200, noise(20_000))
    assert ((drawn.mean(0) - MEAN).abs() < 5 * SPREAD / math.sqrt(20_000)).all()
    # annealed Langevin has a bias of its own: it jumps between few levels with steps that are not small
    assert torch.allclose(drawn.std(0), SPREAD, rtol=0.15 if many else 0.03)


def test_the_way_back_leads_to_where_the_way_came_from():
    start = noise(50)
    data = MEAN + (start - MEAN) * ((SPREAD**2 + LEVELS.least**2) / (SPREAD**2 + LEVELS.most**2)).sqrt()
    assert torch.allclose(solvers.invert(denoise, data, 200, LEVELS), start, rtol=0.01, atol=0.05)


def test_langevin_dynamics_of_many_steps_is_nearly_exact():
    """1,000 steps for each level, where 100 leave the spread up to 15 % too large."""
    drawn = run(solvers.langevin, 6000, noise(4000))
    assert ((drawn.mean(0) - MEAN).abs() < 5 * SPREAD / math.sqrt(4000)).all()
    assert torch.allclose(drawn.std(0), SPREAD, rtol=0.05)


PUBLISHED = (1.6, 0.8, 0.6, 0.4, 0.2, 0.1)


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_the_published_dynamics_draws_a_gaussian(share):
    """The authors' levels, steps and start: the mean is right, and with all of the noise so is the spread."""
    start = gaussian(torch.zeros(4000, 3, dtype=torch.float64), torch.Generator().manual_seed(0)).abs()
    drawn = solvers.annealed_langevin(
        denoise, start, 6000, PUBLISHED, torch.Generator().manual_seed(1), ratio=0.05, noise=share
    )
    assert ((drawn.mean(0) - MEAN).abs() < 5 * SPREAD / math.sqrt(4000)).all()
    exact = (SPREAD**2 + PUBLISHED[-1] ** 2).sqrt()  # x still has the noise of the last level
    if share == 1:
        assert torch.allclose(drawn.std(0), exact, rtol=0.05)
    else:
        assert (drawn.std(0) < 0.6 * exact).all()


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (1, [0.1]),
        (4, [0.6, 0.4, 0.2, 0.1]),
        (6, list(PUBLISHED)),
        (12, [sigma for sigma in PUBLISHED for _ in range(2)]),
    ],
)
def test_the_published_levels_share_the_steps(steps, expected):
    seen = []

    def counted(x, sigma):
        seen.append(sigma)
        return denoise(x, sigma)

    solvers.annealed_langevin(counted, noise(2), steps, PUBLISHED, torch.Generator().manual_seed(0), ratio=0.05)
    assert seen == expected

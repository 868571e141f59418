"""Samplers for continuous diffusion: from Gaussian noise to data, for any network that denoises.

Everything is written for noise added to data, x = x0 + sigma e (variance exploding). A variance-preserving process
is the same one in x / alpha with sigma / alpha for sigma (Karras et al. 2022, appendix B), so these serve both. The
score is (D(x, sigma) - x) / sigma^2 with D(x, sigma) = E[x0 | x], the denoiser.

Each sampler is a function of (denoise, x, steps, levels, generator) -> the last D, float [b, ...]: x at level
levels.most, `steps` evaluations of the network in all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from molgen.models.noise import gaussian

# of a Langevin step: its step size is this times sigma^2 (Song and Ermon 2019 keep that ratio the same at all levels)
LANGEVIN_STEP = 0.2
# as many as the published EDP-GNN has
LANGEVIN_LEVELS = 6
# of a corrector step after a predictor step
CORRECTOR_STEP = 0.1

# (x at noise level sigma, sigma) -> E[x0 | x]
Denoise = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class Levels:
    """The range of sigma, and how steps are spread over it: evenly in sigma^(1/rho) (Karras et al. 2022, eq. 5)."""

    most: float
    least: float
    rho: float = 7.0

    def spread(self, count: int) -> list[float]:
        """`count` falling levels, the first `most` and the last `least`; one level is `most`."""
        shares = [k / max(1, count - 1) for k in range(count)]
        if math.isinf(self.rho):  # the limit: evenly in log sigma
            return [self.most ** (1 - share) * self.least**share for share in shares]
        first, last = self.most ** (1 / self.rho), self.least ** (1 / self.rho)
        return [(first + share * (last - first)) ** self.rho for share in shares]

    def after(self, skipped: int, count: int) -> Levels:
        """The range of `spread(count)` without the first levels; the others are those that this range spreads."""
        return replace(self, most=self.spread(count)[skipped])


# (denoise, x, steps, levels, generator) -> the last estimate of x0
Sampler = Callable[[Denoise, Tensor, int, Levels, torch.Generator | None], Tensor]


def stochastic(denoise: Denoise, x: Tensor, steps: int, levels: Levels, generator: torch.Generator | None) -> Tensor:
    """The reverse SDE, each step drawn from q(x_s | x_t, x0 = D): ancestral sampling (Ho et al. 2020, eq. 7)."""
    for sigma, target in pairwise(levels.spread(steps)):
        x = _posterior_draw(x, denoise(x, sigma), sigma, target, generator)
    return denoise(x, levels.least if steps > 1 else levels.most)


def euler_maruyama(
    denoise: Denoise, x: Tensor, steps: int, levels: Levels, generator: torch.Generator | None
) -> Tensor:
    """The reverse SDE dx = -2 sigma score dsigma + sqrt(2 sigma) dw by Euler-Maruyama (Song et al. 2021, eq. 6)."""
    for sigma, target in pairwise(levels.spread(steps)):
        variance = sigma**2 - target**2
        score = (denoise(x, sigma) - x) / sigma**2
        x = x + variance * score + math.sqrt(variance) * gaussian(x, generator)
    return denoise(x, levels.least if steps > 1 else levels.most)


def predictor_corrector(
    denoise: Denoise, x: Tensor, steps: int, levels: Levels, generator: torch.Generator | None
) -> Tensor:
    """A predictor step to the next level and a Langevin step there (Song et al. 2021, algorithm 1), an evaluation each.

    Where `steps` is even the last level has no corrector.
    """
    spread = levels.spread(steps // 2 + 1)
    left = steps
    for sigma, target in pairwise(spread):
        x = _posterior_draw(x, denoise(x, sigma), sigma, target, generator)
        left -= 1
        if left > 1:
            x = _langevin_step(denoise, x, target, CORRECTOR_STEP, generator)
            left -= 1
    return denoise(x, spread[-1])


def heun(denoise: Denoise, x: Tensor, steps: int, levels: Levels, generator: torch.Generator | None) -> Tensor:
    """The probability-flow ODE by Heun's method, second order (Karras et al. 2022, algorithm 1).

    Two evaluations a step, one at the last level; where `steps` is even the first step is one of Euler.
    """
    spread = levels.spread((steps + 2) // 2)
    for position, (sigma, target) in enumerate(pairwise(spread)):
        slope = (x - denoise(x, sigma)) / sigma
        ahead = x + (target - sigma) * slope
        if position == 0 and steps % 2 == 0:
            x = ahead
            continue
        x = x + (target - sigma) * 0.5 * (slope + (ahead - denoise(ahead, target)) / target)
    return denoise(x, spread[-1])


def multistep(denoise: Denoise, x: Tensor, steps: int, levels: Levels, generator: torch.Generator | None) -> Tensor:
    """The probability-flow ODE by DPM-Solver++(2M), of second order (Lu et al. 2022, algorithm 2)."""
    before: Tensor | None = None
    length = 0.0
    for sigma, target in pairwise(levels.spread(steps)):
        clean = denoise(x, sigma)
        step = math.log(sigma / target)
        ahead = clean
        if before is not None:
            ahead = clean + step / (2 * length) * (clean - before)
        x = target / sigma * x + (1 - target / sigma) * ahead
        before, length = clean, step
    return denoise(x, levels.least if steps > 1 else levels.most)


def invert(denoise: Denoise, x: Tensor, steps: int, levels: Levels) -> Tensor:
    """The probability-flow ODE the other way, from data to the noise at levels.most that leads to it, by Heun's method.

    x: data, taken to be at levels.least; two evaluations a step.
    """
    for sigma, target in pairwise(levels.spread(steps + 1)[::-1]):
        slope = (x - denoise(x, sigma)) / sigma
        ahead = x + (target - sigma) * slope
        x = x + (target - sigma) * 0.5 * (slope + (ahead - denoise(ahead, target)) / target)
    return x


def langevin(denoise: Denoise, x: Tensor, steps: int, levels: Levels, generator: torch.Generator | None) -> Tensor:
    """Annealed Langevin dynamics (Song and Ermon 2019, algorithm 1) on six levels of sigma, even in its logarithm.

    Its draws are those of the data only in the limit of many small steps: with 1,000 for each level, as in EDP-GNN
    (section 3.3), they are near to it; with some 30 for each level the draws remember the level before, and spread
    too far. The levels of EDP-GNN itself are in `annealed_langevin`.
    """
    count = min(LANGEVIN_LEVELS, steps)
    spread = Levels(levels.most, levels.least, math.inf).spread(count)
    for step in range(steps - 1):
        x = _langevin_step(denoise, x, spread[step * count // steps], LANGEVIN_STEP, generator)
    return denoise(x, spread[-1])


def annealed_langevin(
    denoise: Denoise,
    x: Tensor,
    steps: int,
    sigmas: Sequence[float],
    generator: torch.Generator | None,
    *,
    ratio: float,
    noise: float = 1.0,
) -> Tensor:
    """Annealed Langevin dynamics as the authors of EDP-GNN run it (Niu et al. 2020, algorithm 1, and their code).

    As many steps at each of the falling sigmas; where `steps` is smaller than their number, at the last ones. A step
    adds noise, noise * sqrt(2 a), and then goes a times the score from there, with a = ratio * sigma^2. Returns the
    last x, float [b, ...], which is as it is: not denoised.
    """
    for left in reversed(range(steps)):
        sigma = sigmas[len(sigmas) - 1 - left * len(sigmas) // max(steps, len(sigmas))]
        x = x + noise * math.sqrt(2 * ratio) * sigma * gaussian(x, generator)
        x = x + ratio * (denoise(x, sigma) - x)
    return x


def _posterior_draw(x: Tensor, clean: Tensor, sigma: float, target: float, generator: torch.Generator | None) -> Tensor:
    keep = (target / sigma) ** 2
    return keep * x + (1 - keep) * clean + target * math.sqrt(1 - keep) * gaussian(x, generator)


def _langevin_step(
    denoise: Denoise, x: Tensor, sigma: float, ratio: float, generator: torch.Generator | None
) -> Tensor:
    # step size ratio * sigma^2, score (D - x) / sigma^2
    return x + 0.5 * ratio * (denoise(x, sigma) - x) + math.sqrt(ratio) * sigma * gaussian(x, generator)

"""Samplers for a network that gives log p(x | z_t) at any noise level.

Each is a function of (state, time t, time s, prediction, noise) -> the state at s < t, for one row of entries
(all nodes or all pairs): classes int64 [b, k], times float scalars in [0, 1] (1: noise), prediction float [b, k, c]
the distribution of the clean class. A run takes one network evaluation per step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from molgen.models.digress.process import TINY, noised, posterior
from molgen.models.noise import cosine_alpha_bar, sample_classes

# flow: strength of target guidance and of the corrector; chosen, not tuned
TARGET_GUIDANCE = 0.05
STOCHASTICITY = 5.0


@dataclass(frozen=True)
class Step:
    """From noise level alpha-bar_t to alpha-bar_s (floats, s the cleaner), for `marginals` [c]."""

    alpha_bar_t: float
    alpha_bar_s: float
    marginals: Tensor
    generator: torch.Generator | None


def ancestral(classes: Tensor, clean: Tensor, step: Step) -> Tensor:
    """A draw of z_s ~ sum_x p(x | z_t) q(z_s | z_t, x): DiGress, eq. 4, for any two noise levels."""
    t = clean.new_full((len(classes),), step.alpha_bar_t)
    s = clean.new_full((len(classes),), step.alpha_bar_s)
    return sample_classes(posterior(classes, clean, t, s, step.marginals), step.generator)


def project_and_noise(classes: Tensor, clean: Tensor, step: Step) -> Tensor:
    """Draw a clean graph and noise it anew to level s (MolHIT 2026; cold diffusion, Bansal et al. 2023)."""
    drawn = sample_classes(clean, step.generator)
    return noised(drawn, clean.new_full((len(classes),), step.alpha_bar_s), step.marginals, step.generator)


def flow(classes: Tensor, clean: Tensor, step: Step) -> Tensor:
    """One Euler step of the discrete flow of DeFoG (Qin et al. 2025), with flow time alpha-bar.

    Rates: R* of eq. 5, plus target guidance omega (eq. 8) and the detailed-balance corrector eta (eq. 9).
    """
    time, delta = step.alpha_bar_t, step.alpha_bar_s - step.alpha_bar_t
    if step.alpha_bar_s >= 1.0:
        return sample_classes(clean, step.generator)
    marginals = step.marginals
    target = sample_classes(clean, step.generator)
    goal = one_hot(target, len(marginals)).to(clean.dtype)
    density = time * goal + (1 - time) * marginals  # p_t(. | x1 = target), [b, k, c]
    here = density.gather(-1, classes[..., None])
    support = (density > 0).sum(-1, keepdim=True)
    # d/dt p_t = goal - marginals
    slope = goal - marginals
    gain = (slope - slope.gather(-1, classes[..., None])).clamp(min=0.0) * (density > 0)
    rate = gain / (support * here).clamp(min=TINY)
    rate = rate + TARGET_GUIDANCE * goal / (support * here).clamp(min=TINY)
    rate = rate + STOCHASTICITY * density
    jump = (rate * delta).scatter(-1, classes[..., None], 0.0)
    leave = jump.sum(-1, keepdim=True)
    jump = jump / leave.clamp(min=1.0)  # a step too long for the rate leaves for certain
    stay = (1 - jump.sum(-1, keepdim=True)).clamp(min=0.0)
    return sample_classes(jump.scatter(-1, classes[..., None], stay), step.generator)


def time_levels(steps: int, power: float) -> Tensor:
    """Noise levels of steps + 1 times u ** power of even u, from 0 (noise) to 1 (data), float64 [steps + 1].

    A power above 1 makes shorter steps near the data, where valences are settled.
    """
    return cosine_alpha_bar(torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float64) ** power)


def distorted_flow_levels(steps: int) -> Tensor:
    """Flow times 2t - t^2 (DeFoG's polynomial-decreasing distortion: short steps at the end), [steps + 1]."""
    time = torch.linspace(0.0, 1.0, steps + 1, dtype=torch.float64)
    return 2 * time - time**2


SAMPLERS: dict[str, tuple[Callable[[Tensor, Tensor, Step], Tensor], Callable[[int], Tensor]]] = {
    "ancestral": (ancestral, partial(time_levels, power=1.5)),
    "even": (ancestral, partial(time_levels, power=1.0)),
    "project-and-noise": (project_and_noise, partial(time_levels, power=3.0)),
    "flow": (flow, distorted_flow_levels),
}

"""Noise levels as functions of time, and every random draw of the models; time runs from 0 (data) to 1 (noise).

Random numbers are drawn on the device where the generator lives, else on that of the model, and then moved: one seed
gives one result on every device.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

COSINE_OFFSET = 0.008


def cosine_alpha_bar(time: Tensor) -> Tensor:
    """Share of the signal left at `time` in [0, 1], any shape, float; 1 at time 0 and 0 at time 1.

    Nichol and Dhariwal 2021, eq. 17, as used by DiGress (Vignac et al. 2023), scaled to be exactly 1 at time 0.
    """
    start = math.cos(0.5 * math.pi * COSINE_OFFSET / (1 + COSINE_OFFSET)) ** 2
    angle = 0.5 * math.pi * (time + COSINE_OFFSET) / (1 + COSINE_OFFSET)
    return (torch.cos(angle) ** 2 / start).clamp(0.0, 1.0)


def geometric_sigma(time: Tensor, least: float, most: float) -> Tensor:
    """Standard deviation of Gaussian noise at `time` in [0, 1], any shape: evenly in log sigma (Song et al. 2021)."""
    low, high = math.log(least), math.log(most)
    return (low + time * (high - low)).exp()


def uniform(shape: Sequence[int], generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Numbers in [0, 1), float32 of the shape."""
    return torch.rand(tuple(shape), generator=generator, device=_source(generator, device)).to(device)


def gaussian(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers, of the shape, dtype and device of `like`."""
    return torch.randn(like.shape, generator=generator, device=_source(generator, like.device)).to(like)


def with_noise(x: Tensor, sigma: Tensor, generator: torch.Generator | None) -> Tensor:
    """x [b, k, c] + sigma [b] times Gaussian noise: the variance-exploding process (Song et al. 2021)."""
    return x + sigma[:, None, None] * gaussian(x, generator)


def spread_uniforms(count: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Numbers in [0, 1), one in each of `count` equal strata, in random order, [count]: a batch covers all times."""
    source = _source(generator, device)
    offset = torch.rand((), generator=generator, device=source)
    order = torch.randperm(count, generator=generator, device=source)
    return ((order + offset) / count).to(device)


def stratum_uniforms(
    count: int, stratum: int, strata: int, generator: torch.Generator | None, device: torch.device
) -> Tensor:
    """Numbers of one stratum, (stratum + u) / strata, [count]; rounding can make one as large as the stratum's end."""
    return (stratum + uniform((count,), generator, device)) / strata


def sample_classes(probabilities: Tensor, generator: torch.Generator | None) -> Tensor:
    """One class for each row of [..., c], int64 [...]; probabilities need not be normalised."""
    return classes_at(probabilities, uniform(probabilities.shape[:-1], generator, probabilities.device))


def classes_at(probabilities: Tensor, numbers: Tensor) -> Tensor:
    """The class of each row of [..., c] that numbers in [0, 1), [...], draw, int64 [...].

    Inverts the cumulative sum: the same result on every device that is given the same numbers,
    and on a CPU several times faster than torch.multinomial.
    """
    cumulative = probabilities.cumsum(-1)
    threshold = numbers.unsqueeze(-1) * cumulative[..., -1:]
    return (cumulative <= threshold).sum(-1).clamp(max=probabilities.shape[-1] - 1)


def sample_rows(weights: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """`count` row numbers, int64 [count], drawn with replacement in proportion to weights, float [k]."""
    weights_there = weights.to(_source(generator, weights.device))
    return torch.multinomial(weights_there, count, replacement=True, generator=generator).to(weights.device)


def _source(generator: torch.Generator | None, device: torch.device) -> torch.device:
    return device if generator is None else generator.device

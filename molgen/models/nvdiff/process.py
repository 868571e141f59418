"""The process of NVDiff: the node vectors of a graph and how noise is added to them.

The encoder gives the means of the vectors, [b, n, l], each of variance 1 over its numbers. A vector is drawn around its
mean with the standard deviation sigma_min, the same for all, and the diffusion goes on from there to sigma_max:
x = mean + sigma e (the variance-exploding process of Song et al. 2021). So sigma_min is both the posterior of the
autoencoder and the end of the diffusion, and no weight of a KL term has to be found.
"""

import torch
from torch import Tensor

from molgen.models.noise import gaussian


def posterior_draw(mean: Tensor, sigma_min: float, generator: torch.Generator | None) -> Tensor:
    """Node vectors of a graph as the decoder sees them, of the shape of their means."""
    return mean + sigma_min * gaussian(mean, generator)


def matching_loss(clean: Tensor, mean: Tensor, sigma: Tensor) -> Tensor:
    """|D - mean|^2 / 2 per number at noise levels sigma [b], float [b]; clean: the estimate D, [b, n, l].

    Weighted so that the best linear guess has the same loss at every level (Karras et al. 2022, section 5).
    """
    weight = 0.5 * (1 + sigma**2) / sigma**2
    return weight * (clean - mean).square().mean((1, 2))


def start_divergence(mean: Tensor, sigma_max: float) -> Tensor:
    """KL(q(x | graph) || p(x)) at sigma_max, [b], where p is normal around 0."""
    return mean.square().sum((1, 2)) / (2 * sigma_max**2)

"""The samplers of NVDiff, and the way from one set of node vectors to another.

A sampler runs on Gaussian noise that was added to the node vectors; see molgen.models.gaussian_samplers.
"""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from molgen.models.gaussian_samplers import Sampler, euler_maruyama, multistep, predictor_corrector, stochastic

SAMPLERS: dict[str, Sampler] = {
    "stochastic": stochastic,
    "dpm-solver": multistep,
    "euler-maruyama": euler_maruyama,
    "predictor-corrector": predictor_corrector,
}


def aligned(vectors: Tensor, other: Tensor) -> Tensor:
    """The vectors of `other` [n, l] in the order that brings them nearest to `vectors` [n, l]."""
    order = linear_sum_assignment(torch.cdist(vectors, other).cpu().numpy())[1]
    return other[torch.as_tensor(order, device=other.device)]


def along_sphere(ends: Tensor, count: int) -> Tensor:
    """`count` points from one noise to the other of ends [2, n, l], both included, evenly spaced in angle.

    Float [count, n, l]. On the sphere (Shoemake 1985) the points between are as likely noise as the ends are.
    """
    one, other = ends.flatten(1) / ends.flatten(1).norm(dim=1, keepdim=True)
    angle = torch.arccos((one @ other).clamp(-1, 1)).clamp(min=1e-4)
    share = torch.linspace(0, 1, count, device=ends.device)[:, None, None]
    return (((1 - share) * angle).sin() * ends[0] + (share * angle).sin() * ends[1]) / angle.sin()

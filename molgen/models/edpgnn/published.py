"""EDP-GNN with the levels and the sampler of its authors (Niu et al., AISTATS 2020), for typed atoms and bonds.

Six levels of noise, a network that knows no other, and annealed Langevin dynamics from |N(0, 1)|. The levels and the
steps are those of the authors' code. The size of a step over sigma^2 (0.05, 0.01, 0.005, 0.001 or 0.0005) and its noise
(1, 0.5 or 0.1 times that of Langevin dynamics) are chosen there for each data set by trying them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from molgen.models.edpgnn.process import evidence, noised, start_divergence
from molgen.models.edpgnn.published_network import PublishedScoreNetwork
from molgen.models.gaussian_samplers import Denoise, annealed_langevin
from molgen.models.noise import gaussian

SIGMAS = (1.6, 0.8, 0.6, 0.4, 0.2, 0.1)
STEPS = 1000  # of each level

# (denoise, x, steps, step size over sigma^2, generator) -> the last x
LangevinSampler = Callable[[Denoise, Tensor, int, float, torch.Generator | None], Tensor]


def _langevin(
    denoise: Denoise, x: Tensor, steps: int, ratio: float, generator: torch.Generator | None, *, noise: float
) -> Tensor:
    return annealed_langevin(denoise, x, steps, SIGMAS, generator, ratio=ratio, noise=noise)


# the first is the one that a little trained network bears best: noise that its score does not undo stays
SAMPLERS: dict[str, LangevinSampler] = {
    "langevin-cold": partial(_langevin, noise=0.1),
    "langevin-half": partial(_langevin, noise=0.5),
    "langevin": partial(_langevin, noise=1.0),
}
SAMPLER_HELP = {
    "langevin-cold": "Langevin dynamics at the six published levels, with a tenth of its noise in each step",
    "langevin-half": "the same with half of the noise, as the authors also tried",
    "langevin": "the same with all of it: the draws of the exact score are exact",
}


def level(time: Tensor) -> Tensor:
    """The level of each time in [0, 1), float of its shape: all six have the same share."""
    sigmas = torch.tensor(SIGMAS, device=time.device)
    return sigmas[(time * len(SIGMAS)).long().clamp(max=len(SIGMAS) - 1)]


def start(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Where the sampler starts: |N(0, 1)|, of the shape of `like`."""
    return gaussian(like, generator).abs()


def bound_estimate(
    network: PublishedScoreNetwork, nodes: Tensor, pairs: Tensor, generator: torch.Generator | None
) -> Callable[[Tensor], Tensor]:
    """The variational bound in nats of ancestral steps through the levels (Kingma et al. 2021, eq. 11 to 13).

    -log p(G) <= KL at the largest level + E[-log p(x0 | x)] at the smallest + the sum over steps from t to s of
    (1 / s^2 - 1 / t^2) / 2 E |x0 - D(x, t)|^2, of which one step is drawn. p(x0 | x) is Bayes' rule entry by entry.
    """
    sigmas = torch.tensor(SIGMAS, device=nodes.device)
    steps = len(SIGMAS) - 1

    def estimate(uniform: Tensor) -> Tensor:
        step = (uniform * steps).long().clamp(max=steps - 1)
        now, then = sigmas[step], sigmas[step + 1]
        clean_nodes, clean_pairs = network(*noised(nodes, pairs, now, generator), now)
        error = (nodes - clean_nodes).square().sum((1, 2)) + (pairs - clean_pairs).square().sum((1, 2))
        total: Tensor = steps * 0.5 * (1 / then**2 - 1 / now**2) * error
        least = torch.full_like(now, SIGMAS[-1])
        noisy_nodes, noisy_pairs = noised(nodes, pairs, least, generator)
        log_nodes = evidence(noisy_nodes, least, network.atom_marginals).log_softmax(-1)
        log_pairs = evidence(noisy_pairs, least, network.bond_marginals).log_softmax(-1)
        total = total - (nodes * log_nodes).sum((1, 2)) - (pairs * log_pairs).sum((1, 2))
        return total + start_divergence(nodes, pairs, network.atom_marginals, network.bond_marginals, SIGMAS[0])

    return estimate

"""The marginal-transition noise of DiGress (Vignac et al., ICLR 2023, section 4.1 and eq. 8).

A class keeps its value with probability alpha and is otherwise redrawn from the marginals m of the
training data, independently for every node and every pair:
    Q = alpha I + (1 - alpha) 1 m^T,    Q-bar_t = the same with alpha-bar_t.
Functions take class indices int64 [b, k] (k nodes or pairs), noise levels alpha-bar float [b] in [0, 1]
(1: data, 0: noise) and marginals float [c].
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from molgen.models.noise import sample_classes

# below this a class of no mass would divide zero by zero
TINY = 1e-30


def transition(alpha: Tensor, marginals: Tensor) -> Tensor:
    """The transition matrices Q[from, to], [b, c, c], for alpha [b]."""
    identity = torch.eye(len(marginals), dtype=marginals.dtype, device=marginals.device)
    alpha = alpha[:, None, None]
    return alpha * identity + (1 - alpha) * marginals.expand(len(marginals), -1)


def noised(classes: Tensor, alpha_bar: Tensor, marginals: Tensor, generator: torch.Generator | None) -> Tensor:
    """A draw of z_t ~ q(z_t | x), int64 [b, k]."""
    signal = one_hot(classes, len(marginals)) * alpha_bar[:, None, None]
    return sample_classes(signal + (1 - alpha_bar[:, None, None]) * marginals, generator)


def corruption_likelihood(classes: Tensor, alpha_bar: Tensor, marginals: Tensor) -> Tensor:
    """q(z_t = classes | x = c) for every clean class c, [b, k, c]."""
    alpha_bar = alpha_bar[:, None, None]
    base = (1 - alpha_bar) * marginals[classes].unsqueeze(-1)
    return alpha_bar * one_hot(classes, len(marginals)) + base


def posterior(classes: Tensor, clean: Tensor, alpha_bar_t: Tensor, alpha_bar_s: Tensor, marginals: Tensor) -> Tensor:
    """p(z_s | z_t) = sum over x of p(x) q(z_s | z_t, x), [b, k, c], for s < t.

    classes: z_t, int64 [b, k]; clean: p(x), float [b, k, c], the predicted distribution of the clean class
    (one-hot gives q(z_s | z_t, x)); eq. 4 of the paper with the sum in closed form, for any s < t.
    """
    ratio = alpha_bar_t / alpha_bar_s.clamp(min=TINY)
    weights = clean / corruption_likelihood(classes, alpha_bar_t, marginals).clamp(min=TINY)
    alpha_s = alpha_bar_s[:, None, None]
    prior = alpha_s * weights + (1 - alpha_s) * marginals * weights.sum(-1, keepdim=True)
    # q(z_t | z_s) as a function of z_s
    step = corruption_likelihood(classes, ratio, marginals)
    joint = step * prior
    return joint / joint.sum(-1, keepdim=True).clamp(min=TINY)


def divergence(
    clean: Tensor, state: Tensor, log_clean: Tensor, alpha_bar_t: Tensor, alpha_bar_s: Tensor, marginals: Tensor
) -> Tensor:
    """KL(q(z_s | z_t, x) || p(z_s | z_t)) summed over entries, [b]; at s = 0 this is -log p(x | z_t).

    clean: x, int64 [b, k]; state: z_t, int64 [b, k]; log_clean: log p(x | z_t), float [b, k, c].
    """
    truth = one_hot(clean, len(marginals)).to(log_clean.dtype)
    q = posterior(state, truth, alpha_bar_t, alpha_bar_s, marginals)
    p = posterior(state, log_clean.exp(), alpha_bar_t, alpha_bar_s, marginals)
    return (q * (q.clamp(min=TINY).log() - p.clamp(min=TINY).log())).sum((1, 2))

"""The two losses of EDP-GNN, which have the same minimiser: the posterior mean of the clean channels.

Each is a function of (clean channels [b, k, c], log p of the clean classes [b, k, c], sigma [b]) -> mean over entries,
float [b].
"""

from collections.abc import Callable

from torch import Tensor


def cross_entropy(clean: Tensor, log_clean: Tensor, sigma: Tensor) -> Tensor:
    """-log p of the clean classes: the steeper gradient."""
    return -(clean * log_clean).sum(-1).mean(1)


def score_matching(clean: Tensor, log_clean: Tensor, sigma: Tensor) -> Tensor:
    """Denoising score matching, as published: sigma^2 / 2 |score + noise / sigma|^2, the score from the denoiser."""
    return score_matching_of(clean, log_clean.exp(), sigma)


def score_matching_of(clean: Tensor, denoised: Tensor, sigma: Tensor) -> Tensor:
    """The same of denoised channels D = x + sigma^2 score, [b, k, c]: |D - x0|^2 / (2 sigma^2)."""
    return (0.5 * (clean - denoised).square().sum(-1) / (sigma**2)[:, None]).mean(1)


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "cross-entropy": cross_entropy,
    "score": score_matching,
}

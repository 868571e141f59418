"""Bonds that are drawn together, so that their orders have a given sum: what a formula says of a molecule.

A network gives each pair of atoms its own distribution, as if pairs were independent. Under that assumption the
distribution given the sum is exact, by dynamic programming over the pairs. The class of a pair is its bond order.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from molgen.models.noise import sample_classes


def draw_with_total(probabilities: Tensor, totals: Sequence[int], generator: torch.Generator | None) -> Tensor:
    """Classes of independent pairs given that they sum to one of `totals`, int64 [b, p].

    probabilities: [b, p, c], of each class. Where no such draw is possible the sum is left out of account.
    """
    reach = _reach(probabilities, totals)
    possible = reach[0, :, :1] > 0
    steps = torch.arange(probabilities.shape[2], device=probabilities.device)
    sums = torch.zeros_like(possible, dtype=torch.int64)
    drawn = []
    for pair in range(probabilities.shape[1]):
        weights = probabilities[:, pair] * torch.where(possible, reach[pair + 1].gather(1, sums + steps), 1.0)
        drawn.append(sample_classes(weights, generator))
        sums = (sums + drawn[-1][:, None]).clamp(max=max(totals))
    return torch.stack(drawn, 1) if drawn else sums.expand(-1, 0)


def marginals_with_total(probabilities: Tensor, totals: Sequence[int]) -> Tensor:
    """Distribution of the class of each pair given that all sum to one of `totals`, of the shape of probabilities.

    probabilities: [b, p, c]. Where no such sum is possible they are returned as they are.
    """
    reach = _reach(probabilities, totals)
    before = torch.zeros_like(reach[0, :, : max(totals) + 1])  # [b, s]: the pairs before sum to s
    before[:, 0] = 1.0
    found = []
    for pair in range(probabilities.shape[1]):
        chances = probabilities[:, pair].to(before.dtype)
        after = reach[pair + 1].unfold(1, chances.shape[1], 1)  # [b, s, c]: from s + class
        found.append(chances * torch.einsum("bs,bsc->bc", before, after))
        until = torch.zeros_like(before)
        for order in range(min(chances.shape[1], before.shape[1])):
            until[:, order:] += chances[:, order, None] * before[:, : before.shape[1] - order]
        before = until
    if not found:
        return probabilities
    joint = torch.stack(found, 1)
    chance = joint.sum(-1, keepdim=True)
    joint = joint / chance.clamp(min=torch.finfo(joint.dtype).tiny)
    return torch.where(chance > 0, joint.to(probabilities), probabilities)


def _reach(probabilities: Tensor, totals: Sequence[int]) -> Tensor:
    """How likely the pairs from k on bring a sum of s to one of `totals`, float64 [p + 1, b, most + c] at k, :, s."""
    count, pairs, classes = probabilities.shape
    most = max(totals)
    reach = torch.zeros(pairs + 1, count, most + classes, dtype=torch.float64, device=probabilities.device)
    reach[pairs][:, list(totals)] = 1.0
    for pair in reversed(range(pairs)):
        after = reach[pair + 1].unfold(1, classes, 1)  # [b, most + 1, c]
        reach[pair, :, : most + 1] = torch.einsum("bsc,bc->bs", after, probabilities[:, pair].to(after.dtype))
    return reach

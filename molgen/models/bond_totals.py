"""Bonds that are drawn together, so that their orders leave room for just the hydrogens of a formula.

A network gives each pair of atoms its own distribution, as if pairs were independent. Under that assumption the
distribution given the sum of all bond orders is exact, by dynamic programming over the pairs. The class of a pair is
its bond order.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from molgen.models.noise import sample_classes
from molgen.molecules.graph import pair_indices


@dataclass(frozen=True)
class BondTotals:
    """What the bond orders of graphs sum to whose nodes have these valences, for so many hydrogens in all.

    valences: of each of n nodes, rising; an atom with several, such as sulfur, takes the smallest that holds its bonds.
    """

    valences: tuple[tuple[int, ...], ...]
    hydrogens: int

    def draw(self, probabilities: Tensor, generator: torch.Generator | None) -> Tensor:
        """Classes of pairs given the hydrogens, int64 [b, n(n-1)/2]; probabilities: [b, n(n-1)/2, c].

        The pairs of atoms with several valences are drawn first, by themselves, as they decide on the sum of all.
        """
        several = torch.tensor([len(valences) > 1 for valences in self.valences], device=probabilities.device)
        first = probabilities.argmax(-1)
        if several.any():
            first = sample_classes(probabilities, generator)
            ends = several[self._ends(probabilities.device)].any(0)
            settled = one_hot(first, probabilities.shape[-1]).to(probabilities)
            probabilities = torch.where(ends[None, :, None], settled, probabilities)
        return draw_with_total(probabilities, self._totals(first), generator)

    def marginals(self, probabilities: Tensor) -> Tensor:
        """The distribution of each pair given the hydrogens, of the shape of probabilities, [b, n(n-1)/2, c].

        An atom with several valences has the one that its most likely bonds need.
        """
        return marginals_with_total(probabilities, self._totals(probabilities.argmax(-1)))

    def _ends(self, device: torch.device) -> Tensor:
        return torch.stack(pair_indices(len(self.valences))).to(device)

    def _totals(self, pairs: Tensor) -> Tensor:
        """The sum of orders for each graph, int64 [b], where atoms with several valences have the bonds of `pairs`."""
        first, second = self._ends(pairs.device)
        room = torch.full((len(pairs),), -self.hydrogens, device=pairs.device)
        for node, valences in enumerate(self.valences):
            if len(valences) == 1:
                room += valences[0]
                continue
            choices = torch.tensor(valences, device=pairs.device)
            bonds = pairs[:, (first == node) | (second == node)].sum(1)
            room += choices[torch.bucketize(bonds, choices).clamp(max=len(valences) - 1)]
        return room // 2


def draw_with_total(probabilities: Tensor, totals: Tensor, generator: torch.Generator | None) -> Tensor:
    """Classes of independent pairs given their sum, int64 [b, p].

    probabilities: [b, p, c], of each class; totals: int64 [b]. Where a sum is impossible it is left out of account.
    """
    reach = _reach(probabilities, totals)
    possible = reach[0, :, :1] > 0
    steps = torch.arange(probabilities.shape[2], device=probabilities.device)
    sums = torch.zeros_like(possible, dtype=torch.int64)
    drawn = []
    for pair in range(probabilities.shape[1]):
        weights = probabilities[:, pair] * torch.where(possible, reach[pair + 1].gather(1, sums + steps), 1.0)
        drawn.append(sample_classes(weights, generator))
        sums = (sums + drawn[-1][:, None]).clamp(max=reach.shape[2] - len(steps))
    return torch.stack(drawn, 1) if drawn else sums.expand(-1, 0)


def marginals_with_total(probabilities: Tensor, totals: Tensor) -> Tensor:
    """The distribution of each of independent pairs given their sum, of the shape of probabilities.

    probabilities: [b, p, c]; totals: int64 [b]. Where a sum is impossible they are returned as they are.
    """
    reach = _reach(probabilities, totals)
    before = torch.zeros_like(reach[0, :, : reach.shape[2] - probabilities.shape[2] + 1])
    before[:, 0] = 1.0  # [b, s]: the pairs before sum to s
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


def _reach(probabilities: Tensor, totals: Tensor) -> Tensor:
    """How likely the pairs from k on bring a sum of s to the total, float64 [p + 1, b, largest + c] at k, :, s."""
    count, pairs, classes = probabilities.shape
    most = max(0, int(totals.max()))
    reach = torch.zeros(pairs + 1, count, most + classes, dtype=torch.float64, device=probabilities.device)
    reach[pairs] = torch.arange(most + classes, device=totals.device) == totals[:, None]
    for pair in reversed(range(pairs)):
        after = reach[pair + 1].unfold(1, classes, 1)  # [b, most + 1, c]
        reach[pair, :, : most + 1] = torch.einsum("bsc,bc->bs", after, probabilities[:, pair].to(after.dtype))
    return reach

"""Bonds that are drawn together, so that their orders leave room for just the hydrogens of a formula.

A network gives each pair of atoms its own distribution, as if pairs were independent. Under that assumption the
distribution given the sum of all bond orders is exact, by dynamic programming over the pairs, in logarithms. The class
of a pair is its bond order. All of it is computed on the CPU, as it is many small steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from molgen.models.noise import classes_at, sample_classes, uniform
from molgen.molecules.graph import pair_indices

IMPOSSIBLE = -torch.inf


@dataclass(frozen=True)
class BondTotals:
    """What the bond orders of b graphs of n nodes sum to, for so many hydrogens.

    valences: of each node, rising; an atom with several, such as sulfur, takes the smallest that holds its bonds.
    pairs, known: int64 and bool [b, n(n-1)/2], classes of the pairs and which of them are given; hydrogens: in all.
    """

    valences: tuple[tuple[int, ...], ...]
    pairs: Tensor
    known: Tensor
    hydrogens: int

    def __getitem__(self, rows: Tensor) -> BondTotals:
        return replace(self, pairs=self.pairs[rows], known=self.known[rows])

    def draw(self, log_p: Tensor, generator: torch.Generator | None) -> Tensor:
        """Classes of the pairs given the hydrogens, int64 [b, n(n-1)/2]; log_p: of each class, [b, n(n-1)/2, c].

        The pairs of atoms with several valences are drawn first, by themselves, as they decide on the sum of all: their
        distribution is not that given the sum. Where no draw has the hydrogens they are left out of account.
        """
        own = self._own(log_p)
        first = own.argmax(-1)
        several = torch.tensor([len(valences) > 1 for valences in self.valences])
        if several.any():
            first = sample_classes(own.exp(), generator)
            ends = several[torch.stack(pair_indices(len(self.valences)))].any(0)
            own = torch.where(ends[None, :, None], _certain(first, own.shape[-1]), own)
        return draw_with_total(own, self._totals(first), generator).to(log_p.device)

    def marginals(self, log_p: Tensor) -> Tensor:
        """The probabilities of each pair given the hydrogens, of the shape and dtype of log_p, [b, n(n-1)/2, c].

        An atom with several valences has the one that its most likely bonds need. Where no graph has the hydrogens they
        are left out of account.
        """
        own = self._own(log_p)
        return marginals_with_total(own, self._totals(own.argmax(-1))).to(log_p)

    def _own(self, log_p: Tensor) -> Tensor:
        """The distribution of each pair by itself, as logarithms on the CPU, with what is known for certain."""
        known = self.known.cpu()[..., None]
        return torch.where(known, _certain(self.pairs.cpu(), log_p.shape[-1]), log_p.double().cpu())

    def _totals(self, pairs: Tensor) -> Tensor:
        """The sum of orders for each graph, int64 [b], where atoms with several valences have the bonds of `pairs`."""
        first, second = pair_indices(len(self.valences))
        room = torch.full((len(pairs),), -self.hydrogens)
        for node, valences in enumerate(self.valences):
            if len(valences) == 1:
                room += valences[0]
                continue
            choices = torch.tensor(valences)
            bonds = pairs[:, (first == node) | (second == node)].sum(1)
            room += choices[torch.bucketize(bonds, choices).clamp(max=len(valences) - 1)]
        return room // 2


def draw_with_total(log_p: Tensor, totals: Tensor, generator: torch.Generator | None) -> Tensor:
    """Classes of independent pairs given their sum, int64 [b, p].

    log_p: [b, p, c], of each class, on the CPU; totals: int64 [b]. Where a sum is impossible it is left out of account.
    """
    reach = _reach(log_p, totals)
    possible = reach[0, :, :1] > IMPOSSIBLE
    steps = torch.arange(log_p.shape[2])
    sums = torch.zeros_like(possible, dtype=torch.int64)
    numbers = uniform(log_p.shape[:2], generator, log_p.device)
    drawn = []
    for pair in range(log_p.shape[1]):
        onward = torch.where(possible, reach[pair + 1].gather(1, sums + steps), 0.0)
        drawn.append(classes_at((log_p[:, pair] + onward).softmax(-1), numbers[:, pair]))
        sums = (sums + drawn[-1][:, None]).clamp(max=reach.shape[2] - len(steps))
    return torch.stack(drawn, 1) if drawn else sums.expand(-1, 0)


def marginals_with_total(log_p: Tensor, totals: Tensor) -> Tensor:
    """The probabilities of each of independent pairs given their sum, of the shape of log_p.

    log_p: [b, p, c], of each class, on the CPU; totals: int64 [b]. Where a sum is impossible it is left out of account.
    """
    reach = _reach(log_p, totals)
    classes = log_p.shape[2]
    before = torch.full_like(reach[0, :, : reach.shape[2] - classes + 1], IMPOSSIBLE)
    before[:, 0] = 0.0  # [b, s]: the pairs before sum to s
    found = []
    for pair in range(log_p.shape[1]):
        chances = log_p[:, pair]
        onward = reach[pair + 1].unfold(1, classes, 1)  # [b, s, c]: from s + class
        found.append(chances + (before[..., None] + onward).logsumexp(1))
        shifted = torch.full((*before.shape, classes), IMPOSSIBLE, dtype=before.dtype)
        for order in range(min(classes, before.shape[1])):
            shifted[:, order:, order] = chances[:, order, None] + before[:, : before.shape[1] - order]
        before = shifted.logsumexp(2)
    if not found:
        return log_p.exp()
    joint = torch.stack(found, 1)
    return torch.where(reach[0, :, :1, None] > IMPOSSIBLE, joint, log_p).softmax(-1)


def _reach(log_p: Tensor, totals: Tensor) -> Tensor:
    """log p that the pairs from k on bring a sum of s to the total, float [p + 1, b, largest + c] at k, :, s."""
    count, pairs, classes = log_p.shape
    most = max(0, int(totals.max()))
    reach = torch.full((pairs + 1, count, most + classes), IMPOSSIBLE, dtype=log_p.dtype)
    reach[pairs].masked_fill_(torch.arange(most + classes) == totals[:, None], 0.0)
    for pair in reversed(range(pairs)):
        onward = reach[pair + 1].unfold(1, classes, 1)  # [b, most + 1, c]
        reach[pair, :, : most + 1] = (onward + log_p[:, pair, None]).logsumexp(2)
    return reach


def _certain(pairs: Tensor, classes: int) -> Tensor:
    """The logarithms of one-hot classes, float64 [b, p, c]."""
    return torch.where(pairs[..., None] == torch.arange(classes), 0.0, IMPOSSIBLE).double()

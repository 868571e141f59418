"""The noise of EDP-GNN (Niu et al., AISTATS 2020) with a continuous level, on typed graphs as one-hot channels.

x = x0 + sigma e, with sigma from sigma_min to sigma_max (the variance-exploding SDE of Song et al., ICLR 2021); x0 are
the one-hot channels of the nodes [b, n, a] and pairs [b, p, 4], which are 1 apart.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from molgen.models.noise import with_noise
from molgen.molecules.graph import GraphBatch, pair_count
from molgen.molecules.vocabulary import BOND_CLASSES

# below this a class of no mass would have no logarithm
TINY = 1e-30


def channels(batch: GraphBatch, atoms: int) -> tuple[Tensor, Tensor]:
    """x0 of the nodes [b, n, atoms] and of the pairs [b, p, 4], float32."""
    return one_hot(batch.nodes, atoms).float(), one_hot(batch.pairs, len(BOND_CLASSES)).float()


def classes(nodes: Tensor, pairs: Tensor) -> GraphBatch:
    """The most likely classes of channels, [b, n, a] and [b, p, 4]."""
    return GraphBatch(nodes.argmax(-1), pairs.argmax(-1))


def noised(nodes: Tensor, pairs: Tensor, sigma: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """A draw of x, of the shapes of nodes and pairs, at sigma [b]."""
    return with_noise(nodes, sigma, generator), with_noise(pairs, sigma, generator)


def evidence(x: Tensor, sigma: Tensor, marginals: Tensor) -> Tensor:
    """Logits of p(class | its own noisy one-hot channels x [b, k, c]), by Bayes' rule, with prior `marginals` [c]."""
    return x / (sigma**2)[:, None, None] + marginals.clamp(min=TINY).log()


def certain(logits: Tensor, clean: Tensor, known: Tensor) -> Tensor:
    """The logits [b, k, c], where `known` [b, k, 1] those of the class that the clean channels [b, k, c] show."""
    return torch.where(known, clean.clamp(min=TINY).log(), logits)


def start_divergence(nodes: Tensor, pairs: Tensor, atoms: Tensor, bonds: Tensor, sigma_max: float) -> Tensor:
    """KL(q(x | x0) || p(x)) of graphs at sigma_max, [b], where p is normal around the marginals, [a] and [4]."""
    offset = (nodes - atoms).square().sum((1, 2)) + (pairs - bonds).square().sum((1, 2))
    return offset / (2 * sigma_max**2)


def joined(nodes: Tensor, pairs: Tensor) -> Tensor:
    """The channels of nodes [b, n, a] and pairs [b, p, 4] in one row for each graph, [b, n * a + p * 4]."""
    return torch.cat([nodes.flatten(1), pairs.flatten(1)], dim=1)


def split(x: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The channels of nodes and pairs that were `joined`, of graphs of `size` nodes."""
    bonds = pair_count(size) * len(BOND_CLASSES)
    nodes, pairs = x[:, : x.shape[1] - bonds], x[:, x.shape[1] - bonds :]
    return nodes.reshape(len(x), size, -1), pairs.reshape(len(x), pair_count(size), len(BOND_CLASSES))

"""How likely EDGE makes a graph: what the network of bonds is trained on, and what the order of nodes counts for."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from molgen.models.conditions import Condition
from molgen.models.edge.network import BondLogits, log_shares
from molgen.models.edge.process import (
    Given,
    NodePart,
    Partial,
    alpha_bar,
    bonds_of,
    candidate_pairs,
    pair_keys,
    unbonded,
)
from molgen.models.noise import uniform
from molgen.molecules.graph import GraphBatch


def bond_loss(
    network: BondLogits,
    batch: GraphBatch,
    part: NodePart,
    time: Tensor,
    generator: torch.Generator | None,
    condition: Condition | None = None,
    told: Tensor | None = None,
) -> Tensor:
    """Mean over the bonds missing at `time` of -log p that the next bond is this one, times how many are missing.

    Each of the M missing bonds comes next with 1 / M. The model takes one of the 2 M missing ends for the active
    one, and from node i the bond to j with p(j | i): it has the probability (m_i p(j | i) + m_j p(i | j)) / 2 M,
    where m_i is the number of bonds that node i lacks. The 1 / M of both cancels in the bound. Float [b].
    Known bonds are there at any time; told: float [b, width], encoded targets.
    """
    size, count = batch.size, len(batch)
    first, second, order = bonds_of(batch)
    graph = first // size
    there = uniform((len(first),), generator, first.device) < alpha_bar(time)[graph]
    given = None
    if condition is not None:
        there |= condition.known_pairs[batch.pairs > 0]  # in the order of bonds_of
        given = Given.of(condition, told)
    state = Partial(part, first[there], second[there], order[there], given)
    lost = ~there
    first, second, order, graph = first[lost], second[lost], order[lost], graph[lost]
    missing = state.missing()[0]
    one, other = candidate_pairs(missing > 0, missing > 0, size)
    fresh = unbonded(state, one, other)
    one, other = one[fresh], other[fresh]
    logits = network(state, one, other)
    of_one, of_other = log_shares(logits, one, other, state.nodes)
    keys, rank = pair_keys(one, other, state.nodes).sort()
    row = rank[torch.searchsorted(keys, pair_keys(first, second, state.nodes))]
    chosen = (order - 1)[:, None]
    # the pair may stand the other way round, but the sum is the same
    log_p = torch.logaddexp(
        of_one[row].gather(1, chosen)[:, 0] + missing[one[row]].float().log(),
        of_other[row].gather(1, chosen)[:, 0] + missing[other[row]].float().log(),
    )
    lacking = torch.bincount(graph, minlength=count).clamp(min=1)
    return torch.zeros(count, device=log_p.device).index_add(0, graph, math.log(2) - log_p) / lacking


def log_arrangements(tokens: Tensor) -> Tensor:
    """log of the number of distinct orders of each row of sorted tokens [b, n]: n! / product of k! of repeats, [b]."""
    size = tokens.shape[1]
    same = tokens[:, :, None] == tokens[:, None, :]
    # the k-th of its kind contributes log k
    rank = (same & torch.ones(size, size, dtype=torch.bool, device=tokens.device).tril()).sum(-1)
    return math.lgamma(size + 1) - rank.float().log().sum(1)

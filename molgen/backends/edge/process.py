"""The process of EDGE (Chen et al., ICML 2023): bonds are removed independently, and put back between active nodes.

At time t every bond of the graph is still there with probability alpha-bar_t. From t to an earlier s a missing bond
comes back with probability p = (alpha-bar_s - alpha-bar_t) / (1 - alpha-bar_t); the nodes that get one are active.
The node part is given all the time: each node's class, its final degree and its final valence (sum of bond orders).

Graphs are kept as lists of bonds, since a step should cost what its active pairs cost and not n^2.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from molgen.graph import GraphBatch, pair_count, pair_indices, to_square

HOPS = 6  # distances between active nodes are told up to this
SINGLE, TRIPLE = 1, 3


@dataclass(frozen=True)
class NodePart:
    """What is given of b graphs of n nodes, int64 [b, n] each. degree: number of bonds; valence: sum of orders."""

    atoms: Tensor
    degree: Tensor
    valence: Tensor

    @property
    def size(self) -> int:
        """Nodes of each graph."""
        return self.atoms.shape[1]

    @classmethod
    def of(cls, batch: GraphBatch) -> "NodePart":
        """The node part of whole graphs."""
        bonds = to_square(batch.pairs, batch.size)
        return cls(batch.nodes, (bonds > 0).sum(-1), bonds.sum(-1))


@dataclass(frozen=True)
class Partial:
    """Graphs with some of their bonds. Nodes of all graphs are numbered through: node i of graph g is g * n + i.

    first, second: int64 [m], the nodes of each bond; order: int64 [m], its class.
    """

    part: NodePart
    first: Tensor
    second: Tensor
    order: Tensor

    @property
    def nodes(self) -> int:
        """Nodes in all."""
        return self.part.atoms.numel()

    def missing(self) -> tuple[Tensor, Tensor]:
        """Degree and valence that each node still lacks, int64 [b * n] each."""
        degree, valence = self.part.degree.flatten().clone(), self.part.valence.flatten().clone()
        for ends in (self.first, self.second):
            degree.index_add_(0, ends, torch.full_like(ends, -1))
            valence.index_add_(0, ends, -self.order)
        return degree, valence

    def with_bonds(self, first: Tensor, second: Tensor, order: Tensor) -> "Partial":
        """The same with more bonds."""
        return replace(
            self,
            first=torch.cat([self.first, first]),
            second=torch.cat([self.second, second]),
            order=torch.cat([self.order, order]),
        )

    def edges(self) -> tuple[Tensor, Tensor]:
        """Both directions of each bond, int64 [2, 2m], and their classes [2m]."""
        ends = torch.stack([torch.cat([self.first, self.second]), torch.cat([self.second, self.first])])
        return ends, self.order.repeat(2)

    def graphs(self) -> GraphBatch:
        """As class indices of nodes and pairs."""
        size = self.part.size
        pairs = torch.zeros(len(self.part.atoms), pair_count(size), dtype=torch.int64, device=self.first.device)
        low, high = torch.minimum(self.first, self.second) % size, torch.maximum(self.first, self.second) % size
        pairs[self.first // size, low * (2 * size - low - 1) // 2 + high - low - 1] = self.order
        return GraphBatch(self.part.atoms, pairs)


def bonds_of(batch: GraphBatch) -> tuple[Tensor, Tensor, Tensor]:
    """The bonds of whole graphs: first and second node, numbered through, and class, int64 [m] each."""
    rows, columns = (index.to(batch.pairs.device) for index in pair_indices(batch.size))
    graph, pair = batch.pairs.nonzero(as_tuple=True)
    return graph * batch.size + rows[pair], graph * batch.size + columns[pair], batch.pairs[graph, pair]


def alpha_bar(time: Tensor) -> Tensor:
    """Share of the bonds left at `time` in [0, 1]: 1 - time, which stays valid for any number of steps.

    The published linear beta reaches 1 and more for 20 steps and fewer.
    """
    return 1 - time


def return_probability(now: Tensor, then: Tensor) -> Tensor:
    """p of a missing bond to come back between alpha-bar `now` and the larger alpha-bar `then`."""
    return ((then - now) / (1 - now).clamp(min=1e-12)).clamp(0.0, 1.0)


def active_probability(missing: Tensor, p: Tensor) -> Tensor:
    """q(active) of nodes that lack `missing` bonds, each of which comes back with p: 1 - (1 - p)^missing."""
    return 1 - (1 - p) ** missing


def active_pairs(active: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """All pairs of active nodes within a graph: int64 [q] each, nodes numbered through; active: bool [b * n]."""
    nodes = active.nonzero()[:, 0]
    graph = nodes // size
    count = torch.bincount(graph, minlength=len(active) // size)
    start = count.cumsum(0) - count
    rank = torch.arange(len(nodes), device=nodes.device) - start[graph]
    partners = count[graph] - 1 - rank
    row = torch.repeat_interleave(torch.arange(len(nodes), device=nodes.device), partners)
    before = partners.cumsum(0) - partners
    column = row + 1 + torch.arange(len(row), device=nodes.device) - before[row]
    return nodes[row], nodes[column]


def unbonded(state: Partial, first: Tensor, second: Tensor) -> Tensor:
    """Which pairs have no bond yet, bool [q]; first < second."""
    taken = torch.minimum(state.first, state.second) * state.nodes + torch.maximum(state.first, state.second)
    return ~torch.isin(first * state.nodes + second, taken)


def allowed_orders(degree: Tensor, valence: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Which bond classes a pair may get, bool [q, 4], from what its nodes lack (degree, valence: int64 [b * n]).

    "None" always; else each end must afterwards lack a valence between one and three for each bond that it lacks.
    """
    order = torch.arange(SINGLE, TRIPLE + 1, device=degree.device)
    fine = torch.ones(len(first), TRIPLE, dtype=torch.bool, device=degree.device)
    for ends in (first, second):
        left, rest = degree[ends, None] - 1, valence[ends, None] - order
        fine &= (left >= 0) & (rest >= SINGLE * left) & (rest <= TRIPLE * left)
    return torch.cat([torch.ones_like(fine[:, :1]), fine], dim=1)


def hop_distances(state: Partial, active: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Bonds on the shortest way between the nodes of each active pair: int64 [q], HOPS + 1 where longer or none."""
    size = state.part.size
    nodes = active.nonzero()[:, 0]
    graph = nodes // size
    count = torch.bincount(graph, minlength=len(active) // size)
    rank = torch.arange(len(nodes), device=nodes.device) - (count.cumsum(0) - count)[graph]
    ranks = torch.zeros_like(active, dtype=torch.int64).index_put((nodes,), rank)
    width = int(count.max()) if len(nodes) else 0
    reached = torch.zeros(len(active), width, device=active.device)
    reached[nodes, rank] = 1.0
    (sources, targets), _ = state.edges()
    distance = torch.full_like(first, HOPS + 1)
    for hop in range(1, HOPS + 1):
        reached = (reached + torch.zeros_like(reached).index_add_(0, targets, reached[sources])).clamp(max=1.0)
        found = reached[second, ranks[first]] > 0
        distance = torch.where(found & (distance > hop), hop, distance)
    return distance

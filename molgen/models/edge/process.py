"""The process of EDGE (Chen et al., ICML 2023): bonds are removed independently, and put back at active nodes.

At time t every bond of the graph is still there with probability alpha-bar_t. From t to an earlier s a missing bond
comes back with probability p = (alpha-bar_s - alpha-bar_t) / (1 - alpha-bar_t).
The node part is given all the time: each node's class, its final degree and its final valence (sum of bond orders).
Known bonds are never removed, and pairs known to be empty are never proposed. The others come and go as before: which
of them are missing says nothing about the order in which they come back, so that the process needs no other change.

The authors call both ends of a returning bond active, and draw the active nodes independently of each other, so that
two nodes are active together that have no bond between them in any molecule. Here each returning bond has one active
end, either with probability 1/2, and the network says where from there the bond goes. A node that lacks d bonds is
active with probability 1 - (1 - p/2)^d, which needs no network and is exact for short steps.

Graphs are kept as lists of bonds, since a step should cost what its active nodes cost and not n^2.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from molgen.models.conditions import Condition
from molgen.molecules.graph import GraphBatch, pair_count, pair_indices, to_square

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

    def to(self, device: torch.device) -> "NodePart":
        """The same on another device."""
        return NodePart(self.atoms.to(device), self.degree.to(device), self.valence.to(device))

    @classmethod
    def of(cls, batch: GraphBatch) -> "NodePart":
        """The node part of whole graphs."""
        bonds = to_square(batch.pairs, batch.size)
        return cls(batch.nodes, (bonds > 0).sum(-1), bonds.sum(-1))


@dataclass(frozen=True)
class Given:
    """What the bonds of b graphs of n nodes are drawn under, besides the node part.

    known: bool [b, n], nodes whose class is known; closed: bool [b, n(n-1)/2], pairs known to have no bond; partners:
    int64 [b, n], such pairs of each node; told: float [b, width], the targets as the network of bonds is told them, or
    None.
    """

    known: Tensor
    closed: Tensor
    partners: Tensor
    told: Tensor | None

    @classmethod
    def of(cls, condition: Condition, told: Tensor | None) -> "Given":
        """Of a condition, its targets encoded already."""
        closed = condition.known_pairs & (condition.graph.pairs == 0)
        return cls(condition.known_nodes, closed, to_square(closed, condition.graph.size).sum(-1), told)

    def __getitem__(self, rows: Tensor) -> "Given":
        told = None if self.told is None else self.told[rows]
        return Given(self.known[rows], self.closed[rows], self.partners[rows], told)


@dataclass(frozen=True)
class Partial:
    """Graphs with some of their bonds. Nodes of all graphs are numbered through: node i of graph g is g * n + i.

    first, second: int64 [m], the nodes of each bond; order: int64 [m], its class; given: see `Given`, None for nothing.
    """

    part: NodePart
    first: Tensor
    second: Tensor
    order: Tensor
    given: Given | None = None

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

    def with_kept(self, kept: Tensor) -> "Partial":
        """The same with those bonds alone, bool [m]."""
        return replace(self, first=self.first[kept], second=self.second[kept], order=self.order[kept])

    def untold(self) -> "Partial":
        """The same without targets."""
        return replace(self, given=None if self.given is None else replace(self.given, told=None))

    def of_graphs(self, chosen: Tensor) -> "Partial":
        """The chosen graphs alone, numbered anew; chosen: bool [b]."""
        size = self.part.size
        kept = chosen[self.first // size]
        shift = (chosen.cumsum(0) - 1 - torch.arange(len(chosen), device=chosen.device)) * size
        part = NodePart(self.part.atoms[chosen], self.part.degree[chosen], self.part.valence[chosen])
        first, second = self.first[kept], self.second[kept]
        given = None if self.given is None else self.given[chosen]
        return Partial(part, first + shift[first // size], second + shift[second // size], self.order[kept], given)

    def with_graphs(self, chosen: Tensor, fresh: "Partial") -> "Partial":
        """The same with the bonds of the chosen graphs, bool [b], taken from `fresh`, where they are numbered anew."""
        size = self.part.size
        kept = ~chosen[self.first // size]
        shift = (chosen.nonzero()[:, 0] - torch.arange(len(fresh.part.atoms), device=chosen.device)) * size
        return replace(
            self,
            first=torch.cat([self.first[kept], fresh.first + shift[fresh.first // size]]),
            second=torch.cat([self.second[kept], fresh.second + shift[fresh.second // size]]),
            order=torch.cat([self.order[kept], fresh.order]),
        )

    def edges(self) -> tuple[Tensor, Tensor]:
        """Both directions of each bond, int64 [2, 2m], and their classes [2m]."""
        ends = torch.stack([torch.cat([self.first, self.second]), torch.cat([self.second, self.first])])
        return ends, self.order.repeat(2)

    def graphs(self) -> GraphBatch:
        """As class indices of nodes and pairs."""
        size = self.part.size
        pairs = torch.zeros(len(self.part.atoms), pair_count(size), dtype=torch.int64, device=self.first.device)
        pairs[self.first // size, pair_places(self.first, self.second, size)] = self.order
        return GraphBatch(self.part.atoms, pairs)


def bonds_of(batch: GraphBatch) -> tuple[Tensor, Tensor, Tensor]:
    """The bonds of whole graphs: first and second node, numbered through, and class, int64 [m] each."""
    rows, columns = (index.to(batch.pairs.device) for index in pair_indices(batch.size))
    graph, pair = batch.pairs.nonzero(as_tuple=True)
    return graph * batch.size + rows[pair], graph * batch.size + columns[pair], batch.pairs[graph, pair]


def known_graph(condition: Condition) -> GraphBatch:
    """The known bonds alone."""
    return GraphBatch(condition.graph.nodes, condition.graph.pairs.masked_fill(~condition.known_pairs, 0))


def alpha_bar(time: Tensor) -> Tensor:
    """Share of the bonds left at `time` in [0, 1]: 1 - time, which stays valid for any number of steps.

    The published linear beta reaches 1 and more for 20 steps and fewer.
    """
    return 1 - time


def return_probability(now: Tensor, then: Tensor) -> Tensor:
    """p of a missing bond to come back between alpha-bar `now` and the larger alpha-bar `then`."""
    return ((then - now) / (1 - now).clamp(min=1e-12)).clamp(0.0, 1.0)


def active_probability(missing: Tensor, p: Tensor) -> Tensor:
    """q(active) of nodes that lack `missing` bonds: each comes back with p, from this end in half the cases."""
    return 1 - (1 - p / 2) ** missing


def candidate_pairs(active: Tensor, open_nodes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The pairs of an active node (first) and an open one (second) of its graph, each pair once, int64 [q] each.

    active, open_nodes: bool [b * n], nodes numbered through; an active node is open.
    """
    start, end = active.nonzero()[:, 0], open_nodes.nonzero()[:, 0]
    count = torch.bincount(end // size, minlength=len(active) // size)
    offset = count.cumsum(0) - count
    partners = count[start // size]
    row = torch.repeat_interleave(torch.arange(len(start), device=start.device), partners)
    within = torch.arange(len(row), device=row.device) - (partners.cumsum(0) - partners)[row]
    first, second = start[row], end[offset[start // size][row] + within]
    once = (first < second) | ((first != second) & ~active[second])
    return first[once], second[once]


def unbonded(state: Partial, first: Tensor, second: Tensor) -> Tensor:
    """Which pairs have no bond yet, and are not known to have none at the end, bool [q]."""
    taken = torch.isin(pair_keys(first, second, state.nodes), pair_keys(state.first, state.second, state.nodes))
    if state.given is not None:
        size = state.part.size
        taken |= state.given.closed[first // size, pair_places(first, second, size)]
    return ~taken


def pair_places(first: Tensor, second: Tensor, size: int) -> Tensor:
    """Where the pairs of nodes, numbered through, stand in the upper triangle of their graph, int64 [q]."""
    low, high = torch.minimum(first, second) % size, torch.maximum(first, second) % size
    return low * (2 * size - low - 1) // 2 + high - low - 1


def pair_keys(first: Tensor, second: Tensor, nodes: int) -> Tensor:
    """One number for each unordered pair, int64 [q]."""
    return torch.minimum(first, second) * nodes + torch.maximum(first, second)


def allowed_orders(degree: Tensor, valence: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Which orders 1 to 3 a pair may get, bool [q, 3], from what its nodes lack (degree, valence: int64 [b * n]).

    Each end must afterwards lack a valence between one and three for each bond that it lacks.
    """
    order = torch.arange(SINGLE, TRIPLE + 1, device=degree.device)
    fine = torch.ones(len(first), TRIPLE, dtype=torch.bool, device=degree.device)
    for ends in (first, second):
        left, rest = degree[ends, None] - 1, valence[ends, None] - order
        fine &= (left >= 0) & (rest >= SINGLE * left) & (rest <= TRIPLE * left)
    return fine

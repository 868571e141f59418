"""What an unfinished graph looks like, from its list of bonds: its pieces, its rings, and how far nodes are apart.

All of it costs what the bonds and the asked pairs cost, not n^2.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from molgen.models.edge.process import Partial

HOPS = 6  # distances are told up to this
RINGS = (3, 4, 5, 6)


@dataclass(frozen=True)
class Pieces:
    """The connected pieces of unfinished graphs.

    label: int64 [b * n], the smallest node of a node's piece; size, open_ends: int64 [b * n], nodes of the piece, and
    bonds that they lack; count, all_open: int64 [b], pieces of the graph, and bonds that its nodes lack.
    """

    label: Tensor
    size: Tensor
    open_ends: Tensor
    count: Tensor
    all_open: Tensor

    @classmethod
    def of(cls, state: Partial, missing: Tensor) -> "Pieces":
        """The pieces; missing: int64 [b * n], bonds that each node lacks."""
        (sources, targets), _ = state.edges()
        label = own = torch.arange(state.nodes, device=missing.device)
        while True:
            lower = label.scatter_reduce(0, targets, label[sources], "amin")
            lower = lower[lower]
            if torch.equal(lower, label):
                break
            label = lower
        ones = torch.ones_like(own)
        zeros = torch.zeros_like(own)
        size = zeros.index_add(0, label, ones)
        open_ends = zeros.index_add(0, label, missing)
        count = (label == own).view(-1, state.part.size).sum(1)
        return cls(label, size[label], open_ends[label], count, missing.view(-1, state.part.size).sum(1))

    def joinable(self, first: Tensor, second: Tensor) -> Tensor:
        """Which new bonds leave it possible that the graph becomes one piece, bool [q].

        A piece must keep an open end as long as there is another, and all pieces together enough of them.
        """
        nodes = len(self.label) // len(self.count)
        graph = first // nodes
        same = self.label[first] == self.label[second]
        left = self.open_ends[first] + torch.where(same, 0, self.open_ends[second]) - 2
        whole = self.size[first] + torch.where(same, 0, self.size[second]) == nodes
        spare = self.all_open[graph] - 2 >= 2 * (self.count[graph] - 1)
        return ((left > 0) | whole) & (~same | spare)


def hop_distances(state: Partial, first: Tensor, second: Tensor) -> Tensor:
    """Bonds on the shortest way between the nodes of each pair: int64 [q], HOPS + 1 where longer or none."""
    size = state.part.size
    start = torch.zeros(state.nodes, dtype=torch.bool, device=first.device)
    start[first] = True
    nodes = start.nonzero()[:, 0]
    graph = nodes // size
    count = torch.bincount(graph, minlength=state.nodes // size)
    rank = torch.arange(len(nodes), device=nodes.device) - (count.cumsum(0) - count)[graph]
    ranks = torch.zeros_like(start, dtype=torch.int64).index_put((nodes,), rank)
    width = int(count.max()) if len(nodes) else 0
    reached = torch.zeros(state.nodes, width, device=first.device)
    reached[nodes, rank] = 1.0
    (sources, targets), _ = state.edges()
    distance = torch.full_like(first, HOPS + 1)
    for hop in range(1, HOPS + 1):
        reached = (reached + torch.zeros_like(reached).index_add_(0, targets, reached[sources])).clamp(max=1.0)
        found = reached[second, ranks[first]] > 0
        distance = torch.where(found & (distance > hop), hop, distance)
    return distance


def ring_counts(sources: Tensor, targets: Tensor, nodes: int) -> Tensor:
    """Rings of 3 to 6 nodes through each bond, float [m, 4]; sources, targets: both directions of each bond, [m].

    Found as the walks along the bond and back to its first node that visit no node twice.
    """
    order = sources.argsort(stable=True)
    sorted_targets = targets[order]
    degree = torch.bincount(sources, minlength=nodes)
    offset = degree.cumsum(0) - degree
    bond = torch.arange(len(sources), device=sources.device)
    visited = torch.stack([sources, targets], dim=1)
    counts = []
    for length in range(2, RINGS[-1] + 1):
        at = visited[:, -1]
        ways = degree[at]
        walk = torch.repeat_interleave(torch.arange(len(at), device=at.device), ways)
        within = torch.arange(len(walk), device=at.device) - (ways.cumsum(0) - ways)[walk]
        following = sorted_targets[offset[at][walk] + within]
        before = visited[walk]
        if length in RINGS:
            counts.append(torch.bincount(bond[walk[following == before[:, 0]]], minlength=len(sources)))
        fresh = (following[:, None] != before).all(1)
        visited = torch.cat([before[fresh], following[fresh, None]], dim=1)
        bond = bond[walk[fresh]]
    return torch.stack(counts, dim=1).float()

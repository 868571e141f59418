"""The bond networks of EDGE: where a bond goes that comes back at an active node, and of which class it is."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from molgen.data.dataset import TargetStatistics
from molgen.device import autocast
from molgen.models.edge.degrees import MAX_DEGREE, MAX_VALENCE
from molgen.models.edge.process import TRIPLE, Partial, allowed_orders
from molgen.models.edge.structure import HOPS, RINGS, Pieces, hop_distances, ring_counts
from molgen.models.graph_layers import graph_layer
from molgen.models.layers import TargetEncoding
from molgen.molecules.vocabulary import BOND_CLASSES

NODE_FEATURES = 2 * (MAX_DEGREE + 1) + 2 * (MAX_VALENCE + 1) + 4  # the last four: of its piece and its graph
KNOWN_FEATURES = 2  # of a node: whether its class is known, and to how many others it is closed


class Round(nn.Module):
    """One round of message passing, as published: TransformerConv (Shi et al. 2021) over the bonds, then a GRU.

    The context is the mean over the graph, as published, and the mean over the node's piece of it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.conv = graph_layer("TransformerConv", width, width // heads, heads=heads, edge_dim=width)
        self.context = nn.Sequential(nn.Linear(3 * width, width), nn.SiLU(), nn.Linear(width, width))
        self.cell = nn.GRUCell(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, h: Tensor, edges: Tensor, bonds: Tensor, pieces: Pieces) -> Tensor:
        """h: float [b * n, width]; edges: int64 [2, 2m]; bonds: [2m, width]."""
        size = len(h) // len(pieces.count)
        mean = h.view(-1, size, h.shape[1]).mean(1).repeat_interleave(size, dim=0)
        piece = torch.zeros_like(h).index_add(0, pieces.label, h)[pieces.label] / pieces.size[:, None]
        context = self.context(torch.cat([h, mean, piece], dim=1))
        out: Tensor = self.norm(self.cell((self.conv(h, edges, bonds) + context).float(), h))
        return out


class BondLogits(nn.Module, ABC):
    """Logits of the bonds that could be added at active nodes, from the bonds so far.

    It is not told the time: given the bonds that are left, the time says nothing about which are missing.
    What cannot be in a connected graph with these degrees and valences has probability 0, unless `masked` is false.
    targets: encodes properties that are asked for, in its first `width` numbers for the bonds, which are added to every
    node of a graph, and in the last `node_width` for the model of node parts; None where there are none.
    """

    masked = True
    targets: TargetEncoding | None

    def forward(self, state: Partial, first: Tensor, second: Tensor) -> Tensor:
        """Logits [q, 3] of the orders of new bonds between the nodes of each pair, -inf for what cannot be.

        Pairs known to be empty should not be among them.
        """
        if not self.masked:
            return self.unmasked(state, first, second)
        degree, valence = state.missing()
        pieces = Pieces.of(state, degree)
        allowed = allowed_orders(degree, valence, first, second) & pieces.joinable(first, second)[:, None]
        return self._logits(state, first, second, degree, valence, pieces).masked_fill(~allowed, -torch.inf)

    def unmasked(self, state: Partial, first: Tensor, second: Tensor) -> Tensor:
        """The same logits, also of what cannot be, which training with masks never asks for."""
        degree, valence = state.missing()
        return self._logits(state, first, second, degree, valence, Pieces.of(state, degree))

    @abstractmethod
    def _logits(
        self, state: Partial, first: Tensor, second: Tensor, degree: Tensor, valence: Tensor, pieces: Pieces
    ) -> Tensor:
        """degree, valence: what each node lacks."""


def node_features(state: Partial, degree: Tensor, valence: Tensor, pieces: Pieces, *, known_parts: bool) -> Tensor:
    """What a network sees of each node beside its class, float [b * n, NODE_FEATURES + known_parts * KNOWN_FEATURES].

    degree, valence: what each node lacks.
    """
    part = state.part
    graph_features = torch.stack([pieces.count, pieces.all_open], dim=1).repeat_interleave(part.size, dim=0)
    features = [
        one_hot(part.degree.flatten().clamp(0, MAX_DEGREE), MAX_DEGREE + 1),
        one_hot(part.valence.flatten().clamp(0, MAX_VALENCE), MAX_VALENCE + 1),
        one_hot(degree.clamp(0, MAX_DEGREE), MAX_DEGREE + 1),
        one_hot(valence.clamp(0, MAX_VALENCE), MAX_VALENCE + 1),
        torch.stack([pieces.size, pieces.open_ends], dim=1) / 5,
        graph_features / 10,
    ]
    if known_parts:
        known = graph_features.new_zeros(state.nodes, KNOWN_FEATURES).float()
        if state.given is not None:
            known = torch.stack([state.given.known.flatten(), state.given.partners.flatten() / 10], dim=1)
        features.append(known)
    return torch.cat(features, dim=1).float()


class BondNetwork(BondLogits):
    """Messages along the bonds so far, as published; what it costs grows with the bonds and the asked pairs alone."""

    def __init__(
        self,
        atoms: int,
        *,
        layers: int,
        width: int,
        heads: int,
        node_width: int,
        known_parts: bool,
        targets: tuple[TargetStatistics, ...],
    ) -> None:
        super().__init__()
        self.atoms = atoms
        self.known_parts = known_parts
        inputs = atoms + NODE_FEATURES + known_parts * KNOWN_FEATURES
        self.node_in = nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width))
        self.bond_in = nn.Embedding(len(BOND_CLASSES), width)
        self.ring_in = nn.Linear(len(RINGS), width)
        self.blocks = nn.ModuleList(Round(width, heads) for _ in range(layers))
        self.distance = nn.Embedding(HOPS + 2, width)
        self.apart = nn.Embedding(2, width)
        self.to_pair = nn.Linear(width, 2 * width)
        self.pair_out = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, TRIPLE))
        self.targets = TargetEncoding(targets, width + node_width) if targets else None

    def _logits(
        self, state: Partial, first: Tensor, second: Tensor, degree: Tensor, valence: Tensor, pieces: Pieces
    ) -> Tensor:
        size = state.part.size
        seen = node_features(state, degree, valence, pieces, known_parts=self.known_parts)
        inputs = torch.cat([one_hot(state.part.atoms.flatten(), self.atoms), seen], dim=1)
        edges, orders = state.edges()
        rings = ring_counts(edges[0], edges[1], state.nodes)
        with autocast(first.device):
            h = self.node_in(inputs).float()
            if state.given is not None and state.given.told is not None:
                h = h + state.given.told.repeat_interleave(size, dim=0)
            bonds = self.bond_in(orders) + self.ring_in(rings / (1 + rings))
            for block in self.blocks:
                h = block(h, edges, bonds, pieces)
            added, multiplied = self.to_pair(h).chunk(2, dim=-1)
            # a product with a short table, not a lookup, whose gradients would be added up in bfloat16
            near = (self.distance.weight[:, None] + self.apart.weight).flatten(0, 1)
            apart = (pieces.label[first] != pieces.label[second]).long()
            where = one_hot(2 * hop_distances(state, first, second) + apart, len(near)).to(near.dtype) @ near
            pair = added[first] + added[second] + multiplied[first] * multiplied[second] + where
            logits: Tensor = self.pair_out(pair)
        return logits.float()


def log_shares(logits: Tensor, first: Tensor, second: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    """Log p of each bond given that one comes back at the first node, and given that at the second, [q, 3] each.

    Each is over all pairs of that node, which must all be there where it is active. Where
    a node can take no bond they are -inf.
    """
    ends = torch.cat([first, second])
    of_pair = logits.logsumexp(1).repeat(2)
    highest = torch.full((nodes,), -torch.inf, device=logits.device).scatter_reduce(0, ends, of_pair.detach(), "amax")
    highest = torch.where(highest.isfinite(), highest, 0.0)
    total = torch.zeros_like(highest).index_add(0, ends, (of_pair - highest[ends]).exp())
    log_total = highest + total.clamp(min=1e-30).log()
    return logits - log_total[first, None], logits - log_total[second, None]

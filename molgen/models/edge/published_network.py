"""The network of the published process of EDGE: which bond, if any, each pair of active nodes gets."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from molgen.data.dataset import TargetStatistics
from molgen.device import autocast
from molgen.models.edge.degrees import MAX_DEGREE, MAX_VALENCE
from molgen.models.edge.network import KNOWN_FEATURES
from molgen.models.edge.process import Partial
from molgen.models.graph_layers import graph_layer
from molgen.models.layers import TargetEncoding
from molgen.molecules.vocabulary import BOND_CLASSES

RESCALED = 4000.0  # the time 1 in the angles of the published embedding


class TimeEmbedding(nn.Module):
    """Sines and cosines of the time in [0, 1] and a network over them, as published: float [b] -> [b, width]."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        half = max(2, width // 2)
        rates = torch.exp(torch.arange(half) * (-math.log(10_000) / (half - 1)))
        self.register_buffer("frequencies", rates, persistent=False)
        self.net = nn.Sequential(nn.Linear(2 * half, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))

    def forward(self, time: Tensor) -> Tensor:
        angle = RESCALED * time[:, None] * self.frequencies
        embedded: Tensor = self.net(torch.cat([angle.sin(), angle.cos()], dim=-1))
        return embedded


class ActiveRound(nn.Module):
    """Message passing of one round, as published: TransformerConv over the bonds of nodes and time, mean of heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Mish(), nn.Linear(width, width))
        self.conv = graph_layer("TransformerConv", 2 * width, width, heads=heads, concat=False, edge_dim=width)

    def forward(self, h: Tensor, edges: Tensor, bonds: Tensor, time: Tensor) -> Tensor:
        """h: float [b * n, width]; edges: int64 [2, 2m]; bonds: [2m, width]; time: [b, width]."""
        size = len(h) // len(time)
        moment = self.time(time).repeat_interleave(size, dim=0)
        out: Tensor = nn.functional.silu(self.conv(torch.cat([h, moment], dim=1), edges, bonds))
        return out


class ActiveNetwork(nn.Module):
    """Logits of no bond and of each order for pairs of active nodes, from the bonds so far.

    As published: it is told the time, the degree so far, the final degree and the active nodes; in each round a GRU and
    a global context, both shared by all rounds; the logit of a pair comes from the sum of its two nodes. Not published,
    for molecules: the class of each node, valences beside degrees, and the order of each bond in the messages.
    targets: as in `BondNetwork`.
    """

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
        inputs = atoms + 2 * (MAX_DEGREE + 1) + 2 * (MAX_VALENCE + 1) + 1 + known_parts * KNOWN_FEATURES
        self.node_in = nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width))
        self.bond_in = nn.Embedding(len(BOND_CLASSES), width)
        self.time = TimeEmbedding(width)
        # the last round has one head, as published
        self.blocks = nn.ModuleList(ActiveRound(width, heads if k < layers - 1 else 1) for k in range(layers))
        self.cell = nn.GRUCell(width, width)
        self.to_global = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
        self.context = nn.Sequential(nn.Linear(2 * width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
        wide = 2 * width
        self.node_out = nn.Sequential(
            *(nn.Linear(wide, wide), nn.SiLU(), nn.Linear(wide, wide), nn.SiLU(), nn.Linear(wide, wide))
        )
        self.pair_out = nn.Sequential(
            *(nn.Linear(wide, wide), nn.SiLU(), nn.Linear(wide, width), nn.SiLU()),
            nn.Linear(width, len(BOND_CLASSES)),
        )
        self.targets = TargetEncoding(targets, width + node_width) if targets else None

    def forward(self, state: Partial, first: Tensor, second: Tensor, active: Tensor, time: Tensor) -> Tensor:
        """Logits [q, 4] of the classes of pairs; active: bool [b * n]; time: t / T, float [b]."""
        part, size, count = state.part, state.part.size, len(state.part.atoms)
        lacking, rest = state.missing()
        degree, valence = part.degree.flatten(), part.valence.flatten()
        ends = ((degree, MAX_DEGREE), (valence, MAX_VALENCE))
        so_far = ((degree - lacking, MAX_DEGREE), (valence - rest, MAX_VALENCE))
        features = [one_hot(part.atoms.flatten(), self.atoms)]
        features += [one_hot(values.clamp(0, most), most + 1) for values, most in (*ends, *so_far)]
        features.append(active[:, None])
        if self.known_parts:
            known = torch.zeros(state.nodes, KNOWN_FEATURES, device=active.device)
            if state.given is not None:
                known = torch.stack([state.given.known.flatten(), state.given.partners.flatten() / 10], dim=1)
            features.append(known)
        edges, orders = state.edges()
        with autocast(active.device):
            begun = h = memory = self.node_in(torch.cat(features, dim=1).float()).float()
            if state.given is not None and state.given.told is not None:
                begun = h = memory = h + state.given.told.repeat_interleave(size, dim=0)
            bonds, moment = self.bond_in(orders), self.time(time)
            whole = self.to_global(h.view(count, size, -1).mean(1))
            for block in self.blocks:
                memory = self.cell(block(h, edges, bonds, moment).float(), memory)
                spread = whole.repeat_interleave(size, dim=0)
                mixed = spread + self.context(torch.cat([memory, spread.float()], dim=1))
                whole = self.to_global(mixed.view(count, size, -1).mean(1))
                h = memory + whole.repeat_interleave(size, dim=0)
            nodes = self.node_out(torch.cat([h, begun], dim=1))
            logits: Tensor = self.pair_out(nodes[first] + nodes[second])
        return logits.float()

"""The score network of EDP-GNN for typed graphs: noisy channels and noise level -> distribution of the clean graph."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from molgen.data.dataset import TargetStatistics
from molgen.device import autocast, network_dtype
from molgen.models.conditions import Condition
from molgen.models.edpgnn.process import certain, evidence
from molgen.models.layers import (
    FiLM,
    GraphFeatures,
    NoiseEmbedding,
    TargetEncoding,
    pairs_to_square,
    square_to_pairs,
    zeroed,
)
from molgen.molecules.graph import incidence, pair_indices


class EdgewiseBlock(nn.Module):
    """One layer of the multi-channel edgewise network (EDP-GNN, section 4): the adjacency channels are rewritten.

    nodes h [b, n, d], channels e [b, p, c] of the upper triangle, condition [b, d] -> the same shapes.
    Each of `heads` learned adjacency matrices carries its share of the node features to the neighbours, and an MLP
    takes what arrives (the GIN of the paper); a second MLP rewrites a pair's channels from itself, its two nodes, and
    the products of channels over every third node.
    """

    def __init__(self, width: int, pair_width: int, heads: int, triangles: int) -> None:
        super().__init__()
        self.heads, self.triangles = heads, triangles
        self.activation = nn.ReLU()
        self.node_norm = FiLM(width, width)
        self.pair_norm = nn.LayerNorm(pair_width)
        self.value = nn.Linear(width, width)
        self.from_pair = nn.Linear(pair_width, pair_width + heads + 2 * triangles)
        self.node_in = nn.Linear(2 * width + pair_width, 3 * width)
        self.node_out = nn.Linear(3 * width, width)
        self.end_norm = FiLM(width, width)
        self.node_to_pair = nn.Linear(width, 2 * pair_width)
        self.pair_in = nn.Linear(pair_width, 2 * pair_width)
        self.triangle_in = nn.Linear(triangles, 2 * pair_width, bias=False)
        self.pair_out = nn.Linear(2 * pair_width, pair_width)

    def forward(self, h: Tensor, e: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        b, n, d = h.shape
        members = incidence(n).to(h.device, e.dtype)
        x = self.node_norm(h, condition)
        y = self.pair_norm(e)
        message, mixed = self.from_pair(y).split([e.shape[-1], self.heads + 2 * self.triangles], dim=-1)
        channels = [self.heads, self.triangles, self.triangles]
        adjacency, left, right = torch.split(pairs_to_square(mixed, n), channels, dim=1)
        values = self.value(x).view(b, n, self.heads, d // self.heads).transpose(1, 2)
        arrived = (adjacency @ values).transpose(1, 2).reshape(b, n, d)
        scale = 1 / math.sqrt(n)
        inputs = torch.cat([x, scale * arrived, scale * (members @ message)], dim=-1)
        h = h + self.node_out(self.activation(self.node_in(inputs)))

        product = square_to_pairs(left @ right.transpose(2, 3), n)
        hidden = torch.baddbmm(
            self.pair_in(y) + self.triangle_in(product),
            members.T.expand(b, -1, -1),
            self.node_to_pair(self.end_norm(h, condition)),
        )
        return h, e + self.pair_out(self.activation(hidden))


class ScoreNetwork(nn.Module):
    """Noise-conditional network over node and bond channels; equivariant under node order.

    It gives log p(x0 | x) of every entry, whose mean is the denoiser and so the score. As the data are classes, the
    logits start from the evidence of an entry's own noisy channels, so that the layers only learn what the rest of the
    graph adds. The layers all feed the output, as published.

    Entries that are known are clean one-hot channels, whatever comes in, and their class is certain in what goes out.
    """

    atom_marginals: Tensor
    bond_marginals: Tensor

    def __init__(
        self,
        atom_marginals: Tensor,
        bond_marginals: Tensor,
        *,
        layers: int,
        width: int,
        pair_width: int,
        heads: int,
        triangles: int,
        known_parts: bool,
        targets: tuple[TargetStatistics, ...],
    ) -> None:
        super().__init__()
        self.known_parts = known_parts
        self.register_buffer("atom_marginals", atom_marginals)
        self.register_buffer("bond_marginals", bond_marginals)
        atoms, bonds = len(atom_marginals), len(bond_marginals)
        self.features = GraphFeatures()
        self.noise = NoiseEmbedding(width)
        self.targets = TargetEncoding(targets, width) if targets else None
        # one more input for each entry: whether it is known
        self.node_in = nn.Sequential(
            nn.Linear(2 * atoms + self.features.node_width + known_parts, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.pair_in = nn.Sequential(
            nn.Linear(2 * bonds + self.features.pair_width + known_parts, pair_width),
            nn.SiLU(),
            nn.Linear(pair_width, pair_width),
        )
        self.node_to_pair = nn.Linear(width, pair_width)
        self.blocks = nn.ModuleList(EdgewiseBlock(width, pair_width, heads, triangles) for _ in range(layers))
        self.node_heads = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.pair_heads = nn.ModuleList(nn.Linear(pair_width, pair_width) for _ in range(layers))
        self.node_out = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), zeroed(nn.Linear(width, atoms)))
        self.pair_out = nn.Sequential(nn.LayerNorm(pair_width), nn.SiLU(), zeroed(nn.Linear(pair_width, bonds)))

    def forward(
        self, nodes: Tensor, pairs: Tensor, sigma: Tensor, told: Condition | None = None
    ) -> tuple[Tensor, Tensor]:
        """nodes [b, n, a], pairs [b, p, 4]: one-hot plus sigma times noise; sigma [b].

        Returns log p(x0 | x, told), [b, n, a] and [b, p, 4], float32; at known entries 0 and log TINY.
        """
        size = nodes.shape[1]
        first, second = (index.to(nodes.device) for index in pair_indices(size))
        known_nodes = torch.zeros_like(nodes[..., :1], dtype=torch.bool)
        known_pairs = torch.zeros_like(pairs[..., :1], dtype=torch.bool)
        if told is not None:
            known_nodes, known_pairs = told.known_nodes[..., None], told.known_pairs[..., None]
            clean_nodes = one_hot(told.graph.nodes, nodes.shape[-1]).to(nodes.dtype)
            clean_pairs = one_hot(told.graph.pairs, pairs.shape[-1]).to(pairs.dtype)
            nodes, pairs = torch.where(known_nodes, clean_nodes, nodes), torch.where(known_pairs, clean_pairs, pairs)
        atoms = evidence(nodes, sigma, self.atom_marginals)
        bonds = evidence(pairs, sigma, self.bond_marginals)
        if self.known_parts:  # a model that does not know of such parts has never seen more certain evidence
            atoms, bonds = certain(atoms, nodes, known_nodes), certain(bonds, pairs, known_pairs)
        likely_atoms, likely_bonds = atoms.softmax(-1), bonds.softmax(-1)
        node_features, pair_features = self.features(likely_bonds, size)
        # unit variance at every level
        scale = (1 + sigma**2).rsqrt()[:, None, None]
        node_inputs = [scale * nodes, likely_atoms, node_features]
        pair_inputs = [scale * pairs, likely_bonds, pair_features]
        if self.known_parts:
            node_inputs.append(known_nodes.float())
            pair_inputs.append(known_pairs.float())
        with autocast(nodes.device):
            # the level as a share of signal, which is what the embedding takes
            condition = self.noise(1 / (1 + sigma**2))
            if self.targets is not None and told is not None:
                condition = condition + self.targets(told.targets)
            condition = condition.to(network_dtype(nodes.device.type))
            h = self.node_in(torch.cat(node_inputs, dim=-1)) + condition[:, None]
            u = self.node_to_pair(h)
            e = self.pair_in(torch.cat(pair_inputs, dim=-1)) + u[:, first] + u[:, second]
            condition = nn.functional.silu(condition)
            node_sum, pair_sum = torch.zeros_like(h), torch.zeros_like(e)
            for block, node_head, pair_head in zip(self.blocks, self.node_heads, self.pair_heads, strict=True):
                h, e = block(h, e, condition)
                node_sum, pair_sum = node_sum + node_head(h), pair_sum + pair_head(e)
            node_logits, pair_logits = self.node_out(node_sum), self.pair_out(pair_sum)
        log_nodes = (atoms + node_logits.float()).log_softmax(-1)
        log_pairs = (bonds + pair_logits.float()).log_softmax(-1)
        return certain(log_nodes, nodes, known_nodes), certain(log_pairs, pairs, known_pairs)

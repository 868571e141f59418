"""The network of DiGress as its authors have it: a graph transformer with tracks of nodes, pairs and the whole graph.

After cvignac/DiGress, src/models/transformer_model.py, whose names are given in brackets.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, relu

from molgen.data.dataset import TargetStatistics
from molgen.device import autocast
from molgen.models.conditions import Condition
from molgen.models.digress.published_features import PublishedFeatures
from molgen.models.layers import TargetEncoding
from molgen.models.noise import COSINE_OFFSET
from molgen.molecules.graph import GraphBatch, from_square, to_square
from molgen.molecules.vocabulary import Vocabulary


def perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two linear layers with a ReLU between."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class FeatureFiLM(nn.Module):
    """x -> a(y) + (1 + m(y)) x: modulation by other features (Perez et al. 2018)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.add = nn.Linear(inputs, outputs)
        self.multiply = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        out: Tensor = self.add(y) + (1 + self.multiply(y)) * x
        return out


class Pooling(nn.Module):
    """Mean, least, most and spread over entries, then linear, the PNA of the paper: [b, k, d] -> [b, outputs]."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(4 * width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        spread = x.float().var(1, correction=0).clamp(min=1e-8).sqrt()
        pooled: Tensor = self.out(torch.cat([x.mean(1), x.amin(1), x.amax(1), spread.to(x.dtype)], dim=-1))
        return pooled


class Attention(nn.Module):
    """Attention over nodes that pairs and graph modulate, and what pairs and graph become [NodeEdgeBlock].

    The weights are of each channel, not only of each head. last: the graph's track is not followed any more.
    """

    def __init__(self, width: int, pair_width: int, global_width: int, heads: int, *, last: bool) -> None:
        super().__init__()
        self.scale = 1 / math.sqrt(width // heads)
        self.qkv = nn.Linear(width, 3 * width)
        self.pair_film = FeatureFiLM(pair_width, width)
        self.global_to_pair = FeatureFiLM(global_width, width)
        self.global_to_node = FeatureFiLM(global_width, width)
        self.node_out = nn.Linear(width, width)
        self.pair_out = nn.Linear(width, pair_width)
        self.last = last
        if not last:
            self.own = nn.Linear(global_width, global_width)
            self.from_nodes = Pooling(width, global_width)
            self.from_pairs = Pooling(pair_width, global_width)
            self.global_out = perceptron(global_width, global_width, global_width)

    def forward(self, x: Tensor, e: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x [b, n, d], e [b, n, n, de], y [b, dy] -> what is added to each of them."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        logits = self.pair_film(self.scale * q[:, :, None] * k[:, None], e)
        pairs = self.pair_out(self.global_to_pair(logits, y[:, None, None]))
        weighted = (logits.softmax(dim=2) * v[:, None]).sum(2)
        nodes = self.node_out(self.global_to_node(weighted, y[:, None]))
        if self.last:
            return nodes, pairs, torch.zeros_like(y)
        pooled = self.own(y) + self.from_nodes(x) + self.from_pairs(e.flatten(1, 2))
        return nodes, pairs, self.global_out(pooled)


class PublishedBlock(nn.Module):
    """A layer: attention, then two linear layers for each track, each added and normed [XEyTransformerLayer]."""

    def __init__(self, width: int, pair_width: int, global_width: int, heads: int, *, last: bool) -> None:
        super().__init__()
        self.attention = Attention(width, pair_width, global_width, heads, last=last)
        # hidden widths in the published proportions
        tracks = [(width, width), (pair_width, 2 * pair_width)]
        if not last:
            tracks.append((global_width, 2 * global_width))
        self.first_norms = nn.ModuleList(nn.LayerNorm(inner) for inner, _ in tracks)
        self.feeds = nn.ModuleList(perceptron(inner, hidden, inner) for inner, hidden in tracks)
        self.second_norms = nn.ModuleList(nn.LayerNorm(inner) for inner, _ in tracks)

    def forward(self, x: Tensor, e: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x [b, n, d], e [b, n, n, de], y [b, dy] -> the same shapes."""
        tracks = [x, e, y]
        added = self.attention(x, e, y)
        for k, (first, feed, second) in enumerate(zip(self.first_norms, self.feeds, self.second_norms, strict=True)):
            inner = first(tracks[k] + added[k])
            tracks[k] = second(inner + feed(inner))
        return tracks[0], tracks[1], tracks[2]


class PublishedDenoiser(nn.Module):
    """Noisy graph and noise level -> log p of the clean graph, with the features and the network of the paper.

    The signature is that of `molgen.models.digress.network.Denoiser`. As there, and not published: inputs that tell
    what is known, and properties that are asked for, which are added to the graph's track.
    """

    atom_marginals: Tensor
    bond_marginals: Tensor

    def __init__(
        self,
        atom_marginals: Tensor,
        bond_marginals: Tensor,
        *,
        vocabulary: Vocabulary,
        largest: int,
        layers: int,
        width: int,
        pair_width: int,
        global_width: int,
        heads: int,
        known_parts: bool,
        targets: tuple[TargetStatistics, ...],
    ) -> None:
        super().__init__()
        self.known_parts = known_parts
        self.register_buffer("atom_marginals", atom_marginals)
        self.register_buffer("bond_marginals", bond_marginals)
        atoms, bonds = len(atom_marginals), len(bond_marginals)
        self.features = PublishedFeatures(vocabulary.atoms, largest)
        self.targets = TargetEncoding(targets, global_width) if targets else None
        inputs = (
            (atoms + self.features.node_width + known_parts, width, width),
            (bonds + known_parts, 2 * pair_width, pair_width),
            (self.features.whole_width + 1, 2 * global_width, global_width),
        )
        self.node_in, self.pair_in, self.global_in = (perceptron(*widths) for widths in inputs)
        self.blocks = nn.ModuleList(
            PublishedBlock(width, pair_width, global_width, heads, last=k == layers - 1) for k in range(layers)
        )
        self.node_out = perceptron(width, width, atoms)
        self.pair_out = perceptron(pair_width, 2 * pair_width, bonds)

    def forward(self, batch: GraphBatch, alpha_bar: Tensor, told: Condition | None = None) -> tuple[Tensor, Tensor]:
        """batch: z_t, int64, with the known entries of `told` in place; alpha_bar [b].

        Returns log p(x | z_t, told): [b, n, a] and [b, p, 4], float32, of no meaning at known entries.
        """
        size = batch.size
        structure = self.features(batch.nodes, batch.pairs)
        atoms = one_hot(batch.nodes, len(self.atom_marginals)).float()
        bonds = to_square(one_hot(batch.pairs, len(self.bond_marginals)).float(), size)  # 0 on the diagonal
        whole = torch.cat([structure.whole, step_of(alpha_bar)[:, None]], dim=1)
        node_inputs, pair_inputs = [atoms, structure.nodes], [bonds]
        if self.known_parts:
            known_nodes, known_pairs = torch.zeros_like(batch.nodes), torch.zeros_like(batch.pairs)
            if told is not None:
                known_nodes, known_pairs = told.known_nodes, told.known_pairs
            node_inputs.append(known_nodes[..., None].float())
            pair_inputs.append(to_square(known_pairs.float(), size)[..., None])
        with autocast(batch.nodes.device):
            x = relu(self.node_in(torch.cat(node_inputs, dim=-1)))
            e = relu(self.pair_in(torch.cat(pair_inputs, dim=-1)))  # symmetric, as its input is
            y = relu(self.global_in(whole))
            if self.targets is not None and told is not None:
                y = y + self.targets(told.targets)
            for block in self.blocks:
                x, e, y = block(x, e, y)
            node_logits, pair_logits = self.node_out(x).float() + atoms, self.pair_out(e).float() + bonds
        pair_logits = from_square((pair_logits + pair_logits.transpose(1, 2)) / 2)
        return node_logits.log_softmax(-1), pair_logits.log_softmax(-1)


def step_of(alpha_bar: Tensor) -> Tensor:
    """t / T of a noise level of the cosine schedule, which is what the published network is told, same shape."""
    start = math.cos(0.5 * math.pi * COSINE_OFFSET / (1 + COSINE_OFFSET)) ** 2
    angle = torch.arccos((alpha_bar * start).clamp(0.0, 1.0).sqrt())
    return (angle * 2 / math.pi * (1 + COSINE_OFFSET) - COSINE_OFFSET).clamp(0.0, 1.0)

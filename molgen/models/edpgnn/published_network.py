"""The network of EDP-GNN as its authors have it (Niu et al. 2020, section 4), for typed atoms and bonds."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, one_hot

from molgen.data.dataset import TargetStatistics
from molgen.device import autocast
from molgen.models.conditions import Condition
from molgen.models.layers import TargetEncoding
from molgen.molecules.graph import from_square, to_square

# rounds of messages in a layer
ROUNDS = 4


class LevelMLP(nn.Module):
    """Three linear layers; each level of noise has its own gains and biases between them (section 4.3).

    x [b, ..., inputs], level int64 [b] -> [b, ..., outputs].
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, *, levels: int, normalised: bool) -> None:
        super().__init__()
        self.linears = nn.ModuleList([nn.Linear(inputs, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, outputs)])
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) if normalised else nn.Identity() for _ in range(2))
        self.gains = nn.ParameterList(1 + 0.02 * torch.randn(levels, hidden) for _ in range(2))
        self.biases = nn.ParameterList(torch.zeros(levels, hidden) for _ in range(2))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        between = (len(x), *[1] * (x.ndim - 2), -1)
        for linear, norm, gain, bias in zip(self.linears, self.norms, self.gains, self.biases, strict=False):
            x = elu(torch.addcmul(bias[level].view(between), norm(linear(x)), gain[level].view(between)))
        out: Tensor = self.linears[-1](x)
        return out


class MultiChannelGIN(nn.Module):
    """Messages over several adjacency matrices at once (section 4.1): x [b, n, inputs] -> [b, n, width].

    A [b, c, n, n]. In each round what arrives over the channels is put side by side and goes through an MLP; the
    output is the sum of an MLP of each round's features.
    """

    def __init__(self, inputs: int, width: int, channels: int) -> None:
        super().__init__()
        sizes = [inputs + channels, *[width] * ROUNDS]
        hidden = 2 * max(sizes)
        self.epsilon = nn.Parameter(torch.zeros(ROUNDS))
        self.rounds = nn.ModuleList(
            nn.Sequential(nn.Linear(channels * size, hidden), nn.ReLU(), nn.Linear(hidden, width))
            for size in sizes[:-1]
        )
        self.outs = nn.ModuleList(
            nn.Sequential(nn.Linear(size, hidden), nn.LeakyReLU(), nn.Linear(hidden, width)) for size in sizes
        )

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        b, n, _ = x.shape
        x = torch.cat([x, adjacency.sum(-1).transpose(1, 2)], dim=-1)
        adjacency = adjacency + torch.eye(n, dtype=adjacency.dtype, device=adjacency.device)
        out: Tensor = self.outs[0](x)
        for mlp, to_out, epsilon in zip(self.rounds, self.outs[1:], self.epsilon, strict=True):
            arrived = adjacency @ x[:, None] + epsilon.to(x.dtype) * x[:, None]
            x = mlp(arrived.transpose(1, 2).reshape(b, n, -1)).tanh()
            out = out + to_out(x)
        return out


class EdgeDensePredictionLayer(nn.Module):
    """Messages, then new adjacency channels from the old ones and the two nodes of every pair (section 4.2).

    x [b, n, width], A [b, c, n, n], level [b] -> the same shapes.
    """

    def __init__(self, width: int, channels: int, hidden: int, levels: int) -> None:
        super().__init__()
        self.messages = MultiChannelGIN(width, width, channels)
        self.to_channels = LevelMLP(channels + 2 * width, hidden, channels, levels=levels, normalised=True)

    def forward(self, x: Tensor, adjacency: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        n = x.shape[1]
        x = self.messages(x, adjacency)
        one, other = x[:, :, None].expand(-1, -1, n, -1), x[:, None].expand(-1, n, -1, -1)
        inputs = torch.cat([adjacency.permute(0, 2, 3, 1), one, other], dim=-1)
        new = self.to_channels(inputs, level).permute(0, 3, 1, 2)
        return x, new + new.transpose(2, 3)


class PublishedScoreNetwork(nn.Module):
    """Noisy channels and one of a few noise levels -> the denoised channels x + sigma^2 score(x); equivariant.

    The score is what the layers put out, with no scale and no evidence: they learn it as it is. The adjacency channels
    of all layers give the score of the pairs, as published, and the features of all layers, in the same way, that of
    the nodes. The published network has one adjacency matrix and its complement as inputs; here a linear layer makes
    the first channels from those of the bond classes, and another the first features from those of the atom classes.
    Entries that are known are clean one-hot channels, whatever comes in, in what goes out too.
    """

    atom_marginals: Tensor
    bond_marginals: Tensor
    sigmas: Tensor

    def __init__(
        self,
        atom_marginals: Tensor,
        bond_marginals: Tensor,
        sigmas: Sequence[float],
        *,
        layers: int,
        width: int,
        pair_width: int,
        channels: int,
        known_parts: bool,
        targets: tuple[TargetStatistics, ...],
    ) -> None:
        super().__init__()
        self.known_parts = known_parts
        self.register_buffer("atom_marginals", atom_marginals)
        self.register_buffer("bond_marginals", bond_marginals)
        self.register_buffer("sigmas", torch.tensor(sigmas), persistent=False)
        atoms, bonds, levels = len(atom_marginals), len(bond_marginals), len(sigmas)
        self.targets = TargetEncoding(targets, width) if targets else None
        # one more input for each entry: whether it is known
        self.node_in = nn.Linear(atoms + known_parts, width)
        self.pair_in = nn.Linear(bonds + known_parts, channels)
        self.layers = nn.ModuleList(
            EdgeDensePredictionLayer(width, channels, pair_width, levels) for _ in range(layers)
        )
        all_features, all_channels = (layers + 1) * width, (layers + 1) * channels
        self.node_out = LevelMLP(all_features, 2 * width, atoms, levels=levels, normalised=False)
        self.pair_out = LevelMLP(all_channels, 2 * all_channels, bonds, levels=levels, normalised=False)

    def forward(
        self, nodes: Tensor, pairs: Tensor, sigma: Tensor, told: Condition | None = None
    ) -> tuple[Tensor, Tensor]:
        """nodes [b, n, a], pairs [b, p, 4]: one-hot plus sigma times noise; sigma [b], of the levels.

        Returns E[x0 | x, told], [b, n, a] and [b, p, 4], float32, as the network estimates it: any numbers.
        """
        level = (sigma[:, None] - self.sigmas).abs().argmin(-1)
        size = nodes.shape[1]
        known_nodes = torch.zeros_like(nodes[..., :1], dtype=torch.bool)
        known_pairs = torch.zeros_like(pairs[..., :1], dtype=torch.bool)
        if told is not None:
            known_nodes, known_pairs = told.known_nodes[..., None], told.known_pairs[..., None]
            clean_nodes = one_hot(told.graph.nodes, nodes.shape[-1]).to(nodes.dtype)
            clean_pairs = one_hot(told.graph.pairs, pairs.shape[-1]).to(pairs.dtype)
            nodes, pairs = torch.where(known_nodes, clean_nodes, nodes), torch.where(known_pairs, clean_pairs, pairs)
        node_inputs, pair_inputs = nodes, pairs
        if self.known_parts:
            node_inputs = torch.cat([nodes, known_nodes.to(nodes.dtype)], dim=-1)
            pair_inputs = torch.cat([pairs, known_pairs.to(pairs.dtype)], dim=-1)
        with autocast(nodes.device):
            x = self.node_in(node_inputs)
            if self.targets is not None and told is not None:
                x = x + self.targets(told.targets)[:, None]
            adjacency = to_square(self.pair_in(pair_inputs), size).permute(0, 3, 1, 2)
            features, channels = [x], [adjacency]
            for layer in self.layers:
                x, adjacency = layer(x, adjacency, level)
                features.append(x)
                channels.append(adjacency)
            node_score = self.node_out(torch.cat(features, dim=-1), level)
            pair_score = self.pair_out(from_square(torch.cat(channels, dim=1).permute(0, 2, 3, 1)), level)
        variance = (sigma**2)[:, None, None]
        return (
            torch.where(known_nodes, nodes, nodes + variance * node_score.float()),
            torch.where(known_pairs, pairs, pairs + variance * pair_score.float()),
        )

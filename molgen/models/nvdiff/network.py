"""The networks of NVDiff: encoder (graph -> node vectors), decoder (back), denoiser, and what reads known parts."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from molgen.data.dataset import TargetStatistics
from molgen.device import autocast, network_dtype
from molgen.models.conditions import Condition
from molgen.models.graph_layers import graph_layer
from molgen.models.layers import LOGIT_BOUND, FiLM, GraphFeatures, NoiseEmbedding, PairBlock, TargetEncoding, zeroed
from molgen.models.nvdiff.orbitals import APART, ORBITALS, orbitals
from molgen.molecules.graph import GraphBatch, incidence, pair_indices
from molgen.molecules.vocabulary import BOND_CLASSES


class MessagePassing(nn.Module):
    """GINE layers (Hu et al. 2020) over the bonds of graphs: features of their nodes -> hidden ones, [b, n, width]."""

    def __init__(self, inputs: int, *, layers: int, width: int) -> None:
        super().__init__()
        self.node_in = nn.Linear(inputs, width)
        self.bond_in = nn.Embedding(len(BOND_CLASSES), width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers + 1))
        self.blocks = nn.ModuleList(
            graph_layer("GINEConv", nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)))
            for _ in range(layers)
        )

    def passed(self, inputs: Tensor, pairs: Tensor) -> Tensor:
        """inputs float [b, n, inputs], pairs int64 [b, p], over whose bonds messages go -> [b, n, width]."""
        count, size = inputs.shape[:2]
        first, second = (index.to(pairs.device) for index in pair_indices(size))
        graph, pair = pairs.nonzero(as_tuple=True)
        one, other = graph * size + first[pair], graph * size + second[pair]
        edges = torch.stack([torch.cat([one, other]), torch.cat([other, one])])
        bonds = self.bond_in(pairs[graph, pair]).repeat(2, 1)
        with autocast(inputs.device):
            h = self.node_in(inputs).flatten(0, 1)
            bonds = bonds.to(h.dtype)
            for block, norm in zip(self.blocks, self.norms, strict=False):
                h = h + block(norm(h).to(h.dtype), edges, bonds)
            out: Tensor = self.norms[-1](h)
        return out.view(count, size, -1)


class Encoder(MessagePassing):
    """Graph -> mean of each node's Gaussian, [b, n, latent], each with mean 0 and variance 1 over its numbers.

    The variance of the Gaussian is the same for all.
    """

    def __init__(self, atoms: int, *, layers: int, width: int, latent: int) -> None:
        super().__init__(atoms + GraphFeatures.node_width + 2 * ORBITALS, layers=layers, width=width)
        self.atoms, self.latent = atoms, latent
        self.features = GraphFeatures()
        self.out = nn.Linear(width, latent)

    def hidden(self, batch: GraphBatch) -> Tensor:
        """The last hidden features of the nodes, [b, n, width]."""
        atoms = one_hot(batch.nodes, self.atoms).float()
        inputs = torch.cat([atoms, self.features(batch.pairs, batch.size)[0], orbitals(batch)], dim=-1)
        return self.passed(inputs, batch.pairs)

    def forward(self, batch: GraphBatch) -> Tensor:
        """batch int64 -> means [b, n, latent], float32."""
        with autocast(batch.nodes.device):
            mean = self.out(self.hidden(batch))
        return nn.functional.layer_norm(mean.float(), (self.latent,))


class Hints(NamedTuple):
    """What is added to the tracks of denoiser and decoder for a known part; all zero where nothing is known.

    denoiser: to the nodes of the denoiser, [b, n, width]; nodes, pairs: to those of the decoder, [b, n, decoder_width]
    and [b, p, pair_width].
    """

    denoiser: Tensor
    nodes: Tensor
    pairs: Tensor


class KnownPart(MessagePassing):
    """What is known of graphs -> `Hints`, zero-initialised.

    A node of the hidden features knows the part that it belongs to by messages over the known bonds, and what tells it
    from look-alikes by the orbitals of the part. The inputs of a node: its class, whether that is known, which shares
    of its pairs are known and known to have no bond, structure of the known bonds, orbitals.
    """

    def __init__(
        self, atoms: int, *, layers: int, width: int, denoiser_width: int, decoder_width: int, pair_width: int
    ) -> None:
        super().__init__(atoms + 3 + GraphFeatures.node_width + 2 * ORBITALS, layers=layers, width=width)
        self.atoms = atoms
        self.features = GraphFeatures()
        self.to_denoiser = zeroed(nn.Linear(width, denoiser_width))
        self.to_decoder = zeroed(nn.Linear(width, decoder_width))
        self.to_pairs = zeroed(nn.Linear(len(BOND_CLASSES), pair_width))

    def forward(self, told: Condition) -> Hints:
        size = told.graph.size
        bonds = torch.where(told.known_pairs, told.graph.pairs, 0)
        members = incidence(size).to(bonds.device)
        shares = [told.known_pairs.float() @ members.T, (told.known_pairs & (bonds == 0)).float() @ members.T]
        atoms = one_hot(told.graph.nodes, self.atoms) * told.known_nodes[..., None]
        flags = torch.stack([told.known_nodes.float(), *(share / max(1, size - 1) for share in shares)], dim=-1)
        inputs = [atoms.float(), flags, self.features(bonds, size)[0], self._orbitals(told, bonds)]
        hidden = self.passed(torch.cat(inputs, dim=-1), bonds)
        something = (told.known_nodes.any(1) | told.known_pairs.any(1))[:, None, None]
        with autocast(bonds.device):
            classes = one_hot(bonds, len(BOND_CLASSES)).float()
            return Hints(
                self.to_denoiser(hidden) * something,
                self.to_decoder(hidden) * something,
                self.to_pairs(classes) * told.known_pairs[..., None],
            )

    def _orbitals(self, told: Condition, bonds: Tensor) -> Tensor:
        """Orbitals of the known bonds, [b, n, 2 * ORBITALS]; none at nodes without one, which all look the same."""
        bonded = bonds.float() @ incidence(told.graph.size).to(bonds.device).T > 0
        classes = torch.where(told.known_nodes, told.graph.nodes, self.atoms)
        return orbitals(GraphBatch(torch.where(bonded, classes, APART), bonds)) * bonded[..., None]


class Decoder(nn.Module):
    """Node vectors z [b, n, latent] -> log p(atom classes), log p(bond classes): [b, n, a], [b, p, 4], float32.

    A pair starts from the sum and the product of what its two nodes say; the layers of the graph transformer then
    settle the bonds together. It runs once a molecule, so it may cost what a step must not.
    """

    def __init__(self, atoms: int, *, layers: int, width: int, pair_width: int, heads: int, latent: int) -> None:
        super().__init__()
        self.node_in = nn.Linear(latent, width)
        self.to_pair = nn.Linear(latent, 4 * pair_width)
        self.pair_in = nn.Sequential(
            nn.Linear(4 * pair_width, 2 * pair_width), nn.SiLU(), nn.Linear(2 * pair_width, pair_width)
        )
        self.condition = nn.Parameter(torch.zeros(width))
        self.blocks = nn.ModuleList(PairBlock(width, pair_width, width, heads, 16) for _ in range(layers))
        self.node_out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, atoms))
        self.pair_out = nn.Sequential(nn.LayerNorm(pair_width), nn.Linear(pair_width, len(BOND_CLASSES)))

    def forward(self, z: Tensor, hints: Hints | None = None) -> tuple[Tensor, Tensor]:
        first, second = (index.to(z.device) for index in pair_indices(z.shape[1]))
        with autocast(z.device):
            h = self.node_in(z)
            added, multiplied = self.to_pair(z).chunk(2, dim=-1)
            both = [added[:, first] + added[:, second], multiplied[:, first] * multiplied[:, second]]
            e = self.pair_in(torch.cat(both, dim=-1))
            if hints is not None:
                h, e = h + hints.nodes, e + hints.pairs
            condition = self.condition.to(h.dtype).expand(len(z), -1)
            for block in self.blocks:
                h, e = block(h, e, condition)
            node_logits, pair_logits = self.node_out(h), self.pair_out(e)
        return node_logits.float().log_softmax(-1), pair_logits.float().log_softmax(-1)


class SetBlock(nn.Module):
    """Attention among the nodes of a graph and an MLP, both under a condition: h [b, n, d], condition [b, c].

    No linear layer has a bias, which the norms' shifts make needless: on a CPU, writing it first costs as much as a
    quarter of the product.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = FiLM(width, width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.node_norm = FiLM(width, width)
        self.node_in = nn.Linear(width, 4 * width, bias=False)
        self.node_out = nn.Linear(4 * width, width, bias=False)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        b, n, d = h.shape
        flat = b * self.heads
        q, k, v = (
            self.qkv(self.attention_norm(h, condition))
            .view(b, n, 3, self.heads, d // self.heads)
            .permute(2, 0, 3, 1, 4)
            .reshape(3, flat, n, d // self.heads)
        )
        # written out as in molgen.models.layers.PairBlock, for the same reason
        logits = torch.bmm(q * (d // self.heads) ** -0.5, k.transpose(1, 2))
        weights = logits.clamp(-LOGIT_BOUND, LOGIT_BOUND).exp()
        out = torch.bmm(weights, nn.functional.pad(v, (0, 1), value=1.0))
        out = (out[..., :-1] / out[..., -1:]).view(b, self.heads, n, d // self.heads).transpose(1, 2).reshape(b, n, d)
        h = h + self.attention_out(out)
        change: Tensor = self.node_out(self.node_in(self.node_norm(h, condition)).relu_())
        return h + change


class SetDenoiser(nn.Module):
    """Noisy node vectors -> E[clean node vectors]: a transformer over the set of nodes, equivariant under their order.

    With the preconditioning of Karras et al. 2022 (table 1) for data of variance 1, which is the variance-preserving
    process seen in x / alpha. It also sees its own last estimate (self-conditioning, Chen et al. 2023,
    arXiv 2208.04202).
    """

    def __init__(
        self, *, layers: int, width: int, heads: int, latent: int, targets: tuple[TargetStatistics, ...]
    ) -> None:
        super().__init__()
        self.noise = NoiseEmbedding(width)
        self.targets = TargetEncoding(targets, width) if targets else None
        self.size = nn.Linear(1, width)
        self.node_in = nn.Linear(2 * latent, width)
        self.blocks = nn.ModuleList(SetBlock(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, latent)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self,
        x: Tensor,
        sigma: Tensor,
        before: Tensor | None = None,
        hints: Tensor | None = None,
        targets: Tensor | None = None,
    ) -> Tensor:
        """x [b, n, latent] = clean + sigma * noise, sigma [b] -> E[clean | x, what is told], float32.

        before: an earlier estimate of the same, from more noise or from this, or None. hints: `Hints.denoiser`,
        [b, n, width], of a known part; targets: as in `Condition`, [b, k].
        """
        before = torch.zeros_like(x) if before is None else before
        alpha_bar = 1 / (1 + sigma**2)
        dtype = network_dtype(x.device.type)
        with autocast(x.device):
            count = torch.full((len(x), 1), math.log(x.shape[1]), device=x.device)
            condition = self.noise(alpha_bar) + self.size(count)
            if self.targets is not None and targets is not None:
                condition = condition + self.targets(targets)
            condition = nn.functional.silu(condition.to(dtype))
            h = self.node_in(torch.cat([x * alpha_bar.sqrt()[:, None, None], before], dim=-1)) + condition[:, None]
            if hints is not None:
                h = h + hints
            for block in self.blocks:
                h = block(h, condition)
            change: Tensor = self.out(self.norm(h))
        skip, scale = alpha_bar[:, None, None], (sigma * alpha_bar.sqrt())[:, None, None]
        return skip * x + scale * change.float()

"""The denoising network: noisy graph and noise level -> distribution of the clean graph."""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from molgen.data.dataset import TargetStatistics
from molgen.device import autocast, network_dtype
from molgen.models.conditions import Condition
from molgen.models.digress.process import TINY, corruption_likelihood
from molgen.models.layers import GraphFeatures, NoiseEmbedding, PairBlock, TargetEncoding, zeroed
from molgen.molecules.graph import GraphBatch, pair_indices


class Denoiser(nn.Module):
    """Graph transformer over a node track and an upper-triangle pair track.

    Equivariant under node order. The logits start from log q(z_t | x), the evidence that an entry's own
    noisy value gives about its clean value, so that the layers only learn what the rest of the graph adds:
    with no noise left the input is returned, with full noise the input is ignored.
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
            nn.Linear(atoms + self.features.node_width + known_parts, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.pair_in = nn.Sequential(
            nn.Linear(bonds + self.features.pair_width + known_parts, pair_width),
            nn.SiLU(),
            nn.Linear(pair_width, pair_width),
        )
        self.node_to_pair = nn.Linear(width, pair_width)
        self.blocks = nn.ModuleList(PairBlock(width, pair_width, width, heads, triangles) for _ in range(layers))
        self.node_out = nn.Sequential(nn.LayerNorm(width), zeroed(nn.Linear(width, atoms)))
        self.pair_out = nn.Sequential(nn.LayerNorm(pair_width), zeroed(nn.Linear(pair_width, bonds)))

    def forward(self, batch: GraphBatch, alpha_bar: Tensor, told: Condition | None = None) -> tuple[Tensor, Tensor]:
        """batch: z_t, int64, with the known entries of `told` in place; alpha_bar [b].

        Returns log p(x | z_t, told): [b, n, a] and [b, p, 4], float32, of no meaning at known entries.
        """
        node_features, pair_features = self.features(batch.pairs, batch.size)
        first, second = pair_indices(batch.size)
        atoms = one_hot(batch.nodes, len(self.atom_marginals)).float()
        bonds = one_hot(batch.pairs, len(self.bond_marginals)).float()
        node_inputs, pair_inputs = [atoms, node_features], [bonds, pair_features]
        if self.known_parts:
            known = [torch.zeros_like(values[..., 0], dtype=torch.bool) for values in (atoms, bonds)]
            if told is not None:
                known = [told.known_nodes, told.known_pairs]
            node_inputs.append(known[0][..., None].float())
            pair_inputs.append(known[1][..., None].float())
        device = batch.nodes.device
        with autocast(device):
            # the tracks stay in the dtype of the products: mixed sums cost twice the memory traffic
            condition = self.noise(alpha_bar)
            if self.targets is not None and told is not None:
                condition = condition + self.targets(told.targets)
            condition = condition.to(network_dtype(device.type))
            h = self.node_in(torch.cat(node_inputs, dim=-1)) + condition[:, None]
            u = self.node_to_pair(h)
            e = self.pair_in(torch.cat(pair_inputs, dim=-1)) + u[:, first] + u[:, second]
            condition = nn.functional.silu(condition)
            for block in self.blocks:
                h, e = block(h, e, condition)
            node_logits, pair_logits = self.node_out(h), self.pair_out(e)
        return (
            self._log_posterior(node_logits, batch.nodes, alpha_bar, self.atom_marginals),
            self._log_posterior(pair_logits, batch.pairs, alpha_bar, self.bond_marginals),
        )

    @staticmethod
    def _log_posterior(logits: Tensor, classes: Tensor, alpha_bar: Tensor, marginals: Tensor) -> Tensor:
        evidence = corruption_likelihood(classes, alpha_bar, marginals).clamp(min=TINY).log()
        prior = marginals.clamp(min=TINY).log()
        return torch.log_softmax(logits.float() + prior + evidence, dim=-1)

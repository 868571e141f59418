"""The bond network of EDGE with a track for every pair of nodes, which can start from the weights of a DiGress."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from molgen.data.dataset import TargetStatistics
from molgen.device import autocast, network_dtype
from molgen.models.digress.network import Denoiser
from molgen.models.edge.network import KNOWN_FEATURES, NODE_FEATURES, BondLogits, node_features
from molgen.models.edge.process import SINGLE, Partial, pair_places
from molgen.models.edge.structure import Pieces
from molgen.models.layers import GraphFeatures, PairBlock, TargetEncoding, zeroed
from molgen.molecules.graph import pair_indices
from molgen.molecules.vocabulary import BOND_CLASSES


class PairBondNetwork(BondLogits):
    """The graph transformer of our DiGress, shown the bonds so far as known, and all other pairs as open.

    Not the published network: it sees nodes of different pieces together, which messages along bonds cannot, and costs
    what all pairs cost. The logit of an order is the logarithm of its share among the four classes of the pair. What
    the last layer makes of the nodes is not read.
    """

    def __init__(
        self,
        atoms: int,
        *,
        layers: int,
        width: int,
        heads: int,
        pair_width: int,
        triangles: int,
        node_width: int,
        known_parts: bool,
        targets: tuple[TargetStatistics, ...],
    ) -> None:
        super().__init__()
        self.atoms = atoms
        self.known_parts = known_parts
        self.features = GraphFeatures()
        inputs = atoms + self.features.node_width + NODE_FEATURES + known_parts * KNOWN_FEATURES
        self.node_in = nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width))
        # one more input: whether the pair is settled, by a bond or as known to be empty
        self.pair_in = nn.Sequential(
            nn.Linear(len(BOND_CLASSES) + self.features.pair_width + 1, pair_width),
            nn.SiLU(),
            nn.Linear(pair_width, pair_width),
        )
        self.start = nn.Parameter(torch.zeros(width))  # the condition where nothing is asked
        self.node_to_pair = nn.Linear(width, pair_width)
        self.blocks = nn.ModuleList(PairBlock(width, pair_width, width, heads, triangles) for _ in range(layers))
        self.pair_out = nn.Sequential(nn.LayerNorm(pair_width), zeroed(nn.Linear(pair_width, len(BOND_CLASSES))))
        self.targets = TargetEncoding(targets, width + node_width) if targets else None

    def _logits(
        self, state: Partial, first: Tensor, second: Tensor, degree: Tensor, valence: Tensor, pieces: Pieces
    ) -> Tensor:
        graphs, given, size = state.graphs(), state.given, state.part.size
        of_nodes, of_pairs = self.features(graphs.pairs, size)
        seen = node_features(state, degree, valence, pieces, known_parts=self.known_parts)
        atoms = one_hot(graphs.nodes, self.atoms).float()
        bonds = one_hot(graphs.pairs, len(BOND_CLASSES)).float()
        settled = graphs.pairs > 0 if given is None else (graphs.pairs > 0) | given.closed
        rows, columns = (index.to(first.device) for index in pair_indices(size))
        with autocast(first.device):
            condition = self.start.expand(len(graphs), -1)
            if given is not None and given.told is not None:
                condition = condition + given.told
            condition = condition.to(network_dtype(first.device.type))
            h = self.node_in(torch.cat([atoms, of_nodes, seen.view(*atoms.shape[:2], -1)], dim=-1))
            h = h + condition[:, None]
            u = self.node_to_pair(h)
            e = self.pair_in(torch.cat([bonds, of_pairs, settled[..., None].float()], dim=-1))
            e = e + u[:, rows] + u[:, columns]
            condition = nn.functional.silu(condition)
            for block in self.blocks:
                h, e = block(h, e, condition)
            classes: Tensor = self.pair_out(e[first // size, pair_places(first, second, size)])
        return classes.float().log_softmax(-1)[:, SINGLE:]

    @torch.no_grad()
    def weights_of(self, denoiser: Denoiser, *, targets: bool) -> dict[str, Tensor]:
        """The weights of the network of a DiGress in the names of this one's, the columns of atoms as they were.

        What it is shown is, to that network, nearly what it saw at full noise: known atoms, some known bonds, and all
        else to be found; its open pairs had classes at random there, and are empty here.
        targets: whether to take over how it encodes them, which needs both to know the same. Shapes are those of the
        other network.
        """
        old = {name: parameter.detach() for name, parameter in denoiser.named_parameters()}
        taken = {name: old[name] for name, _ in self.named_parameters() if name in old and "targets" not in name}
        inward = old["node_in.0.weight"]
        shared = inward.shape[1] - denoiser.known_parts  # the flag of known nodes, here of all, goes into the bias
        fresh = inward.new_zeros(len(inward), NODE_FEATURES + self.known_parts * KNOWN_FEATURES)
        taken["node_in.0.weight"] = torch.cat([inward[:, :shared], fresh], dim=1)
        taken["node_in.0.bias"] = old["node_in.0.bias"] + inward[:, shared:].sum(1)
        if not denoiser.known_parts:
            taken["pair_in.0.weight"] = nn.functional.pad(old["pair_in.0.weight"], (0, 1))
        taken["pair_out.1.bias"] = old["pair_out.1.bias"] + denoiser.bond_marginals.clamp(min=1e-6).log()
        taken["start"] = denoiser.noise(torch.zeros(1, device=inward.device))[0]
        if targets and self.targets is not None and denoiser.targets is not None:
            taken |= self._encoding_of(self.targets, denoiser.targets)
        return taken

    @staticmethod
    def _encoding_of(own: TargetEncoding, other: TargetEncoding) -> dict[str, Tensor]:
        """The encoding of targets of a narrower one: what is added for the model of node parts starts from nothing."""
        width = len(other.inward.weight)
        more = len(own.inward.weight) - width
        return {
            "targets.inward.weight": torch.cat([other.inward.weight, own.inward.weight[width:]]),
            "targets.inward.bias": torch.cat([other.inward.bias, own.inward.bias[width:]]),
            "targets.out.weight": nn.functional.pad(other.out.weight, (0, more, 0, more)),
            "targets.out.bias": nn.functional.pad(other.out.bias, (0, more)),
        }

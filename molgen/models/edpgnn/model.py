"""EDP-GNN: score matching on graphs with continuous noise (Niu et al., AISTATS 2020), for typed atoms and bonds.

The published method has a binary adjacency, six noise levels and annealed Langevin dynamics. Here nodes and pairs are
one-hot channels, the noise level is continuous (the variance-exploding SDE of Song et al., ICLR 2021), and the same
network serves samplers that need tens of evaluations.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from molgen.data.dataset import Statistics
from molgen.errors import InputError
from molgen.models import gaussian_samplers as solvers
from molgen.models.base import Backend, Bound, Drawing, spread_uniforms, stratified_bound, stratum_uniforms
from molgen.models.conditions import Condition
from molgen.models.edpgnn.network import ScoreNetwork
from molgen.models.gaussian_samplers import Levels, gaussian
from molgen.molecules.graph import GraphBatch, pair_count
from molgen.molecules.vocabulary import BOND_CLASSES, Vocabulary

SAMPLERS: dict[str, Callable[..., Tensor]] = {
    "stochastic": solvers.stochastic,
    "dpm-solver": solvers.multistep,
    "heun": solvers.heun,
    "langevin": solvers.langevin,
}
LOSSES = ("cross-entropy", "score")


@dataclass(frozen=True)
class EDPGNNConfig:
    """Sizes of the network and of the noise.

    layers, width, pair_width: of the network, its node track and its channels; heads: adjacency channels that carry
    messages; triangles: channels multiplied over third nodes; sigma_min, sigma_max: smallest and largest noise, where
    one-hot channels are 1 apart; bond_weight: of the bonds in the loss; loss: "score" is denoising score matching with
    the published weight sigma^2, "cross-entropy" has the same minimiser (the posterior mean) and the steeper gradient;
    time_power: above 1 for more training on little noise; known_parts: the network sees which entries are known.
    """

    layers: int = 6
    width: int = 160
    pair_width: int = 64
    heads: int = 8
    triangles: int = 16
    sigma_min: float = 0.1
    sigma_max: float = 10.0
    bond_weight: float = 5.0
    loss: str = "cross-entropy"
    time_power: float = 1.0
    known_parts: bool = True

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str | bool):
                continue
            low = 1 if isinstance(field.default, int) else 0
            if not (math.isfinite(value) and value >= low and value > 0):
                raise InputError(f"{field.name} should be {'at least 1' if low else 'above 0'}, got {value}")
        if self.width % self.heads:
            raise InputError(f"width should be a multiple of heads ({self.heads}), got {self.width}")
        if self.sigma_min >= self.sigma_max:
            raise InputError(f"sigma_min should be below sigma_max ({self.sigma_max}), got {self.sigma_min}")
        if self.loss not in LOSSES:
            raise InputError(f"unknown loss {self.loss!r}; choose from {', '.join(LOSSES)}")


class EDPGNN(Backend):
    """The backend: noise, network and samplers, put together. See molgen.models.base.Backend."""

    Config: ClassVar[type] = EDPGNNConfig
    atom_axes: ClassVar[dict[str, tuple[int, int, int]]] = {
        "network.node_in.0.weight": (1, 2, 1),
        "network.node_out.2.weight": (0, 1, 1),
        "network.node_out.2.bias": (0, 1, 1),
    }
    known_axes: ClassVar[tuple[str, ...]] = ("network.node_in.0.weight", "network.pair_in.0.weight")
    requests: ClassVar[tuple[str, ...]] = ("formula",)
    samplers = tuple(SAMPLERS)
    default_steps = 100
    config: EDPGNNConfig
    network: ScoreNetwork

    def __init__(self, config: EDPGNNConfig, vocabulary: Vocabulary, statistics: Statistics) -> None:
        super().__init__(config, vocabulary, statistics)
        self.network = ScoreNetwork(
            torch.tensor(statistics.atoms),
            torch.tensor(statistics.bonds),
            layers=config.layers,
            width=config.width,
            pair_width=config.pair_width,
            heads=config.heads,
            triangles=config.triangles,
            known_parts=config.known_parts,
            targets=statistics.targets,
        )

    def channels(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """The clean one-hot channels of the nodes [b, n, a] and pairs [b, p, 4], float32."""
        return one_hot(batch.nodes, len(self.vocabulary.atoms)).float(), one_hot(batch.pairs, len(BOND_CLASSES)).float()

    def loss(self, batch: GraphBatch, generator: torch.Generator | None, condition: Condition | None = None) -> Tensor:
        """Loss of the denoised nodes plus bond_weight times that of the pairs, means over entries, [b].

        Known entries count as zero: the network gives their class for certain. The level is u ** time_power of the way
        from the smallest log sigma to the largest, with uniform u spread evenly over the batch.
        """
        sigma = self._sigma(spread_uniforms(len(batch), generator, batch.nodes.device) ** self.config.time_power)
        nodes, pairs = self.channels(batch)
        log_nodes, log_pairs = self.network(*self._noised(nodes, pairs, sigma, generator), sigma, condition)
        loss = self._entry_loss(nodes, log_nodes, sigma)
        if pair_count(batch.size):
            loss = loss + self.config.bond_weight * self._entry_loss(pairs, log_pairs, sigma)
        return loss

    @torch.no_grad()
    def _sample(self, size: int, count: int, drawing: Drawing) -> GraphBatch:
        """From noise through falling levels; every estimate of the clean channels has what is known in its place."""
        atoms, bonds = self.network.atom_marginals, self.network.bond_marginals
        told = self.told(drawing.request, drawing.condition, count)
        done = 0

        def denoise(x: Tensor, sigma: float) -> Tensor:
            nonlocal done
            log_nodes, log_pairs = self._guided(*self._split(x, size), sigma, told, drawing.guidance)
            clean = _joined(log_nodes.exp(), log_pairs.exp())
            done += 1
            if drawing.callback is not None:
                drawing.callback(done, drawing.steps, lambda: self._classes(clean, size))
            return clean

        mean = _joined(atoms.expand(count, size, -1), bonds.expand(count, pair_count(size), -1))
        start = mean + self.config.sigma_max * gaussian(mean, drawing.generator)
        levels = Levels(self.config.sigma_max, self.config.sigma_min)
        sampler = SAMPLERS[drawing.sampler]
        return self._classes(sampler(denoise, start, drawing.steps, levels, drawing.generator), size)

    def _guided(
        self, nodes: Tensor, pairs: Tensor, sigma: float, told: Condition | None, guidance: float
    ) -> tuple[Tensor, Tensor]:
        """log p(x0 | x, told) of nodes and pairs, with guidance away from what is likely without the targets."""
        level = nodes.new_full((len(nodes),), sigma)
        asked = self.network(nodes, pairs, level, told)
        if told is None or not guidance:
            return asked
        free = self.network(nodes, pairs, level, told.without_targets())
        mixed = [a + guidance * (a - f) for a, f in zip(asked, free, strict=True)]
        return mixed[0].log_softmax(-1), mixed[1].log_softmax(-1)

    @torch.no_grad()
    def likelihood(self, batch: GraphBatch, *, draws: int, generator: torch.Generator | None) -> Bound:
        """The variational bound in nats in continuous time (Kingma et al. 2021, eq. 11 to 15), from `draws` levels.

        -log p(G) <= KL at sigma_max + E[-log p(x0 | x)] at sigma_min + the integral over log sigma of
        E |x0 - D(x, sigma)|^2 / sigma^2. Raises InputError for a number of draws that is not even and at least 2.
        """
        return stratified_bound(lambda stratum: self._bound_term(batch, stratum, draws, generator), draws)

    def _bound_term(self, batch: GraphBatch, stratum: int, strata: int, generator: torch.Generator | None) -> Tensor:
        config, network = self.config, self.network
        nodes, pairs = self.channels(batch)
        sigma = self._sigma(stratum_uniforms(len(batch), stratum, strata, generator, batch.nodes.device))
        log_nodes, log_pairs = network(*self._noised(nodes, pairs, sigma, generator), sigma)
        error = (nodes - log_nodes.exp()).square().sum((1, 2)) + (pairs - log_pairs.exp()).square().sum((1, 2))
        total = math.log(config.sigma_max / config.sigma_min) * error / sigma**2
        least = torch.full_like(sigma, config.sigma_min)
        log_nodes, log_pairs = network(*self._noised(nodes, pairs, least, generator), least)
        total = total - (nodes * log_nodes).sum((1, 2)) - (pairs * log_pairs).sum((1, 2))
        offset = (nodes - network.atom_marginals).square().sum((1, 2))
        offset = offset + (pairs - network.bond_marginals).square().sum((1, 2))
        return total + offset / (2 * config.sigma_max**2)

    def _sigma(self, uniform: Tensor) -> Tensor:
        low, high = math.log(self.config.sigma_min), math.log(self.config.sigma_max)
        return (low + uniform * (high - low)).exp()

    def _noised(
        self, nodes: Tensor, pairs: Tensor, sigma: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        scale = sigma[:, None, None]
        return nodes + scale * gaussian(nodes, generator), pairs + scale * gaussian(pairs, generator)

    def _entry_loss(self, clean: Tensor, log_clean: Tensor, sigma: Tensor) -> Tensor:
        if self.config.loss == "score":
            # sigma^2 / 2 |score + noise / sigma|^2, with the score from the denoiser
            return (0.5 * (clean - log_clean.exp()).square().sum(-1) / (sigma**2)[:, None]).mean(1)
        return -(clean * log_clean).sum(-1).mean(1)

    def _split(self, x: Tensor, size: int) -> tuple[Tensor, Tensor]:
        nodes, pairs = x.split([size * len(self.vocabulary.atoms), pair_count(size) * len(BOND_CLASSES)], dim=1)
        return nodes.unflatten(1, (size, -1)), pairs.reshape(len(x), pair_count(size), len(BOND_CLASSES))

    def _classes(self, x: Tensor, size: int) -> GraphBatch:
        nodes, pairs = self._split(x, size)
        return GraphBatch(nodes.argmax(-1), pairs.argmax(-1))


def _joined(nodes: Tensor, pairs: Tensor) -> Tensor:
    return torch.cat([nodes.flatten(1), pairs.flatten(1)], dim=1)

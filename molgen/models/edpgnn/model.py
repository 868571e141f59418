"""EDP-GNN: score matching on graphs with continuous noise (Niu et al., AISTATS 2020), for typed atoms and bonds.

The published method has a binary adjacency, six noise levels and annealed Langevin dynamics; it is a choice of the
configuration (`molgen.models.edpgnn.published`). In ours the noise level is continuous (the variance-exploding SDE of
Song et al., ICLR 2021), and one network serves samplers that need tens of evaluations. In both, nodes and pairs are
one-hot channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from molgen.data.dataset import Statistics
from molgen.models.base import Backend, Drawing
from molgen.models.conditions import Condition, guided
from molgen.models.config import BackendConfig
from molgen.models.edpgnn import published
from molgen.models.edpgnn.config import EDPGNNConfig
from molgen.models.edpgnn.losses import LOSSES, score_matching_of
from molgen.models.edpgnn.network import ScoreNetwork
from molgen.models.edpgnn.process import channels, classes, joined, noised, split, start_divergence
from molgen.models.edpgnn.published_network import PublishedScoreNetwork
from molgen.models.edpgnn.samplers import SAMPLERS
from molgen.models.gaussian_samplers import Levels
from molgen.models.noise import gaussian, geometric_sigma, spread_uniforms
from molgen.molecules.graph import GraphBatch, pair_count
from molgen.molecules.vocabulary import Vocabulary


class EDPGNN(Backend):
    """The backend: noise, network and samplers, put together. See molgen.models.base.Backend."""

    Config: ClassVar[type[BackendConfig]] = EDPGNNConfig
    atom_axes: ClassVar[dict[str, tuple[int, int, int]]] = {
        "network.node_in.0.weight": (1, 2, 1),
        "network.node_out.2.weight": (0, 1, 1),
        "network.node_out.2.bias": (0, 1, 1),
        # of the published network
        "network.node_in.weight": (1, 1, 1),
        "network.node_out.linears.2.weight": (0, 1, 1),
        "network.node_out.linears.2.bias": (0, 1, 1),
    }
    known_axes: ClassVar[tuple[str, ...]] = (
        *("network.node_in.0.weight", "network.pair_in.0.weight"),
        *("network.node_in.weight", "network.pair_in.weight"),
    )
    requests: ClassVar[tuple[str, ...]] = ("formula",)
    starts = True
    chooses = True
    as_published: ClassVar[tuple[str, ...]] = ("langevin",)
    again = 0.35
    sampler_help: ClassVar[Mapping[str, str]] = {
        "stochastic": "undo a little of the noise at each step",
        "dpm-solver": "follow the noise back without chance; good in few steps",
        "heun": "the same by Heun's method, with two evaluations a step",
        "langevin": "Langevin dynamics at six levels of noise; needs thousands of steps",
    }
    forming: ClassVar[str] = (
        "Atoms and bonds are numbers that start as noise and are shifted towards likely molecules; the picture shows "
        "the nearest classes."
    )
    samplers = tuple(SAMPLERS)
    default_steps = 100
    config: EDPGNNConfig
    network: ScoreNetwork | PublishedScoreNetwork

    def __init__(self, config: EDPGNNConfig, vocabulary: Vocabulary, statistics: Statistics) -> None:
        super().__init__(config, vocabulary, statistics)
        marginals = torch.tensor(statistics.atoms), torch.tensor(statistics.bonds)
        if config.process == "published":
            self.starts = self.chooses = False
            self.samplers = tuple(published.SAMPLERS)
            self.as_published = self.samplers  # type: ignore[misc]
            self.sampler_help = published.SAMPLER_HELP  # type: ignore[misc]  # as this model's samplers are its own
            self.default_steps = published.STEPS * len(published.SIGMAS)
            self.network = PublishedScoreNetwork(
                *marginals,
                published.SIGMAS,
                layers=config.layers,
                width=config.width,
                pair_width=config.pair_width,
                channels=config.heads,
                known_parts=config.known_parts,
                targets=statistics.targets,
            )
            return
        self.network = ScoreNetwork(
            *marginals,
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
        return channels(batch, len(self.vocabulary.atoms))

    def _loss(self, batch: GraphBatch, generator: torch.Generator | None, condition: Condition | None) -> Tensor:
        """Loss of the denoised nodes plus bond_weight times that of the pairs, means over entries, [b].

        Known entries count as zero: the network gives their class for certain. The level is u ** time_power of the way
        from the smallest log sigma to the largest, with uniform u spread evenly over the batch. Of the published
        process: score matching, at one of its levels.
        """
        time = spread_uniforms(len(batch), generator, batch.nodes.device)
        nodes, pairs = self.channels(batch)
        sigma, entry_loss = self._sigma(time**self.config.time_power), LOSSES[self.config.loss]
        if self.config.process == "published":
            sigma, entry_loss = published.level(time), score_matching_of
        # log p of the classes, or the denoised channels
        of_nodes, of_pairs = self.network(*noised(nodes, pairs, sigma, generator), sigma, condition)
        loss = entry_loss(nodes, of_nodes, sigma)
        if pair_count(batch.size):
            loss = loss + self.config.bond_weight * entry_loss(pairs, of_pairs, sigma)
        return loss

    def _sample(self, size: int, count: int, drawing: Drawing) -> GraphBatch:
        """From noise through falling levels; every estimate of the clean channels has what is known in its place."""
        atoms, bonds = self.network.atom_marginals, self.network.bond_marginals
        told = self.told(drawing.request, drawing.condition, count)
        # the estimates of the published process are no probabilities
        totals = None if self.config.process == "published" else self.bond_totals(drawing.request, told)
        skipped = 0 if drawing.start is None else drawing.start.skipped(drawing.steps)
        last, done = bonds, skipped

        def denoise(x: Tensor, sigma: float) -> Tensor:
            nonlocal last, done
            if totals is None:
                nodes, pairs = self._denoised(*split(x, size), sigma, told, drawing.guidance)
            else:
                nodes, last = self._guided(*split(x, size), sigma, told, drawing.guidance)
                nodes, pairs = nodes.exp(), totals.marginals(last)
            done += 1
            if drawing.callback is not None:
                drawing.callback(done, drawing.steps, partial(classes, nodes, pairs))
            return joined(nodes, pairs)

        mean = joined(atoms.expand(count, size, -1), bonds.expand(count, pair_count(size), -1))
        if self.config.process == "published":
            start = published.start(mean, drawing.generator)
            sampler = published.SAMPLERS[drawing.sampler]
            drawn = classes(
                *split(sampler(denoise, start, drawing.steps, self.config.step_ratio, drawing.generator), size)
            )
            return drawn if told is None else told.hold(drawn)
        levels = Levels(self.config.sigma_max, self.config.sigma_min).after(skipped, drawing.steps)
        if drawing.start is not None:
            mean = joined(*self.channels(drawing.start.graph))
        start = mean + levels.most * gaussian(mean, drawing.generator)
        clean = SAMPLERS[drawing.sampler](denoise, start, drawing.steps - skipped, levels, drawing.generator)
        drawn = classes(*split(clean, size))
        return drawn if totals is None else GraphBatch(drawn.nodes, totals.draw(last, drawing.generator))

    def _denoised(
        self, nodes: Tensor, pairs: Tensor, sigma: float, told: Condition | None, guidance: float
    ) -> tuple[Tensor, Tensor]:
        """E[x0 | x, told] of nodes and pairs, with guidance away from what is likely without the targets."""
        if not isinstance(self.network, PublishedScoreNetwork):
            log_nodes, log_pairs = self._guided(nodes, pairs, sigma, told, guidance)
            return log_nodes.exp(), log_pairs.exp()
        level = nodes.new_full((len(nodes),), sigma)
        asked: tuple[Tensor, Tensor] = self.network(nodes, pairs, level, told)
        if told is None or not guidance:
            return asked
        free_nodes, free_pairs = self.network(nodes, pairs, level, told.without_targets())
        return guided(asked[0], free_nodes, guidance), guided(asked[1], free_pairs, guidance)

    def _guided(
        self, nodes: Tensor, pairs: Tensor, sigma: float, told: Condition | None, guidance: float
    ) -> tuple[Tensor, Tensor]:
        """log p(x0 | x, told) of nodes and pairs, with guidance away from what is likely without the targets."""
        level = nodes.new_full((len(nodes),), sigma)
        log_nodes, log_pairs = self.network(nodes, pairs, level, told)
        if told is None or not guidance:
            return log_nodes, log_pairs
        free_nodes, free_pairs = self.network(nodes, pairs, level, told.without_targets())
        return (
            guided(log_nodes, free_nodes, guidance).log_softmax(-1),
            guided(log_pairs, free_pairs, guidance).log_softmax(-1),
        )

    def _bound_estimate(self, batch: GraphBatch, generator: torch.Generator | None) -> Callable[[Tensor], Tensor]:
        """The variational bound in nats in continuous time (Kingma et al. 2021, eq. 11 to 15), from one level each.

        -log p(G) <= KL at sigma_max + E[-log p(x0 | x)] at sigma_min + the integral over log sigma of
        E |x0 - D(x, sigma)|^2 / sigma^2.
        """
        config, network = self.config, self.network
        nodes, pairs = self.channels(batch)
        if isinstance(network, PublishedScoreNetwork):
            return published.bound_estimate(network, nodes, pairs, generator)

        def estimate(uniform: Tensor) -> Tensor:
            sigma = self._sigma(uniform)
            log_nodes, log_pairs = network(*noised(nodes, pairs, sigma, generator), sigma)
            error = (nodes - log_nodes.exp()).square().sum((1, 2)) + (pairs - log_pairs.exp()).square().sum((1, 2))
            total: Tensor = math.log(config.sigma_max / config.sigma_min) * error / sigma**2
            least = torch.full_like(sigma, config.sigma_min)
            log_nodes, log_pairs = network(*noised(nodes, pairs, least, generator), least)
            total = total - (nodes * log_nodes).sum((1, 2)) - (pairs * log_pairs).sum((1, 2))
            return total + start_divergence(
                nodes, pairs, network.atom_marginals, network.bond_marginals, config.sigma_max
            )

        return estimate

    def _sigma(self, time: Tensor) -> Tensor:
        return geometric_sigma(time, self.config.sigma_min, self.config.sigma_max)

"""DiGress: discrete denoising diffusion for graphs (Vignac et al., ICLR 2023)."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from molgen.data.dataset import Statistics
from molgen.errors import InputError
from molgen.models.base import Backend, Bound, Drawing, spread_uniforms, stratified_bound, stratum_uniforms
from molgen.models.conditions import Condition
from molgen.models.digress.network import Denoiser
from molgen.models.digress.process import TINY, noised, posterior, sample_classes
from molgen.models.digress.samplers import SAMPLERS, Step
from molgen.models.noise import cosine_alpha_bar
from molgen.molecules.graph import GraphBatch, pair_count
from molgen.molecules.vocabulary import Vocabulary


@dataclass(frozen=True)
class DiGressConfig:
    """Sizes of the network and of the noising process.

    layers, heads: of the graph transformer; width: of the node track; pair_width: of the pair track;
    triangles: channels of the triangle update; timesteps: T; bond_weight: of the bonds' cross-entropy;
    time_power: training times are u ** time_power of uniform u, above 1 for more of them near the data.
    known_parts: the network sees which entries are known.
    sampler, sampling_steps: what `generate` takes where it is not told; never more steps than timesteps.
    """

    layers: int = 6
    width: int = 160
    pair_width: int = 64
    heads: int = 8
    triangles: int = 16
    timesteps: int = 500
    bond_weight: float = 5.0
    time_power: float = 1.0
    known_parts: bool = True
    sampler: str = "ancestral"
    sampling_steps: int = 50

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise InputError(f"unknown sampler {self.sampler!r}; choose from {', '.join(SAMPLERS)}")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, str | bool) and not (math.isfinite(value) and value >= 1):
                raise InputError(f"{field.name} should be at least 1, got {value}")
        if self.width % self.heads:
            raise InputError(f"width should be a multiple of heads ({self.heads}), got {self.width}")


class DiGress(Backend):
    """The backend: noise, network and samplers, put together. See molgen.models.base.Backend."""

    Config: ClassVar[type] = DiGressConfig
    atom_axes: ClassVar[dict[str, tuple[int, int, int]]] = {
        "network.node_in.0.weight": (1, 1, 1),
        "network.node_out.1.weight": (0, 1, 1),
        "network.node_out.1.bias": (0, 1, 1),
    }
    known_axes: ClassVar[tuple[str, ...]] = ("network.node_in.0.weight", "network.pair_in.0.weight")
    requests: ClassVar[tuple[str, ...]] = ("formula",)
    config: DiGressConfig
    network: Denoiser

    def __init__(self, config: DiGressConfig, vocabulary: Vocabulary, statistics: Statistics) -> None:
        super().__init__(config, vocabulary, statistics)
        self.samplers = tuple(sorted(SAMPLERS, key=lambda name: name != config.sampler))
        self.default_steps = min(config.sampling_steps, config.timesteps)
        self.network = Denoiser(
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

    def noised(self, batch: GraphBatch, alpha_bar: Tensor, generator: torch.Generator | None) -> GraphBatch:
        """z_t ~ q(z_t | batch) at noise level alpha_bar [b]."""
        return GraphBatch(
            noised(batch.nodes, alpha_bar, self.network.atom_marginals, generator),
            noised(batch.pairs, alpha_bar, self.network.bond_marginals, generator),
        )

    def loss(self, batch: GraphBatch, generator: torch.Generator | None, condition: Condition | None = None) -> Tensor:
        """Cross-entropy of the clean nodes plus bond_weight times that of the pairs, means over entries, [b].

        Known entries count as right. Times are 1..T, spread evenly over the batch (stratified): each graph's is
        u ** time_power, u uniform.
        """
        uniform = spread_uniforms(len(batch), generator, batch.nodes.device) ** self.config.time_power
        time = (uniform * self.config.timesteps).floor().clamp(max=self.config.timesteps - 1) + 1
        alpha_bar = cosine_alpha_bar(time / self.config.timesteps)
        noisy = self.noised(batch, alpha_bar, generator)
        if condition is not None:
            noisy = condition.hold(noisy)
        log_nodes, log_pairs = self.network(noisy, alpha_bar, condition)
        log_nodes = log_nodes.gather(-1, batch.nodes[..., None])[..., 0]
        log_pairs = log_pairs.gather(-1, batch.pairs[..., None])[..., 0]
        if condition is not None:
            log_nodes = log_nodes.masked_fill(condition.known_nodes, 0.0)
            log_pairs = log_pairs.masked_fill(condition.known_pairs, 0.0)
        loss = -log_nodes.mean(1)
        if pair_count(batch.size):
            loss = loss - self.config.bond_weight * log_pairs.mean(1)
        return loss

    @torch.no_grad()
    def _sample(self, size: int, count: int, drawing: Drawing) -> GraphBatch:
        """The state, from noise through falling noise levels; what is known is put in place at each of them."""
        move, levels = SAMPLERS[drawing.sampler]
        alphas, generator = levels(drawing.steps).tolist(), drawing.generator
        atoms, bonds = self.network.atom_marginals, self.network.bond_marginals
        told = self.told(drawing.request, drawing.condition, count)
        state = GraphBatch(
            sample_classes(atoms.expand(count, size, -1), generator),
            sample_classes(bonds.expand(count, pair_count(size), -1), generator),
        )
        state = state if told is None else told.hold(state)
        for done, (alpha_t, alpha_s) in enumerate(pairwise(alphas), start=1):
            log_nodes, log_pairs = self._guided(state, atoms.new_full((count,), alpha_t), told, drawing.guidance)
            nodes = move(state.nodes, log_nodes.exp(), Step(alpha_t, alpha_s, atoms, generator))
            pairs = move(state.pairs, log_pairs.exp(), Step(alpha_t, alpha_s, bonds, generator))
            state = GraphBatch(nodes, pairs)
            state = state if told is None else told.hold(state)
            if drawing.callback is not None:
                drawing.callback(done, drawing.steps, partial(_same, state))
        return state

    def _guided(
        self, state: GraphBatch, alpha_bar: Tensor, told: Condition | None, guidance: float
    ) -> tuple[Tensor, Tensor]:
        """log p(x | z_t, told) of nodes and pairs, with guidance away from what is likely without the targets."""
        asked = self.network(state, alpha_bar, told)
        if told is None or not guidance:
            return asked
        free = self.network(state, alpha_bar, told.without_targets())
        nodes, pairs = (a + guidance * (a - f) for a, f in zip(asked, free, strict=True))
        return nodes.log_softmax(-1), pairs.log_softmax(-1)

    @torch.no_grad()
    def likelihood(self, batch: GraphBatch, *, draws: int, generator: torch.Generator | None) -> Bound:
        """The variational bound of DiGress (eq. 8) in nats, from `draws` times per graph.

        -log p(G) <= KL(q(z_T | G) || p(z_T)) + sum over t of KL(q(z_t-1 | z_t, G) || p(z_t-1 | z_t)), where the
        first is 0 (alpha-bar_T = 0) and the term t = 1 is the reconstruction -log p(G | z_1). The sum is
        estimated from one time in each of `draws` equal strata, T times their mean.
        Raises InputError for a number of draws that is not even and at least 2.
        """
        return stratified_bound(lambda stratum: self._bound_term(batch, stratum, draws, generator), draws)

    def _bound_term(self, batch: GraphBatch, stratum: int, strata: int, generator: torch.Generator | None) -> Tensor:
        uniform = stratum_uniforms(len(batch), stratum, strata, generator, batch.nodes.device)
        time = (uniform * self.config.timesteps).floor().clamp(max=self.config.timesteps - 1) + 1
        alpha_t = cosine_alpha_bar(time / self.config.timesteps)
        alpha_s = cosine_alpha_bar((time - 1) / self.config.timesteps)
        noisy = self.noised(batch, alpha_t, generator)
        log_nodes, log_pairs = self.network(noisy, alpha_t)
        atoms, bonds = self.network.atom_marginals, self.network.bond_marginals
        divergence = _divergence(batch.nodes, noisy.nodes, log_nodes, alpha_t, alpha_s, atoms)
        divergence = divergence + _divergence(batch.pairs, noisy.pairs, log_pairs, alpha_t, alpha_s, bonds)
        return self.config.timesteps * divergence


def _same(batch: GraphBatch) -> GraphBatch:
    return batch


def _divergence(
    clean: Tensor, state: Tensor, log_clean: Tensor, alpha_t: Tensor, alpha_s: Tensor, marginals: Tensor
) -> Tensor:
    """KL(q(z_s | z_t, x) || p(z_s | z_t)) summed over entries, [b]; at s = 0 this is -log p(x | z_t)."""
    truth = one_hot(clean, len(marginals)).to(log_clean.dtype)
    q = posterior(state, truth, alpha_t, alpha_s, marginals)
    p = posterior(state, log_clean.exp(), alpha_t, alpha_s, marginals)
    return (q * (q.clamp(min=TINY).log() - p.clamp(min=TINY).log())).sum((1, 2))

"""DiGress: discrete denoising diffusion for graphs (Vignac et al., ICLR 2023)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from molgen.data.dataset import Statistics
from molgen.errors import InputError
from molgen.models.base import Backend, Drawing
from molgen.models.bond_totals import BondTotals
from molgen.models.conditions import Condition, guided
from molgen.models.config import BackendConfig
from molgen.models.digress.calibration import Calibration, found
from molgen.models.digress.config import DiGressConfig
from molgen.models.digress.network import Denoiser
from molgen.models.digress.process import divergence, noised
from molgen.models.digress.published_network import PublishedDenoiser
from molgen.models.digress.samplers import SAMPLERS, Step
from molgen.models.losses import cross_entropy
from molgen.models.noise import cosine_alpha_bar, sample_classes, spread_uniforms
from molgen.molecules.graph import GraphBatch, pair_count
from molgen.molecules.vocabulary import Vocabulary
from molgen.progress import Progress, silent

LATE = 0.98  # alpha-bar from which on drafts are chosen: earlier a choice makes molecules simpler than real ones


class DiGress(Backend):
    """The backend: noise, network and samplers, put together. See molgen.models.base.Backend."""

    Config: ClassVar[type[BackendConfig]] = DiGressConfig
    atom_axes: ClassVar[dict[str, tuple[int, int, int]]] = {
        "network.node_in.0.weight": (1, 1, 1),
        "network.node_out.1.weight": (0, 1, 1),
        "network.node_out.1.bias": (0, 1, 1),
        "network.node_out.2.weight": (0, 1, 1),  # of the published network
        "network.node_out.2.bias": (0, 1, 1),
    }
    known_axes: ClassVar[tuple[str, ...]] = ("network.node_in.0.weight", "network.pair_in.0.weight")
    requests: ClassVar[tuple[str, ...]] = ("formula",)
    starts = True
    chooses = True
    as_published: ClassVar[tuple[str, ...]] = ("even",)
    sampler_help: ClassVar[Mapping[str, str]] = {
        "ancestral": "undo a little of the noise at each step",
        "even": "the same in even steps, as published",
        "project-and-noise": "guess the whole molecule at each step, and put less noise on it each time",
        "flow": "change atoms and bonds at rates, with short steps at the end",
    }
    forming: ClassVar[str] = (
        "Atoms and bonds start as random draws. At each step the network guesses the finished molecule, and a little "
        "of the noise is taken back."
    )
    config: DiGressConfig
    network: Denoiser | PublishedDenoiser
    calibration: Calibration | None = None

    def __init__(self, config: DiGressConfig, vocabulary: Vocabulary, statistics: Statistics) -> None:
        super().__init__(config, vocabulary, statistics)
        self.samplers = tuple(sorted(SAMPLERS, key=lambda name: name != config.sampler))
        self.default_steps = min(config.sampling_steps, config.timesteps)
        self.max_steps = config.timesteps
        self.network = self._built(config)

    def find_calibration(self, generator: torch.Generator | None, progress: Progress = silent) -> dict[str, Tensor]:
        """Shifts of its predictions; none of a model that samples as published."""
        return {} if self.is_published else found(self, generator, progress)._asdict()

    def calibrate(self, shifts: Mapping[str, Tensor]) -> None:
        """Use such shifts, in the default sampler, for graphs that are told nothing."""
        if set(shifts) != set(Calibration._fields):
            raise InputError(f"a calibration should hold {', '.join(Calibration._fields)}, got {', '.join(shifts)}")
        self.calibration = Calibration(**shifts).checked(len(self.vocabulary.atoms))

    def _built(self, config: DiGressConfig) -> Denoiser | PublishedDenoiser:
        marginals = torch.tensor(self.statistics.atoms), torch.tensor(self.statistics.bonds)
        if config.network == "published":
            return PublishedDenoiser(
                *marginals,
                vocabulary=self.vocabulary,
                largest=len(self.statistics.sizes) - 1,
                layers=config.layers,
                width=config.width,
                pair_width=config.pair_width,
                global_width=config.global_width,
                heads=config.heads,
                known_parts=config.known_parts,
                targets=self.statistics.targets,
            )
        return Denoiser(
            *marginals,
            layers=config.layers,
            width=config.width,
            pair_width=config.pair_width,
            heads=config.heads,
            triangles=config.triangles,
            known_parts=config.known_parts,
            targets=self.statistics.targets,
        )

    def noised(self, batch: GraphBatch, alpha_bar: Tensor, generator: torch.Generator | None) -> GraphBatch:
        """z_t ~ q(z_t | batch) at noise level alpha_bar [b]."""
        return GraphBatch(
            noised(batch.nodes, alpha_bar, self.network.atom_marginals, generator),
            noised(batch.pairs, alpha_bar, self.network.bond_marginals, generator),
        )

    def _loss(self, batch: GraphBatch, generator: torch.Generator | None, condition: Condition | None) -> Tensor:
        """Cross-entropy of the clean graph (eq. 2 of the paper).

        Times are 1..T, spread evenly over the batch (stratified): each graph's is u ** time_power, u uniform.
        """
        uniform = spread_uniforms(len(batch), generator, batch.nodes.device) ** self.config.time_power
        alpha_bar = cosine_alpha_bar(self._timestep(uniform) / self.config.timesteps)
        noisy = self.noised(batch, alpha_bar, generator)
        if condition is not None:
            noisy = condition.hold(noisy)
        log_nodes, log_pairs = self.network(noisy, alpha_bar, condition)
        return cross_entropy(log_nodes, log_pairs, batch, condition, self.config.bond_weight)

    def _sample(self, size: int, count: int, drawing: Drawing) -> GraphBatch:
        """The state, from noise through falling noise levels; what is known is put in place at each of them."""
        move, levels = SAMPLERS[drawing.sampler]
        alphas, generator = levels(drawing.steps).tolist(), drawing.generator
        atoms, bonds = self.network.atom_marginals, self.network.bond_marginals
        told = self.told(drawing.request, drawing.condition, count)
        totals = self.bond_totals(drawing.request, told)
        if drawing.start is None:
            skipped = 0
            state = GraphBatch(
                sample_classes(atoms.expand(count, size, -1), generator),
                sample_classes(bonds.expand(count, pair_count(size), -1), generator),
            )
        else:
            skipped = drawing.start.skipped(drawing.steps)
            state = self.noised(drawing.start.graph, atoms.new_full((count,), alphas[skipped]), generator)
        state = state if told is None else told.hold(state)
        for done, (alpha_t, alpha_s) in enumerate(pairwise(alphas[skipped:]), start=1 + skipped):
            log_nodes, log_pairs = self._guided(state, atoms.new_full((count,), alpha_t), told, drawing.guidance)
            if told is None and self.calibration is not None and drawing.sampler == self.samplers[0]:
                log_nodes, log_pairs = self.calibration.shifted(log_nodes, log_pairs, alpha_t)
            clean_nodes, clean_pairs = log_nodes.exp(), log_pairs.exp()
            if drawing.drafts is not None and alpha_t >= LATE:
                # one clean graph, certain for the sampler
                draft = self._best_draft(drawing, log_nodes, log_pairs, totals, told)
                clean_nodes = one_hot(draft.nodes, len(atoms)).to(clean_nodes)
                clean_pairs = one_hot(draft.pairs, len(bonds)).to(clean_pairs)
            elif totals is not None:  # the same of the pairs, from their joint distribution
                clean_pairs = one_hot(totals.draw(log_pairs, generator), len(bonds)).to(clean_pairs)
            nodes = move(state.nodes, clean_nodes, Step(alpha_t, alpha_s, atoms, generator))
            pairs = move(state.pairs, clean_pairs, Step(alpha_t, alpha_s, bonds, generator))
            state = GraphBatch(nodes, pairs)
            state = state if told is None else told.hold(state)
            if drawing.callback is not None:
                drawing.callback(done, drawing.steps, partial(_same, state))
        return state

    @staticmethod
    def _best_draft(
        drawing: Drawing,
        log_nodes: Tensor,
        log_pairs: Tensor,
        totals: BondTotals | None,
        told: Condition | None,
    ) -> GraphBatch:
        """Clean graphs drawn from log p(x | z_t) of nodes and pairs, of each the draft with the fewest faults."""
        assert drawing.drafts is not None
        generator = drawing.generator

        def draw(_: GraphBatch | None, rows: Tensor) -> GraphBatch:
            nodes = sample_classes(log_nodes[rows].exp(), generator)
            if totals is None:
                pairs = sample_classes(log_pairs[rows].exp(), generator)
            else:
                pairs = totals[rows].draw(log_pairs[rows], generator)
            drawn = GraphBatch(nodes, pairs)
            return drawn if told is None else told[rows].hold(drawn)

        first = draw(None, torch.arange(len(log_nodes), device=log_nodes.device))
        return drawing.drafts.best(first, draw, drawing.condition)

    def _guided(
        self, state: GraphBatch, alpha_bar: Tensor, told: Condition | None, guidance: float
    ) -> tuple[Tensor, Tensor]:
        """log p(x | z_t, told) of nodes and pairs, with guidance away from what is likely without the targets."""
        log_nodes, log_pairs = self.network(state, alpha_bar, told)
        if told is None or not guidance:
            return log_nodes, log_pairs
        free_nodes, free_pairs = self.network(state, alpha_bar, told.without_targets())
        return (
            guided(log_nodes, free_nodes, guidance).log_softmax(-1),
            guided(log_pairs, free_pairs, guidance).log_softmax(-1),
        )

    def _bound_estimate(self, batch: GraphBatch, generator: torch.Generator | None) -> Callable[[Tensor], Tensor]:
        """The variational bound of DiGress (eq. 8) in nats, from one time for each graph.

        -log p(G) <= KL(q(z_T | G) || p(z_T)) + sum over t of KL(q(z_t-1 | z_t, G) || p(z_t-1 | z_t)), where the
        first is 0 (alpha-bar_T = 0) and the term t = 1 is the reconstruction -log p(G | z_1). The sum is T times the
        mean over times.
        """
        atoms, bonds = self.network.atom_marginals, self.network.bond_marginals

        def estimate(uniform: Tensor) -> Tensor:
            time = self._timestep(uniform)
            alpha_t = cosine_alpha_bar(time / self.config.timesteps)
            alpha_s = cosine_alpha_bar((time - 1) / self.config.timesteps)
            noisy = self.noised(batch, alpha_t, generator)
            log_nodes, log_pairs = self.network(noisy, alpha_t)
            total = divergence(batch.nodes, noisy.nodes, log_nodes, alpha_t, alpha_s, atoms)
            total = total + divergence(batch.pairs, noisy.pairs, log_pairs, alpha_t, alpha_s, bonds)
            return self.config.timesteps * total

        return estimate

    def _timestep(self, uniform: Tensor) -> Tensor:
        """The time 1..T, float [b], of numbers in [0, 1]."""
        return (uniform * self.config.timesteps).floor().clamp(max=self.config.timesteps - 1) + 1


def _same(batch: GraphBatch) -> GraphBatch:
    return batch

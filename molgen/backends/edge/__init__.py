"""EDGE: bonds added between few active nodes, guided by degrees (Chen et al., ICML 2023), for typed atoms and bonds.

The authors' graphs have neither classes of nodes nor of edges. Here the node part, drawn first or given, holds each
node's class, degree and valence (sum of bond orders), so that valences are right by construction wherever the degrees
are obtained.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from molgen.backends.base import Bound, Callback, spread_uniforms, stratified_bound, stratum_uniforms
from molgen.backends.digress.noise import sample_classes
from molgen.backends.edge.network import BondNetwork, NodePartModel, draw_given, part_of, tokens_of
from molgen.backends.edge.process import (
    NodePart,
    Partial,
    active_pairs,
    active_probability,
    allowed_orders,
    alpha_bar,
    bonds_of,
    return_probability,
    unbonded,
)
from molgen.data import Statistics
from molgen.errors import InputError
from molgen.graph import GraphBatch
from molgen.vocabulary import Vocabulary

if TYPE_CHECKING:
    from molgen.requests import Request

SAMPLERS = ("ancestral",)
# training steps are as long as those of a sampler with this many
STEPS = (4.0, 128.0)
# of a sampler's steps, the share at its end in which every bond still missing may come back
COMPLETION = 0.125


@dataclass(frozen=True)
class EDGEConfig:
    """Sizes of the networks.

    layers, width, heads: of the network of bonds; node_width: of the recurrent network of the node part; bound_steps:
    of the chain that the likelihood is for.
    """

    layers: int = 5
    width: int = 128
    heads: int = 8
    node_width: int = 128
    bound_steps: int = 64

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < 1:
                raise InputError(f"{field.name} should be at least 1, got {getattr(self, field.name)}")
        if self.width % self.heads:
            raise InputError(f"width should be a multiple of heads ({self.heads}), got {self.width}")


class EDGE(torch.nn.Module):
    """The backend: node part, bonds and sampler. See molgen.backends.base.Backend."""

    Config: ClassVar[type] = EDGEConfig
    samplers: ClassVar[tuple[str, ...]] = SAMPLERS
    default_steps: ClassVar[int] = 64
    requests: ClassVar[tuple[str, ...]] = ("formula", "atoms")

    def __init__(self, config: EDGEConfig, vocabulary: Vocabulary, statistics: Statistics) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        atoms = len(vocabulary.atoms)
        self.node_part = NodePartModel(atoms, config.node_width)
        self.network = BondNetwork(atoms, layers=config.layers, width=config.width, heads=config.heads)

    def loss(self, batch: GraphBatch, generator: torch.Generator | None) -> Tensor:
        """-log p of the node part per node, plus that of the classes of the active pairs per two active nodes, [b].

        The time is uniform, spread over the batch; the step goes back by one of 4 to 128 equal parts of the time.
        """
        device = batch.nodes.device
        time = 1 - spread_uniforms(len(batch), generator, device)
        low, high = math.log(STEPS[0]), math.log(STEPS[1])
        count = (low + (high - low) * spread_uniforms(len(batch), generator, device)).exp()
        part = NodePart.of(batch)
        nodes = -self.node_part.log_probability(tokens_of(part).sort(dim=1).values) / batch.size
        pairs, _, active = self._step_loss(batch, part, time, (time - 1 / count).clamp(min=0.0), generator)
        return nodes + pairs / (active.view(len(batch), -1).sum(1) / 2).clamp(min=1)

    @torch.no_grad()
    def sample(
        self,
        size: int,
        count: int,
        *,
        steps: int,
        sampler: str,
        generator: torch.Generator | None,
        callback: Callback | None = None,
        request: Request | None = None,
        node_part: NodePart | None = None,
    ) -> GraphBatch:
        """`count` graphs of `size` nodes, int64; node_part: the nodes with their degrees and valences, else drawn.

        A graph may end with fewer bonds than asked for, where no pair is left that could take one.
        Raises InputError for an unknown sampler, steps < 1, or a request that the node part model never meets.
        """
        if sampler not in SAMPLERS:
            raise InputError(f"unknown sampler {sampler!r}; choose from {', '.join(SAMPLERS)}")
        if steps < 1:
            raise InputError(f"steps should be at least 1, got {steps}")
        if node_part is not None:
            part = node_part
        elif request is not None:
            part = self._requested(request, count, generator)
        else:
            part = self.node_part.sample(count, size, generator)
        nothing = torch.zeros(0, dtype=torch.int64, device=part.atoms.device)
        state = Partial(part, nothing, nothing, nothing)
        planned = steps - int(COMPLETION * steps)
        for done in range(1, steps + 1):
            now, then = 1 - min(done - 1, planned - 1) / planned, 1 - min(done, planned) / planned
            state = self._reverse(state, now, then, done > planned, generator)
            if callback is not None:
                callback(done, steps, partial(_graphs, state))
        return state.graphs()

    def _requested(self, request: Request, count: int, generator: torch.Generator | None) -> NodePart:
        """Node parts drawn under a request: its atoms, its hydrogens, no charge over all, an even sum of degrees."""
        from molgen.chemistry import implied_hydrogens  # training does without RDKit

        device = self.node_part.token.weight.device
        every = part_of(torch.arange(self.node_part.count))
        atoms = [self.vocabulary.atoms[number] for number in every.atoms.tolist()]
        valences, degrees = every.valence.tolist(), every.degree.tolist()
        hydrogens = [implied_hydrogens(atom, valence) for atom, valence in zip(atoms, valences, strict=True)]
        # a request for degrees is for so many atoms of each element and degree, another for so many of each element
        by_degree = request.degrees is not None
        asked = list(zip(request.elements, request.degrees or [0] * request.size, strict=True))
        groups = sorted(set(asked))
        group = [
            groups.index(kind) if kind in groups and hydrogen is not None else -1
            for atom, degree, hydrogen in zip(atoms, degrees, hydrogens, strict=True)
            for kind in [(atom.element, degree if by_degree else 0)]
        ]
        wanted = torch.tensor([asked.count(kind) for kind in groups], device=device)
        charge = torch.tensor([atom.charge for atom in atoms], device=device)
        held = torch.tensor([hydrogen or 0 for hydrogen in hydrogens], device=device)
        ends = torch.tensor(degrees, device=device)

        def fits(tokens: Tensor) -> Tensor:
            bonds = ends[tokens].sum(1)
            fine = (charge[tokens].sum(1) == 0) & (bonds % 2 == 0) & (bonds >= 2 * (tokens.shape[1] - 1))
            if request.hydrogens is not None:
                fine &= held[tokens].sum(1) == request.hydrogens
            return fine

        part = draw_given(self.node_part, count, torch.tensor(group, device=device), wanted, fits, generator)
        if part is None:
            raise InputError(f"the model finds no atoms for {request.text}: none like it were in its training data")
        return part

    @torch.no_grad()
    def likelihood(self, batch: GraphBatch, *, draws: int, generator: torch.Generator | None) -> Bound:
        """The variational bound in nats, of the graph with its nodes in the given order, from `draws` steps.

        -log p(node part) + the sum over steps of E[log q(z_s | z_t, G) - log p(z_s | z_t)]. Raises InputError for a
        number of draws that is not even and at least 2.
        """
        part = NodePart.of(batch)
        tokens = tokens_of(part).sort(dim=1).values
        nodes = -self.node_part.log_probability(tokens) + _log_arrangements(tokens)

        def term(stratum: int) -> Tensor:
            total = self.config.bound_steps
            uniform = stratum_uniforms(len(batch), stratum, draws, generator, batch.nodes.device)
            time = (uniform * total).floor().clamp(max=total - 1) + 1
            pairs, entropy, _ = self._step_loss(batch, part, time / total, (time - 1) / total, generator)
            return nodes + total * (pairs + entropy)

        return stratified_bound(term, draws)

    def _step_loss(
        self, batch: GraphBatch, part: NodePart, time: Tensor, then: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of a step from `time` to `then`: -log p(bonds | active nodes), log q(z_s | z_t, G) - log p(active), [b] each.

        Third the active nodes, bool [b * n].
        """
        size = batch.size
        first, second, order = bonds_of(batch)
        graph = first // size
        kept = alpha_bar(time)
        p = return_probability(kept, alpha_bar(then))
        device = first.device if generator is None else generator.device
        uniform = torch.rand(2, len(first), generator=generator, device=device).to(first.device)
        there = uniform[0] < kept[graph]
        back = ~there & (uniform[1] < p[graph])
        state = Partial(part, first[there], second[there], order[there])
        active = torch.zeros(state.nodes, dtype=torch.bool, device=first.device)
        active[first[back]] = active[second[back]] = True
        one, other = active_pairs(active, size)
        fresh = unbonded(state, one, other)
        one, other = one[fresh], other[fresh]
        log_p = self.network(state, active, one, other, kept, p)
        target = _targets(state.nodes, one, other, first[back], second[back], order[back])
        pairs = torch.zeros(len(batch), device=first.device)
        pairs = pairs.index_add(0, one // size, -log_p.gather(1, target[:, None])[:, 0])
        # what is random in q: which of the missing bonds come back; in p: which of the nodes become active
        q = torch.xlogy(back.float(), p[graph]) + torch.xlogy((~there & ~back).float(), 1 - p[graph])
        chance = active_probability(state.missing()[0], p.repeat_interleave(size))
        log_active = torch.xlogy(active.float(), chance) + torch.xlogy((~active).float(), 1 - chance)
        entropy = torch.zeros_like(pairs).index_add(0, graph, q) - log_active.view(len(batch), -1).sum(1)
        return pairs, entropy, active

    def _reverse(
        self, state: Partial, now: float, then: float, late: bool, generator: torch.Generator | None
    ) -> Partial:
        """One step from time `now` to `then`; late: a graph that lacks bonds gets at least one, the likeliest first."""
        size, count = state.part.size, len(state.part.atoms)
        time = torch.full((count,), now, device=state.first.device)
        kept = alpha_bar(time)
        p = return_probability(kept, alpha_bar(torch.full_like(time, then)))
        missing, _ = state.missing()
        chance = active_probability(missing, p.repeat_interleave(size))
        active = _uniform(chance, generator) < chance
        first, second = active_pairs(active, size)
        fresh = unbonded(state, first, second)
        first, second = first[fresh], second[fresh]
        if not len(first):
            return state
        log_p = self.network(state, active, first, second, kept, p)
        drawn = sample_classes(log_p.exp(), generator)
        # distinct numbers, so that no two bonds of a graph come first
        priority = torch.argsort(_uniform(log_p[:, 0], generator)) / len(first)
        if late:
            odds = log_p[:, 1:].logsumexp(1)
            odds = odds - torch.log(-torch.log(_uniform(odds, generator).clamp(1e-6, 1 - 1e-6)))
            best = torch.full((count,), -torch.inf, device=odds.device).scatter_reduce(0, first // size, odds, "amax")
            forced = (odds == best[first // size]) & odds.isfinite()
            bonds = sample_classes(log_p[:, 1:].softmax(1), generator) + 1
            drawn, priority = torch.where(forced & (drawn == 0), bonds, drawn), priority + 1.0 * forced
        bonded = drawn > 0
        return _accepted(state, first[bonded], second[bonded], drawn[bonded], priority[bonded])


def _accepted(state: Partial, first: Tensor, second: Tensor, order: Tensor, priority: Tensor) -> Partial:
    """The state with those of the drawn bonds that fit together, taken one in each graph at a time, by priority."""
    size, count = state.part.size, len(state.part.atoms)
    while len(first):
        best = priority.new_full((count,), -1.0).scatter_reduce(0, first // size, priority, "amax")
        chosen = priority == best[first // size]
        degree, valence = state.missing()
        fits = allowed_orders(degree, valence, first, second).gather(1, order[:, None])[:, 0] & chosen
        state = state.with_bonds(first[fits], second[fits], order[fits])
        first, second, order, priority = (values[~chosen] for values in (first, second, order, priority))
    return state


def _targets(nodes: int, one: Tensor, other: Tensor, first: Tensor, second: Tensor, order: Tensor) -> Tensor:
    """The class of each pair (one, other) among the bonds (first, second, order), 0 where there is none, int64 [q]."""
    keys, rank = (first * nodes + second).sort()
    if not len(keys):
        return torch.zeros_like(one)
    wanted = one * nodes + other
    position = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[position] == wanted, order[rank][position], 0)


def _log_arrangements(tokens: Tensor) -> Tensor:
    """log of the number of distinct orders of each row of sorted tokens [b, n]: n! / product of k! of repeats, [b]."""
    size = tokens.shape[1]
    same = tokens[:, :, None] == tokens[:, None, :]
    # the k-th of its kind contributes log k
    rank = (same & torch.ones(size, size, dtype=torch.bool, device=tokens.device).tril()).sum(-1)
    return math.lgamma(size + 1) - rank.float().log().sum(1)


def _uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    device = like.device if generator is None else generator.device
    return torch.rand(like.shape, generator=generator, device=device).to(like.device)


def _graphs(state: Partial) -> GraphBatch:
    return state.graphs()

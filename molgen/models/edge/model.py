"""EDGE: bonds added at few active nodes, guided by degrees (Chen et al., ICML 2023), for typed atoms and bonds.

The authors' graphs have neither classes of nodes nor of edges. Here the node part, drawn first or given, holds each
node's class, degree and valence (sum of bond orders), so that valences are right by construction wherever the degrees
are obtained. Known bonds are there from the start, known atoms get node parts that have room for them.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from molgen.data.dataset import Statistics
from molgen.device import autocast
from molgen.errors import InputError
from molgen.models.base import Backend, Bound, Drawing, spread_uniforms, stratified_bound, stratum_uniforms
from molgen.models.conditions import Condition
from molgen.models.edge.network import BondNetwork, log_shares
from molgen.models.edge.node_part import (
    KINDS,
    NodePartModel,
    draw_given,
    guided,
    known_graph,
    part_of,
    tokens_of,
)
from molgen.models.edge.process import (
    Given,
    NodePart,
    Partial,
    active_probability,
    allowed_orders,
    alpha_bar,
    bonds_of,
    candidate_pairs,
    pair_keys,
    return_probability,
    unbonded,
)
from molgen.models.edge.structure import Pieces
from molgen.molecules.graph import GraphBatch
from molgen.molecules.vocabulary import Vocabulary

if TYPE_CHECKING:
    from molgen.molecules.composition import Request

SAMPLERS = ("ancestral",)
# of a sampler's steps, the share at its end in which graphs that still lack bonds get them one by one
COMPLETION = 0.125


@dataclass(frozen=True)
class EDGEConfig:
    """Sizes of the networks.

    layers, width, heads: of the network of bonds; node_width: of the recurrent network of the node part;
    known_parts: the networks see which nodes are known, and what is known of them.
    """

    layers: int = 5
    width: int = 160
    heads: int = 8
    node_width: int = 128
    known_parts: bool = True

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, bool) and value < 1:
                raise InputError(f"{field.name} should be at least 1, got {value}")
        if self.width % self.heads:
            raise InputError(f"width should be a multiple of heads ({self.heads}), got {self.width}")


class EDGE(Backend):
    """The backend: node part, bonds and sampler. See molgen.models.base.Backend."""

    Config: ClassVar[type] = EDGEConfig
    atom_axes: ClassVar[dict[str, tuple[int, int, int]]] = {
        "network.node_in.0.weight": (1, 1, 1),
        "node_part.token.weight": (0, 1, KINDS),
        "node_part.out.2.weight": (0, 1, KINDS),
        "node_part.out.2.bias": (0, 1, KINDS),
    }
    known_axes: ClassVar[tuple[str, ...]] = ("network.node_in.0.weight", "node_part.left.weight")
    requests: ClassVar[tuple[str, ...]] = ("formula", "atoms")
    samplers = SAMPLERS
    default_steps = 64
    config: EDGEConfig
    network: BondNetwork

    def __init__(self, config: EDGEConfig, vocabulary: Vocabulary, statistics: Statistics) -> None:
        super().__init__(config, vocabulary, statistics)
        atoms = len(vocabulary.atoms)
        self.node_part = NodePartModel(atoms, config.node_width, known_parts=config.known_parts)
        self.network = BondNetwork(
            atoms,
            layers=config.layers,
            width=config.width,
            heads=config.heads,
            node_width=config.node_width,
            known_parts=config.known_parts,
            targets=statistics.targets,
        )

    def loss(self, batch: GraphBatch, generator: torch.Generator | None, condition: Condition | None = None) -> Tensor:
        """-log p of the node part per node, plus the mean -log p of the missing bonds at a uniform time, [b].

        Known bonds are never missing, and of the node part counts what the known atoms and bonds leave open.
        """
        time = 1 - spread_uniforms(len(batch), generator, batch.nodes.device)
        part = NodePart.of(batch)
        for_bonds, for_nodes = self._encoded(condition)
        tokens, known = self.node_part.arranged(part, self._known(condition))
        nodes = -self.node_part.log_probability(tokens, for_nodes, known) / batch.size
        return nodes + self._bond_loss(batch, part, time, generator, condition, for_bonds)

    def sample(self, size: int, count: int, *, node_part: NodePart | None = None, **options: Any) -> GraphBatch:
        """As that of every backend; node_part: the nodes with their degrees and valences, else drawn.

        A graph may end with fewer bonds than its node part asks for, where no pair is left that could take one.
        Raises InputError also for a request that the node part model never meets, and for a node part together with a
        request or a condition.
        """
        if node_part is None:
            return super().sample(size, count, **options)
        if options.pop("request", None) is not None or options.pop("condition", None) is not None:
            raise InputError("a node part settles the atoms: neither a request nor a condition goes with it")
        drawing = Drawing(**{"callback": None, "request": None, "condition": None, "guidance": 0.0, **options})
        return self._draw_graphs(node_part, None, drawing)

    @torch.no_grad()
    def _sample(self, size: int, count: int, drawing: Drawing) -> GraphBatch:
        condition = self.told(drawing.request, drawing.condition, count)
        if condition is not None and drawing.request is not None:
            # an atom of a request may have a charge, so that its class is not known before it is drawn
            condition = replace(condition, known_nodes=torch.zeros_like(condition.known_nodes))
        part = self._draw_nodes(size, count, condition, drawing)
        return self._draw_graphs(part, condition, drawing)

    def _draw_nodes(self, size: int, count: int, condition: Condition | None, drawing: Drawing) -> NodePart:
        """Node parts [count, size] under a request or a condition."""
        _, told = self._encoded(condition)
        generator, guidance = drawing.generator, drawing.guidance
        if drawing.request is not None:
            return self._requested(drawing.request, count, generator, told, guidance)
        known = self._known(condition)
        if known is None:
            return self.node_part.sample(count, size, generator, told, guidance)
        return self.node_part.sample_known(known, generator, told, guidance)

    @torch.no_grad()
    def _draw_graphs(self, part: NodePart, condition: Condition | None, drawing: Drawing) -> GraphBatch:
        """The bonds of a node part [count, size], those that are known first."""
        nothing = torch.zeros(0, dtype=torch.int64, device=part.atoms.device)
        state = Partial(part, nothing, nothing, nothing)
        if condition is not None:
            given = Given.of(condition, self._encoded(condition)[0])
            state = Partial(part, *bonds_of(known_graph(condition)), given)
        steps = drawing.steps
        planned = steps - int(COMPLETION * steps)
        for done in range(1, steps + 1):
            now, then = 1 - min(done - 1, planned - 1) / planned, 1 - min(done, planned) / planned
            state = self._reverse(state, now, then, done > planned, drawing.generator, drawing.guidance)
            if drawing.callback is not None:
                drawing.callback(done, steps, state.graphs)
        return state.graphs()

    def _encoded(self, condition: Condition | None) -> tuple[Tensor | None, Tensor | None]:
        """The targets as the network of bonds and as the model of node parts are told them, float [b, width] each."""
        if condition is None or self.network.targets is None:
            return None, None
        with autocast(condition.targets.device):
            encoded = self.network.targets(condition.targets).float()
        for_bonds, for_nodes = encoded.split([self.config.width, self.config.node_width], dim=1)
        return for_bonds, for_nodes

    def _known(self, condition: Condition | None) -> Condition | None:
        """The condition where something is known in any of its graphs and the model sees it, else None."""
        if condition is None or not self.config.known_parts:
            return None
        return condition if bool(condition.known_nodes.any() or condition.known_pairs.any()) else None

    def _requested(
        self,
        request: Request,
        count: int,
        generator: torch.Generator | None,
        told: Tensor | None = None,
        guidance: float = 0.0,
    ) -> NodePart:
        """Node parts drawn under a request: its atoms, its hydrogens, no charge over all, an even sum of degrees.

        told: float [count, width], encoded targets; graphs with the same ones are drawn together.
        """
        from molgen.molecules.encoding import implied_hydrogens  # training does without RDKit

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

        tokens = torch.zeros(count, request.size, dtype=torch.int64, device=device)
        groups_of = torch.tensor(group, device=device)
        asked_of: list[Tensor | None] = [None]
        kind = torch.zeros(count, dtype=torch.int64, device=device)
        if told is not None:
            distinct, kind = told.unique(dim=0, return_inverse=True)
            asked_of = list(distinct.split(1))
        for number, one in enumerate(asked_of):
            rows = (kind == number).nonzero()[:, 0]
            part = draw_given(self.node_part, len(rows), groups_of, wanted, fits, generator, one, guidance)
            if part is None:
                raise InputError(f"the model finds no atoms for {request.text}: none like it were in its training data")
            tokens[rows] = tokens_of(part)
        return part_of(tokens)

    @torch.no_grad()
    def likelihood(self, batch: GraphBatch, *, draws: int, generator: torch.Generator | None) -> Bound:
        """The variational bound in nats, of the graph with its nodes in the given order, from `draws` times.

        For bonds that come back one by one, the limit of many steps: -log p(node part) + the sum over the m bonds of
        -log p(bond k | the k - 1 before). As a uniform time leaves 0 to m bonds with equal probability, that sum is
        (m + 1) times the mean over times. Raises InputError for a number of draws that is not even and at least 2.
        """
        part = NodePart.of(batch)
        tokens = tokens_of(part).sort(dim=1).values
        nodes = -self.node_part.log_probability(tokens) + _log_arrangements(tokens)
        stages = part.degree.sum(1) / 2 + 1

        def term(stratum: int) -> Tensor:
            time = 1 - stratum_uniforms(len(batch), stratum, draws, generator, batch.nodes.device)
            return nodes + stages * self._bond_loss(batch, part, time, generator)

        return stratified_bound(term, draws)

    def _bond_loss(
        self,
        batch: GraphBatch,
        part: NodePart,
        time: Tensor,
        generator: torch.Generator | None,
        condition: Condition | None = None,
        told: Tensor | None = None,
    ) -> Tensor:
        """Mean over the bonds missing at `time` of -log p that the next bond is this one, times how many are missing.

        Each of the M missing bonds comes next with 1 / M. The model takes one of the 2 M missing ends for the active
        one, and from node i the bond to j with p(j | i): it has the probability (m_i p(j | i) + m_j p(i | j)) / 2 M,
        where m_i is the number of bonds that node i lacks. The 1 / M of both cancels in the bound. Float [b].
        Known bonds are there at any time; told: float [b, width], encoded targets.
        """
        size, count = batch.size, len(batch)
        first, second, order = bonds_of(batch)
        graph = first // size
        device = first.device if generator is None else generator.device
        uniform = torch.rand(len(first), generator=generator, device=device).to(first.device)
        there = uniform < alpha_bar(time)[graph]
        given = None
        if condition is not None:
            there |= condition.known_pairs[batch.pairs > 0]  # in the order of bonds_of
            given = Given.of(condition, told)
        state = Partial(part, first[there], second[there], order[there], given)
        lost = ~there
        first, second, order, graph = first[lost], second[lost], order[lost], graph[lost]
        missing = state.missing()[0]
        one, other = candidate_pairs(missing > 0, missing > 0, size)
        fresh = unbonded(state, one, other)
        one, other = one[fresh], other[fresh]
        logits = self.network(state, one, other)
        of_one, of_other = log_shares(logits, one, other, state.nodes)
        keys, rank = pair_keys(one, other, state.nodes).sort()
        row = rank[torch.searchsorted(keys, pair_keys(first, second, state.nodes))]
        chosen = (order - 1)[:, None]
        # the pair may stand the other way round, but the sum is the same
        log_p = torch.logaddexp(
            of_one[row].gather(1, chosen)[:, 0] + missing[one[row]].float().log(),
            of_other[row].gather(1, chosen)[:, 0] + missing[other[row]].float().log(),
        )
        lacking = torch.bincount(graph, minlength=count).clamp(min=1)
        return torch.zeros(count, device=log_p.device).index_add(0, graph, math.log(2) - log_p) / lacking

    def _reverse(
        self,
        state: Partial,
        now: float,
        then: float,
        late: bool,
        generator: torch.Generator | None,
        guidance: float = 0.0,
    ) -> Partial:
        """One step from time `now` to `then`; late: every graph that lacks bonds has one active node.

        The network sees the graphs with active nodes alone.
        """
        size, count = state.part.size, len(state.part.atoms)
        missing, _ = state.missing()
        if late:
            # one missing end of each graph: the largest of its nodes' exponential clocks
            clock = missing / -torch.log(_uniform(missing.float(), generator).clamp(1e-12, 1 - 1e-7))
            best = clock.view(count, size).max(1, keepdim=True).values
            active = ((clock.view(count, size) == best) & (best > 0)).flatten()
        else:
            p = return_probability(alpha_bar(torch.tensor(now)), alpha_bar(torch.tensor(then))).to(missing.device)
            active = _uniform(missing.float(), generator) < active_probability(missing, p)
        chosen = active.view(count, size).any(1)
        if not chosen.any():
            return state
        part = state.of_graphs(chosen)
        first, second, order = self._draw_bonds(
            part,
            active.view(count, size)[chosen].flatten(),
            (missing > 0).view(count, size)[chosen].flatten(),
            generator,
            guidance,
        )
        graphs = chosen.nonzero()[:, 0]
        back = graphs[first // size] * size - (first // size) * size
        first, second = first + back, second + back
        # distinct numbers, so that no two bonds of a graph come first
        priority = torch.argsort(_uniform(order.float(), generator)).float()
        return _accepted(state, first, second, order, priority)

    def _draw_bonds(
        self,
        state: Partial,
        active: Tensor,
        open_nodes: Tensor,
        generator: torch.Generator | None,
        guidance: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A bond for each active node that can have one: its nodes and order, int64 [k] each."""
        first, second = candidate_pairs(active, open_nodes, state.part.size)
        fresh = unbonded(state, first, second)
        first, second = first[fresh], second[fresh]
        if not len(first):
            return first, second, first
        logits = self.network(state, first, second)
        if guidance and state.given is not None:
            # of unnormalised logits: what is left out is the same for all bonds that a node draws from
            free = self.network(replace(state, given=replace(state.given, told=None)), first, second)
            logits = guided(logits, free, guidance)
        # both ends of a pair may be active, and each draws for itself: the largest of the logits with Gumbel noise
        nodes = torch.cat([first, second[active[second]]])
        rows = torch.cat([torch.arange(len(first), device=first.device), active[second].nonzero()[:, 0]])
        scores = logits[rows] - torch.log(-torch.log(_uniform(logits[rows], generator).clamp(1e-7, 1 - 1e-7)))
        best, order = scores.max(1)
        highest = best.new_full((state.nodes,), -torch.inf).scatter_reduce(0, nodes, best, "amax")
        taken = (best == highest[nodes]) & best.isfinite()
        return first[rows[taken]], second[rows[taken]], order[taken] + 1


def _accepted(state: Partial, first: Tensor, second: Tensor, order: Tensor, priority: Tensor) -> Partial:
    """The state with those of the drawn bonds that fit together, taken one in each graph at a time, by priority."""
    size, count = state.part.size, len(state.part.atoms)
    while len(first):
        best = priority.new_full((count,), -1.0).scatter_reduce(0, first // size, priority, "amax")
        chosen = priority == best[first // size]
        one, other, orders = first[chosen], second[chosen], order[chosen]
        degree, valence = state.missing()
        fits = allowed_orders(degree, valence, one, other).gather(1, orders[:, None] - 1)[:, 0]
        fits &= unbonded(state, one, other) & Pieces.of(state, degree).joinable(one, other)
        state = state.with_bonds(one[fits], other[fits], orders[fits])
        first, second, order, priority = (values[~chosen] for values in (first, second, order, priority))
    return state


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

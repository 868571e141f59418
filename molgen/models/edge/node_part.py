"""The node part of EDGE: which nodes a molecule has, each with its class, degree and valence.

What is known of a molecule is told to the model, which learns p(node part | what is known) from random conditions like
the other networks do. It is not derived from p(node part): to weigh node parts that have room for the known atoms by
p(node part) alone would leave out how likely they make the known bonds, and by the number of ways to deal their tokens
to the known atoms it would favour molecules with many more atoms like the known ones.

Exact: every draw has the known classes and room for the known bonds, and no bond more at a closed atom; among these
the draws follow the model's own probabilities, those that no connected graph has drawn again; the order of nodes in the
condition does not matter. Not exact: known nodes that look alike (`KnownNodes.looks`) get their tokens in random
order. Where no bonds are known these are interchangeable and nothing is lost; else the model does not see by what more
than its neighbours an atom differs from another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from molgen.device import autocast
from molgen.models.conditions import Condition
from molgen.models.digress.process import sample_classes
from molgen.models.edge.process import NodePart, Partial, bonds_of
from molgen.models.edge.structure import RINGS, Pieces, ring_counts
from molgen.molecules.graph import GraphBatch, to_square

MAX_DEGREE = 6
MAX_VALENCE = 6
KINDS = (MAX_DEGREE + 1) * (MAX_VALENCE + 1)
# of the draws under a condition: node parts proposed at once, at most so many times, until there are so many a graph
PROPOSALS = 2048
ROUNDS = 32
SPARE = 4
# read with a known node: that it is read with all others, that its token comes next, pairs not known, unlike neighbours
KNOWN_INPUTS = 4 + len(RINGS)
UNLIKE = 8  # unlike neighbours are counted below this


def tokens_of(part: NodePart) -> Tensor:
    """One number for (class, degree, valence) of each node, int64 [b, n]."""
    degree, valence = part.degree.clamp(max=MAX_DEGREE), part.valence.clamp(max=MAX_VALENCE)
    return (part.atoms * (MAX_DEGREE + 1) + degree) * (MAX_VALENCE + 1) + valence


def part_of(tokens: Tensor) -> NodePart:
    """The node part that `tokens` [b, n] stand for."""
    rest = tokens // (MAX_VALENCE + 1)
    return NodePart(rest // (MAX_DEGREE + 1), rest % (MAX_DEGREE + 1), tokens % (MAX_VALENCE + 1))


def graphical(part: NodePart) -> Tensor:
    """Which node parts could be those of a connected graph, bool [b]: even sums, and bonds enough."""
    degrees, valences = part.degree.sum(1), part.valence.sum(1)
    return (degrees % 2 == 0) & (valences % 2 == 0) & (degrees >= 2 * (part.size - 1))


@dataclass(frozen=True)
class KnownNodes:
    """What is known of the nodes of b graphs, in the order in which their tokens are drawn: told nodes, then the rest.

    A told node has a known class or a known bond. All int64 [b, n] but `told`, `inputs` and `anything`.
    order: the node at each place; told: bool; looks: the same for nodes that the model cannot tell apart, whose tokens
    rise; present: token of the class and the known bonds, of the model's start where the class is not known; atoms:
    class, -1 where not known; degree, valence: of the known bonds, at most MAX_DEGREE and MAX_VALENCE; room: bonds that
    can come to them; inputs: float [b, n, KNOWN_INPUTS - 2]; anything: bool [b], whether anything is known of a graph.
    """

    order: Tensor
    told: Tensor
    looks: Tensor
    present: Tensor
    atoms: Tensor
    degree: Tensor
    valence: Tensor
    room: Tensor
    inputs: Tensor
    anything: Tensor

    @classmethod
    def of(cls, condition: Condition, start: int, tie: Tensor) -> KnownNodes:
        """Of a condition; start: the model's token for it; tie: [b, n], in whose order come nodes that look alike."""
        graph = known_graph(condition)
        size, bonds = graph.size, graph.bonds()
        part = NodePart.of(graph)
        told = condition.known_nodes | (part.degree > 0)
        present = torch.where(condition.known_nodes, tokens_of(part), start)
        room = to_square(~condition.known_pairs, size).sum(-1)
        both = condition.known_nodes[:, :, None] & condition.known_nodes[:, None, :]
        differ = both & (graph.nodes[:, :, None] != graph.nodes[:, None, :])
        unlike = ((bonds > 0) & differ).sum(-1).clamp(max=UNLIKE - 1)
        rings = _in_rings(graph)

        looks = (~told).long()
        degree, valence = part.degree.clamp(max=MAX_DEGREE), part.valence.clamp(max=MAX_VALENCE)
        bases = ((present, start + 1), (degree, MAX_DEGREE + 1), (valence, MAX_VALENCE + 1), (room, size))
        for values, base in (*bases, (unlike, UNLIKE), *((ring, 2) for ring in rings.unbind(-1))):
            looks = looks * base + torch.where(told, values, 0)
        by_tie = tie.argsort(dim=1)
        order = by_tie.gather(1, looks.gather(1, by_tie).argsort(dim=1, stable=True))

        # nodes of which nothing is known are drawn together: each has the room of the one that has most
        anything = condition.known_nodes.any(1) | condition.known_pairs.any(1)
        most = room.masked_fill(told, 0).amax(1, keepdim=True)
        inputs = torch.cat([room[..., None] / 10, unlike[..., None] / 3, rings], dim=-1)
        return cls(
            order,
            told.gather(1, order),
            looks.gather(1, order),
            present.gather(1, order),
            torch.where(condition.known_nodes, graph.nodes, -1).gather(1, order),
            degree.gather(1, order),
            valence.gather(1, order),
            torch.where(told, room, most).gather(1, order),
            inputs.gather(1, order[..., None].expand_as(inputs)),
            anything,
        )

    def twice(self) -> KnownNodes:
        """The same graphs a second time after themselves."""
        return KnownNodes(*(torch.cat([getattr(self, field.name)] * 2) for field in fields(self)))

    def allowed(self, place: int, every: NodePart) -> Tensor:
        """Which of the tokens `every` [c] the node at a place may have, bool [b, c].

        Those of its class whose further bonds find room, with orders between 1 and 3; the largest degree and valence
        of a token stand for larger ones too.
        """
        atoms, degree, valence, room = (
            values[:, place, None] for values in (self.atoms, self.degree, self.valence, self.room)
        )
        left, rest = every.degree - degree, every.valence - valence
        fine = (left >= 0) & (left <= room) & (rest >= 0) & ((atoms < 0) | (every.atoms == atoms))
        fine &= (rest >= left) | (every.valence == MAX_VALENCE)
        fine &= (rest <= 3 * left) | (every.degree == MAX_DEGREE)
        return fine | ~self.anything[:, None]

    def in_order(self, tokens: Tensor) -> NodePart:
        """The node part of tokens [b, n], drawn in this order, with its nodes in the order of the condition."""
        return part_of(torch.zeros_like(tokens).scatter(1, self.order, tokens))


def known_graph(condition: Condition) -> GraphBatch:
    """The known bonds alone."""
    return GraphBatch(condition.graph.nodes, condition.graph.pairs.masked_fill(~condition.known_pairs, 0))


def _in_rings(graph: GraphBatch) -> Tensor:
    """Whether a node is on a ring of each of the sizes RINGS, int64 [b, n, 4]."""
    edges, _ = Partial(NodePart.of(graph), *bonds_of(graph)).edges()
    nodes = graph.nodes.numel()
    rings = ring_counts(edges[0], edges[1], nodes)
    on_rings = torch.zeros(nodes, len(RINGS), device=rings.device).index_add(0, edges[0], rings) > 0
    return on_rings.view(*graph.nodes.shape, len(RINGS)).long()


def feasible(part: NodePart, condition: Condition) -> Tensor:
    """Which node parts could be those of a connected graph under a condition, bool [b]; necessary, not sufficient.

    Each node must find partners and orders for the bonds that it lacks, and no piece may be finished before the graph.
    """
    graph, size = known_graph(condition), part.size
    state = Partial(part, *bonds_of(graph))
    missing, rest = state.missing()
    pieces = Pieces.of(state, missing)
    left, rest = missing.view(-1, size), rest.view(-1, size)
    partners = (to_square(~condition.known_pairs, size) & (left > 0)[:, None, :]).sum(-1)
    fine = (left >= 0) & (left <= partners) & (rest >= left) & (rest <= 3 * left)
    fine &= ((pieces.open_ends > 0) | (pieces.size == size)).view(-1, size)
    even = (left.sum(1) % 2 == 0) & (rest.sum(1) % 2 == 0)
    return fine.all(1) & even & (left.sum(1) >= 2 * (pieces.count - 1))


class NodePartModel(nn.Module):
    """p(node part | size): a recurrent network over the tokens of the nodes, in rising order.

    As the order is fixed, this is the probability of the multiset of nodes.
    Where something is known (`KnownNodes`), the network first reads all told nodes as they stand, and then each of them
    once more before its token is drawn, from those it may have; tokens rise among nodes that look alike. The nodes of
    which nothing is known come last. told: float [b, width], encoded targets, added to all that it reads and to what it
    draws tokens from: with the first alone they are learned several times more slowly.
    """

    def __init__(self, atoms: int, width: int, *, known_parts: bool = False) -> None:
        super().__init__()
        self.count = atoms * KINDS
        self.known_inputs = known_parts * KNOWN_INPUTS
        self.token = nn.Embedding(self.count + 1, width)  # the last stands for the start
        self.left = nn.Linear(1 + self.known_inputs, width)
        self.cell = nn.GRUCell(width, width)
        self.out = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, self.count))

    def step(
        self, hidden: Tensor, previous: Tensor, left: int, told: Tensor | None = None, known: KnownNodes | None = None
    ) -> tuple[Tensor, Tensor]:
        """The next hidden state and log p of each next token, [b, count]; left: tokens still to come."""
        with autocast(hidden.device):
            hidden = self._read(hidden, previous, left, told)
            if known is not None:
                place = known.told.shape[1] - left
                hidden = self._read_known(hidden, known, place, left, told, next_one=True)
            logits = self.out(hidden if told is None else hidden + told)
        least = torch.where(previous < self.count, previous, 0)[:, None]
        every = torch.arange(self.count, device=hidden.device)
        if known is None:
            excluded = every < least
        else:
            alike = known.looks[:, place] == known.looks[:, max(0, place - 1)]
            excluded = (every < torch.where(alike[:, None], least, 0)) | ~known.allowed(place, part_of(every))
        return hidden, logits.float().masked_fill(excluded, -torch.inf).log_softmax(-1)

    def _read(
        self, hidden: Tensor, token: Tensor, left: int, told: Tensor | None, known: Tensor | None = None
    ) -> Tensor:
        numbers = torch.full_like(hidden[:, :1], left / 10)
        if self.known_inputs:
            known = hidden.new_zeros(len(hidden), self.known_inputs) if known is None else known
            numbers = torch.cat([numbers, known], dim=1)
        inputs = self.token(token) + self.left(numbers)
        if told is not None:
            inputs = inputs + told
        return self.cell(inputs.float(), hidden)

    def _read_known(
        self, hidden: Tensor, known: KnownNodes, place: int, left: int, told: Tensor | None, *, next_one: bool
    ) -> Tensor:
        """The hidden state after the node at a place was read as it stands, where it is a told one."""
        rows = known.told[:, place].nonzero()[:, 0]
        if not len(rows):
            return hidden
        flags = torch.tensor([float(not next_one), float(next_one)], device=hidden.device).expand(len(rows), -1)
        numbers = torch.cat([flags, known.inputs[rows, place]], dim=1)
        told = None if told is None else told[rows]
        read = self._read(hidden[rows], known.present[rows, place], left, told, numbers)
        return hidden.index_put((rows,), read.to(hidden.dtype))

    def start(self, count: int, told: Tensor | None = None, known: KnownNodes | None = None) -> tuple[Tensor, Tensor]:
        """Hidden state and token before the first node, for `count` graphs; what is known of them is read already."""
        weight = self.token.weight
        previous = torch.full((count,), self.count, device=weight.device)
        hidden = weight.new_zeros(count, weight.shape[1])
        if known is not None:
            size = known.told.shape[1]
            with autocast(hidden.device):
                for place in range(size):
                    hidden = self._read_known(hidden, known, place, size - place, told, next_one=False)
        return hidden, previous

    def log_probability(self, tokens: Tensor, told: Tensor | None = None, known: KnownNodes | None = None) -> Tensor:
        """log p of tokens [b, n] in the order in which they are drawn, float [b]; see `arranged`."""
        hidden, previous = self.start(len(tokens), told, known)
        total = hidden.new_zeros(len(tokens))
        for position in range(tokens.shape[1]):
            hidden, log_p = self.step(hidden, previous, tokens.shape[1] - position, told, known)
            previous = tokens[:, position]
            total = total + log_p.gather(1, previous[:, None])[:, 0]
        return total

    def arranged(self, part: NodePart, condition: Condition | None) -> tuple[Tensor, KnownNodes | None]:
        """Tokens [b, n] of whole graphs in the order in which they are drawn, and what is known of their nodes."""
        tokens = tokens_of(part)
        if condition is None:
            return tokens.sort(dim=1).values, None
        known = KnownNodes.of(condition, self.count, tokens)
        return tokens.gather(1, known.order), known

    def sample(
        self,
        count: int,
        size: int,
        generator: torch.Generator | None,
        told: Tensor | None = None,
        guidance: float = 0.0,
    ) -> NodePart:
        """Node parts of `count` graphs of `size` nodes; what no connected graph has is drawn again."""
        tokens = self._draw(count, size, generator, told, None, guidance)
        for _ in range(ROUNDS):
            bad = (~graphical(part_of(tokens))).nonzero()[:, 0]
            if not len(bad):
                break
            again = None if told is None else told[bad]
            tokens[bad] = self._draw(len(bad), size, generator, again, None, guidance)
        return part_of(tokens)

    def sample_known(
        self, condition: Condition, generator: torch.Generator | None, told: Tensor | None = None, guidance: float = 0.0
    ) -> NodePart:
        """Node parts under what is known of each graph, nodes in the order of the condition.

        Infeasible ones are drawn again; where many draws bring no feasible one, the last of them stays, whose graph
        will have the known parts and lack bonds.
        """
        found = self._draw_known(condition, generator, told, guidance)
        bad = (~feasible(found, condition)).nonzero()[:, 0]
        for _ in range(ROUNDS):
            if not len(bad):
                break
            # the first feasible one of many draws for each graph: what drawing again and again would find
            copies = max(1, PROPOSALS // len(bad))
            rows = bad.repeat_interleave(copies)
            drawn = self._draw_known(condition[rows], generator, None if told is None else told[rows], guidance)
            fine = feasible(drawn, condition[rows]).view(len(bad), copies)
            first = torch.arange(len(bad), device=bad.device) * copies + fine.long().argmax(1)
            for old, new in ((found.atoms, drawn.atoms), (found.degree, drawn.degree), (found.valence, drawn.valence)):
                old[bad] = new[first]
            bad = bad[~fine.any(1)]
        return found

    def _draw_known(
        self, condition: Condition, generator: torch.Generator | None, told: Tensor | None, guidance: float
    ) -> NodePart:
        count, size = condition.graph.nodes.shape
        device = condition.graph.nodes.device
        source = device if generator is None else generator.device
        # a random order, so that each of the nodes that look alike has the same chances
        tie = torch.rand(count, size, generator=generator, device=source).to(device)
        known = KnownNodes.of(condition, self.count, tie)
        part = known.in_order(self._draw(count, size, generator, told, known, guidance))
        # tokens end at MAX_DEGREE and MAX_VALENCE, and the known bonds of an atom may not
        present = NodePart.of(known_graph(condition))
        return NodePart(
            part.atoms, torch.maximum(part.degree, present.degree), torch.maximum(part.valence, present.valence)
        )

    def _draw(
        self,
        count: int,
        size: int,
        generator: torch.Generator | None,
        told: Tensor | None,
        known: KnownNodes | None,
        guidance: float,
    ) -> Tensor:
        """Tokens [count, size] in the order in which they are drawn."""
        tokens = []
        walk = Walk(self, count, told, known, guidance)
        for position in range(size):
            previous = sample_classes(walk.log_p(size - position).exp(), generator)
            walk.take(previous)
            tokens.append(previous)
        return torch.stack(tokens, dim=1)


class Walk:
    """The way of a node part model through the tokens that are drawn, with guidance where it is above 0.

    Then each step is one with the targets and one without, in one batch twice as large.
    """

    def __init__(
        self, model: NodePartModel, count: int, told: Tensor | None, known: KnownNodes | None, guidance: float
    ) -> None:
        self.model, self.guidance = model, guidance
        self.copies = 1
        if guidance and told is not None:
            self.copies = 2
            told, known = torch.cat([told, torch.zeros_like(told)]), known and known.twice()
        self.told, self.known = told, known
        self.hidden, self.previous = model.start(self.copies * count, told, known)

    def log_p(self, left: int) -> Tensor:
        """log p of the next token, [count, tokens]; left: tokens still to come."""
        self.hidden, log_p = self.model.step(self.hidden, self.previous, left, self.told, self.known)
        if self.copies == 1:
            return log_p
        asked, free = log_p.chunk(2)
        return guided(asked, free, self.guidance).log_softmax(-1)

    def take(self, tokens: Tensor) -> None:
        """The tokens that were drawn, int64 [count]."""
        self.previous = tokens.repeat(self.copies)


def guided(asked: Tensor, free: Tensor, guidance: float) -> Tensor:
    """asked + guidance (asked - free), where both are -inf in the same places."""
    return torch.where(asked.isfinite(), asked + guidance * (asked - free), -torch.inf)


@torch.no_grad()
def draw_given(
    model: NodePartModel,
    count: int,
    group: Tensor,
    wanted: Tensor,
    fits: Callable[[Tensor], Tensor],
    generator: torch.Generator | None,
    told: Tensor | None = None,
    guidance: float = 0.0,
) -> NodePart | None:
    """`count` draws from p(node part | a request), by importance resampling; None where nothing was found.

    group: int64 [tokens], the group that a token counts for, -1 where it may not come; wanted: int64 [groups], nodes of
    each group; fits: tokens [k, n] -> bool [k], what the numbers of each group do not settle; told: float [1, width].
    Tokens are drawn one by one from those that leave room for the rest, which counts against their weight.
    """
    tokens, weights = [], []
    for _ in range(ROUNDS):
        drawn, log_weight = _proposals(model, PROPOSALS, group, wanted, generator, told, guidance)
        good = log_weight.isfinite()
        good[good.clone()] = fits(drawn[good])
        tokens.append(drawn[good])
        weights.append(log_weight[good])
        if sum(map(len, tokens)) >= SPARE * count:
            break
    found, log_weights = torch.cat(tokens), torch.cat(weights)
    if not len(found):
        return None
    shares = log_weights.softmax(0)
    if generator is not None:
        shares = shares.to(generator.device)
    return part_of(found[torch.multinomial(shares, count, replacement=True, generator=generator).to(found.device)])


def _proposals(
    model: NodePartModel,
    count: int,
    group: Tensor,
    wanted: Tensor,
    generator: torch.Generator | None,
    told: Tensor | None,
    guidance: float,
) -> tuple[Tensor, Tensor]:
    """Tokens [count, n] with the wanted number of each group, and log of p over their chance to be drawn, [count]."""
    walk = Walk(model, count, None if told is None else told.expand(count, -1), None, guidance)
    positions = torch.arange(model.count, device=group.device)
    # tokens rise, so a group can be served as long as its largest token is not passed
    last = torch.stack([positions[group == number].max() for number in range(len(wanted))])
    left = wanted.expand(count, -1).clone()
    log_weight = walk.hidden.new_zeros(count)
    tokens = []
    for position in range(int(wanted.sum()), 0, -1):
        log_p = walk.log_p(position)
        limit = torch.where(left > 0, last, model.count).min(dim=1, keepdim=True).values
        open_groups = torch.cat([left > 0, torch.zeros_like(left[:, :1], dtype=torch.bool)], dim=1)  # the last is -1's
        allowed = open_groups[:, group] & (positions <= limit)
        masked = log_p.masked_fill(~allowed, -torch.inf)
        total = masked.logsumexp(1)
        log_weight = log_weight + total
        alive = total.isfinite()[:, None]
        p = torch.where(alive, (masked - total[:, None]).exp(), allowed / allowed.sum(1, keepdim=True).clamp(min=1))
        previous = sample_classes(p, generator)
        walk.take(previous)
        left = left.scatter_add(1, group[previous].clamp(min=0)[:, None], -torch.ones_like(left[:, :1]))
        tokens.append(previous)
    return torch.stack(tokens, dim=1), log_weight

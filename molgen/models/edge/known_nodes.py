"""What the model of node parts reads of the known atoms and bonds."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from molgen.models.conditions import Condition
from molgen.models.edge.degrees import MAX_DEGREE, MAX_VALENCE, part_of, tokens_of
from molgen.models.edge.process import NodePart, Partial, bonds_of, known_graph
from molgen.models.edge.structure import RINGS, ring_counts
from molgen.molecules.graph import GraphBatch, to_square

# read with a known node: that it is read with all others, that its token comes next, pairs not known, unlike neighbours
KNOWN_INPUTS = 4 + len(RINGS)
UNLIKE = 8  # unlike neighbours are counted below this


class Slots(NamedTuple):
    """All that the model reads of b graphs, in its order: told nodes as they stand, then the tokens before each place,
    a told node once more after the token before it.

    tokens: int64 [b, s]; left: tokens to come by 10, [b, s]; numbers: float [b, s, KNOWN_INPUTS]; lengths: int64 [b],
    slots of a graph, which come first; last: int64 [b, n], the slot after which a place's token is drawn.
    """

    tokens: Tensor
    left: Tensor
    numbers: Tensor
    lengths: Tensor
    last: Tensor


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

    def alike(self) -> Tensor:
        """Whether a node looks like the one before it, so that their tokens rise, bool [b, n]; true of the first."""
        return torch.cat([torch.ones_like(self.told[:, :1]), self.looks[:, 1:] == self.looks[:, :-1]], dim=1)

    def allowed(self, place: int | slice, every: NodePart) -> Tensor:
        """Which of the tokens `every` [c] the node at a place may have, bool [b, c]; of several places [b, places, c].

        Those of its class whose further bonds find room, with orders between 1 and 3; the largest degree and valence
        of a token stand for larger ones too.
        """
        atoms, degree, valence, room = (
            values[:, place][..., None] for values in (self.atoms, self.degree, self.valence, self.room)
        )
        left, rest = every.degree - degree, every.valence - valence
        fine = (left >= 0) & (left <= room) & (rest >= 0) & ((atoms < 0) | (every.atoms == atoms))
        fine &= (rest >= left) | (every.valence == MAX_VALENCE)
        fine &= (rest <= 3 * left) | (every.degree == MAX_DEGREE)
        return fine | ~self.anything.view(-1, *(1,) * (fine.dim() - 1))

    def slots(self, previous: Tensor) -> Slots:
        """What is read where the tokens before each place, int64 [b, n], are those given."""
        count, size = self.told.shape
        left = torch.arange(size, 0, -1, device=previous.device).expand(count, -1) / 10
        flags = torch.eye(2, device=previous.device)[:, None, None].expand(-1, count, size, -1)
        stand, again = (torch.cat([flag, self.inputs], dim=-1) for flag in flags)
        # two slots for each place, of which the second is left out where nothing is told of the node
        places = torch.stack([torch.ones_like(self.told), self.told], dim=2).flatten(1)
        read = torch.cat([self.told, places], dim=1)
        lengths = read.sum(1)
        chosen = (~read).long().argsort(dim=1, stable=True)[:, : int(lengths.max())]
        tokens = torch.cat([self.present, torch.stack([previous, self.present], dim=2).flatten(1)], dim=1)
        numbers = torch.cat([stand, torch.stack([torch.zeros_like(again), again], dim=2).flatten(1, 2)], dim=1)
        return Slots(
            tokens.gather(1, chosen),
            torch.cat([left, left.repeat_interleave(2, dim=1)], dim=1).gather(1, chosen),
            numbers.gather(1, chosen[..., None].expand(-1, -1, numbers.shape[2])),
            lengths,
            read.cumsum(1)[:, size + 1 :: 2] - 1,
        )

    def in_order(self, tokens: Tensor) -> NodePart:
        """The node part of tokens [b, n], drawn in this order, with its nodes in the order of the condition."""
        return part_of(torch.zeros_like(tokens).scatter(1, self.order, tokens))


def _in_rings(graph: GraphBatch) -> Tensor:
    """Whether a node is on a ring of each of the sizes RINGS, int64 [b, n, 4]."""
    edges, _ = Partial(NodePart.of(graph), *bonds_of(graph)).edges()
    nodes = graph.nodes.numel()
    rings = ring_counts(edges[0], edges[1], nodes)
    on_rings = torch.zeros(nodes, len(RINGS), device=rings.device).index_add(0, edges[0], rings) > 0
    return on_rings.view(*graph.nodes.shape, len(RINGS)).long()

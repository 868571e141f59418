"""Drawing node parts: freely, and under what is known of a molecule.

Exact: every draw has the known classes and room for the known bonds, and no bond more at a closed atom; among these
the draws follow the model's own probabilities, those that no connected graph has drawn again; the order of nodes in the
condition does not matter. Not exact: known nodes that look alike (`KnownNodes.looks`) get their tokens in random
order. Where no bonds are known these are interchangeable and nothing is lost; else the model does not see by what more
than its neighbours an atom differs from another.
"""

from __future__ import annotations

import torch
from torch import Tensor

from molgen.models.conditions import Condition, guided
from molgen.models.edge.degrees import feasible, graphical, part_of
from molgen.models.edge.known_nodes import KnownNodes
from molgen.models.edge.node_part import NodePartModel
from molgen.models.edge.process import NodePart, known_graph
from molgen.models.noise import sample_classes, uniform

# under a condition: node parts proposed at once, and how many times at most
PROPOSALS = 2048
ROUNDS = 32


def sample_node_parts(
    model: NodePartModel,
    count: int,
    size: int,
    generator: torch.Generator | None,
    told: Tensor | None = None,
    guidance: float = 0.0,
    *,
    rounds: int = ROUNDS,
) -> NodePart:
    """Node parts of `count` graphs of `size` nodes; what no connected graph has is drawn again, `rounds` times."""
    tokens = draw_tokens(model, count, size, generator, told, None, guidance)
    for _ in range(rounds):
        bad = (~graphical(part_of(tokens))).nonzero()[:, 0]
        if not len(bad):
            break
        again = None if told is None else told[bad]
        tokens[bad] = draw_tokens(model, len(bad), size, generator, again, None, guidance)
    return part_of(tokens)


def sample_known_node_parts(
    model: NodePartModel,
    condition: Condition,
    generator: torch.Generator | None,
    told: Tensor | None = None,
    guidance: float = 0.0,
    *,
    rounds: int = ROUNDS,
) -> NodePart:
    """Node parts under what is known of each graph, nodes in the order of the condition.

    Infeasible ones are drawn again; where many draws bring no feasible one, the last of them stays, whose graph
    will have the known parts and lack bonds.
    """
    found = _draw_known(model, condition, generator, told, guidance)
    bad = (~feasible(found, condition)).nonzero()[:, 0]
    for _ in range(rounds):
        if not len(bad):
            break
        # the first feasible one of many draws for each graph: what drawing again and again would find
        copies = max(1, PROPOSALS // len(bad))
        rows = bad.repeat_interleave(copies)
        drawn = _draw_known(model, condition[rows], generator, None if told is None else told[rows], guidance)
        fine = feasible(drawn, condition[rows]).view(len(bad), copies)
        first = torch.arange(len(bad), device=bad.device) * copies + fine.long().argmax(1)
        for old, new in ((found.atoms, drawn.atoms), (found.degree, drawn.degree), (found.valence, drawn.valence)):
            old[bad] = new[first]
        bad = bad[~fine.any(1)]
    return found


def _draw_known(
    model: NodePartModel, condition: Condition, generator: torch.Generator | None, told: Tensor | None, guidance: float
) -> NodePart:
    count, size = condition.graph.nodes.shape
    # a random order, so that each of the nodes that look alike has the same chances
    tie = uniform((count, size), generator, condition.graph.nodes.device)
    known = KnownNodes.of(condition, model.count, tie)
    part = known.in_order(draw_tokens(model, count, size, generator, told, known, guidance))
    # tokens end at MAX_DEGREE and MAX_VALENCE, and the known bonds of an atom may not
    present = NodePart.of(known_graph(condition))
    return NodePart(
        part.atoms, torch.maximum(part.degree, present.degree), torch.maximum(part.valence, present.valence)
    )


def draw_tokens(
    model: NodePartModel,
    count: int,
    size: int,
    generator: torch.Generator | None,
    told: Tensor | None,
    known: KnownNodes | None,
    guidance: float,
) -> Tensor:
    """Tokens [count, size] in the order in which they are drawn."""
    tokens = []
    walk = Walk(model, count, told, known, guidance)
    for position in range(size):
        previous = sample_classes(walk.log_p(size - position).exp(), generator)
        walk.take(previous)
        tokens.append(previous)
    return torch.stack(tokens, dim=1)


class Walk:
    """The state of a node part model while tokens are drawn one by one.

    Under guidance each step evaluates a batch of twice the size: with the targets and without.
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

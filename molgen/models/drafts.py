"""A choice among several finished graphs, each drawn from what a network thinks of every entry by itself.

Entries that are drawn independently contradict each other: an atom gets a bond too many, or a molecule falls in two.
Where all real graphs have a property, drawing until a graph has it too brings the distribution nearer to the real one:
KL(p | q given the property) = KL(p | q) + log q(property), and the last term is negative.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from molgen.molecules.graph import GraphBatch


class Drafts(NamedTuple):
    """What a model draws finished graphs by: the best of several drafts.

    most: drafts of a graph at most; faults: of each graph, [b], 0 where it has none, and no further draft is made.
    """

    most: int
    faults: Callable[[GraphBatch], Tensor]

    def best(self, first: GraphBatch, draw: Callable[[Tensor], GraphBatch]) -> GraphBatch:
        """The first drafts, and in their place later ones with fewer faults; draw: some rows anew, int64 [r]."""
        nodes, pairs = first.nodes.clone(), first.pairs.clone()
        faults = self.faults(first)
        for _ in range(self.most - 1):
            rows = (faults > 0).nonzero().flatten()
            if not len(rows):
                break
            drawn = draw(rows)
            again = self.faults(drawn)
            better = again < faults[rows]
            faults[rows[better]] = again[better]
            nodes[rows[better]], pairs[rows[better]] = drawn.nodes[better], drawn.pairs[better]
        return GraphBatch(nodes, pairs)

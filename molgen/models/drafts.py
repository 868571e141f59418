"""A choice among several graphs, each of them drawn: late in a run, of each step's clean graph, and at its end.

Entries that are drawn independently contradict each other: an atom gets a bond too many, or a molecule falls in two.
Where all real graphs have a property, drawing until a graph has it too brings the distribution nearer to the real one:
KL(p | q given the property) = KL(p | q) + log q(property), and the last term is negative. At the end a graph with a
fault is not drawn from noise again, which would cost as much as the first time, but from itself with some noise; or
from the molecule that it was to be like, with as much noise as the first time.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from molgen.models.conditions import Condition
from molgen.molecules.graph import GraphBatch

LACKS = 1_000  # weight of the fault that something known is not there


class Drafts(NamedTuple):
    """What a model draws graphs by: the best of several drafts.

    most: drafts of a graph at most; faults: of each graph, [b], 0 where it has none, and no further draft is made; it
    is also told which nodes are given, bool [b, n], None where none are.
    """

    most: int
    faults: Callable[[GraphBatch, Tensor | None], Tensor]

    def best(
        self, first: GraphBatch, draw: Callable[[GraphBatch, Tensor], GraphBatch], known: Condition | None = None
    ) -> GraphBatch:
        """The first drafts, and in their place later ones with fewer faults.

        draw: some rows anew, from the best drafts of all graphs so far and the numbers of the rows, int64 [r]. known:
        what each graph should have; one that lacks some of it has a fault.
        """
        nodes, pairs = first.nodes.clone(), first.pairs.clone()
        faults = self._faults(first, known)
        for _ in range(self.most - 1):
            rows = (faults > 0).nonzero().flatten()
            if not len(rows):
                break
            drawn = draw(GraphBatch(nodes, pairs), rows)
            again = self._faults(drawn, None if known is None else known[rows])
            better = again < faults[rows]
            faults[rows[better]] = again[better]
            nodes[rows[better]], pairs[rows[better]] = drawn.nodes[better], drawn.pairs[better]
        return GraphBatch(nodes, pairs)

    def _faults(self, graphs: GraphBatch, known: Condition | None) -> Tensor:
        if known is None:
            return self.faults(graphs, None)
        return self.faults(graphs, known.known_nodes) + LACKS * ~known.held_by(graphs)

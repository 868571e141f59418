"""Node parts as tokens, and which degrees and valences a connected graph can have."""

from torch import Tensor

from molgen.models.conditions import Condition
from molgen.models.edge.process import NodePart, Partial, bonds_of, known_graph
from molgen.models.edge.structure import Pieces
from molgen.molecules.graph import to_square

MAX_DEGREE = 6
MAX_VALENCE = 6
KINDS = (MAX_DEGREE + 1) * (MAX_VALENCE + 1)  # tokens of each class


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

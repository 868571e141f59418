"""What a model is told about the graphs that it draws: parts that are given, and properties that they should have.

In training, conditions are drawn at random from the graphs themselves, so one network serves them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from molgen.models.noise import uniform
from molgen.molecules.graph import GraphBatch, pair_count, pair_indices, to_square

# Of the graphs of a batch that have a known part, how many have each kind of it.
KINDS = {"piece": 0.25, "pieces": 0.15, "all but a piece": 0.2, "atoms": 0.15, "core": 0.25}
# a list of atoms says little without its hydrogens, which make it a formula: asked for in this share of such graphs
FORMULA_SHARE = 0.75
HYDROGENS = "hydrogens"


@dataclass(frozen=True)
class Condition:
    """What is known of b graphs of n nodes.

    graph: their classes, int64; its values at entries that are not known are ignored.
    known_nodes, known_pairs: bool [b, n] and [b, n(n-1)/2], the entries that are given and free of noise. A pair known
    to have no bond closes its two atoms against each other.
    targets: float [b, k], the properties that the graphs should have, in their own units and in the order of
    `Statistics.targets`; NaN where nothing is asked.
    """

    graph: GraphBatch
    known_nodes: Tensor
    known_pairs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.graph)

    def __getitem__(self, rows: Tensor | slice) -> Condition:
        return Condition(self.graph[rows], self.known_nodes[rows], self.known_pairs[rows], self.targets[rows])

    def to(self, device: torch.device) -> Condition:
        """The same condition on another device."""
        parts = (part.to(device) for part in (self.known_nodes, self.known_pairs, self.targets))
        return Condition(self.graph.to(device), *parts)

    def hold(self, batch: GraphBatch) -> GraphBatch:
        """The batch with the known entries put in place."""
        return GraphBatch(
            torch.where(self.known_nodes, self.graph.nodes, batch.nodes),
            torch.where(self.known_pairs, self.graph.pairs, batch.pairs),
        )

    def held_by(self, batch: GraphBatch) -> Tensor:
        """Which graphs of the batch have every known entry, bool [b]."""
        nodes = (batch.nodes == self.graph.nodes) | ~self.known_nodes
        pairs = (batch.pairs == self.graph.pairs) | ~self.known_pairs
        return nodes.all(1) & pairs.all(1)

    def without_targets(self) -> Condition:
        """The same known parts, nothing asked: what guidance compares with."""
        return replace(self, targets=torch.full_like(self.targets, torch.nan))

    def permute(self, order: Tensor) -> Condition:
        """The condition of `graph.permute(order)`; order: int64 [n]."""
        pairs = GraphBatch(self.graph.nodes, self.known_pairs.to(self.graph.pairs.dtype)).permute(order).pairs.bool()
        return Condition(self.graph.permute(order), self.known_nodes[:, order], pairs, self.targets)

    @classmethod
    def nothing(cls, size: int, count: int, targets: int, device: torch.device | str = "cpu") -> Condition:
        """No condition on `count` graphs of `size` nodes, with room for so many targets."""
        graph = GraphBatch(
            torch.zeros(count, size, dtype=torch.int64, device=device),
            torch.zeros(count, pair_count(size), dtype=torch.int64, device=device),
        )
        nothing = torch.full((count, targets), torch.nan, device=device)
        return cls(graph, graph.nodes.bool(), graph.pairs.bool(), nothing)


def guided(asked: Tensor, free: Tensor, guidance: float) -> Tensor:
    """Classifier-free guidance (Ho and Salimans 2022): asked + guidance (asked - free), of the same shape.

    asked, free: logits or estimates with the targets and without, -inf in the same places.
    """
    return torch.where(asked.isfinite(), asked + guidance * (asked - free), asked)


def draw_condition(
    batch: GraphBatch,
    targets: Tensor,
    names: Sequence[str],
    *,
    known_share: float,
    target_share: float,
    generator: torch.Generator | None,
) -> Condition:
    """A random condition that the graphs of a batch meet, for training.

    targets: float [b, k], values of the properties `names`, NaN where one is not known. known_share of the graphs have
    a known part, of the KINDS; target_share are asked for some of their properties, each with a chance of its own.
    """
    known_nodes, known_pairs, atoms_alone = _random_parts(batch, known_share, generator)
    count, k = targets.shape
    device = batch.nodes.device
    asked = uniform((count, k), generator, device) < uniform((count, 1), generator, device)
    asked &= uniform((count, 1), generator, device) < target_share
    formula = atoms_alone & (uniform((count,), generator, device) < FORMULA_SHARE)
    if HYDROGENS in names and target_share > 0:
        asked[:, list(names).index(HYDROGENS)] |= formula
    return Condition(batch, known_nodes, known_pairs, torch.where(asked, targets, torch.nan))


def _random_parts(batch: GraphBatch, share: float, generator: torch.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
    """Known nodes [b, n] and pairs [b, p] of a random kind for each graph, and which graphs have their atoms alone."""
    count, n = len(batch), batch.size
    first, second = (index.to(batch.nodes.device) for index in pair_indices(n))
    if n < 2:
        return (
            torch.zeros_like(batch.nodes, dtype=torch.bool),
            torch.zeros_like(batch.pairs, dtype=torch.bool),
            torch.zeros(count, dtype=torch.bool, device=batch.nodes.device),
        )

    def draw(*shape: int) -> Tensor:
        return uniform(shape or (count,), generator, batch.nodes.device)

    orders = to_square(batch.pairs, n)
    bonded = orders > 0
    edges = torch.tensor([share * sum(list(KINDS.values())[: k + 1]) for k in range(len(KINDS))]).to(batch.nodes.device)
    chosen = torch.bucketize(draw(), edges, right=True)  # the kind's number; len(KINDS): nothing known
    is_kind = {name: chosen == number for number, name in enumerate(KINDS)}

    nobody = torch.zeros_like(batch.nodes, dtype=torch.bool)
    # 1 to n - 1 atoms for one piece, fewer where there are several or where the piece is what is missing
    most = torch.where(is_kind["piece"], n - 1, torch.where(is_kind["pieces"], max(1, n // 3), max(1, n // 2)))
    one = _grown(bonded, nobody, (draw() * most).floor() + 1, draw(count, n))
    two = _grown(bonded, one, (draw() * most).floor() + 1, draw(count, n))
    three = _grown(bonded, one | two, (draw() * most).floor() + 1, draw(count, n))
    two &= is_kind["pieces"][:, None]
    three &= (is_kind["pieces"] & (draw() < 0.5))[:, None]
    whole = torch.where(is_kind["all but a piece"][:, None], ~one, one)
    core = _pruned(orders, rounds=torch.where(draw() < 0.5, n, (3 * draw()).floor() + 1), double=draw() < 0.5)
    whole = torch.where(is_kind["core"][:, None], core, whole)
    none_or_atoms = (chosen == len(KINDS)) | is_kind["atoms"]
    whole &= ~none_or_atoms[:, None]
    piece = whole.long() + 2 * two.long() + 3 * three.long()  # the number of an atom's piece, 0: not known

    same = (piece[:, first] == piece[:, second]) & (piece[:, first] > 0)
    across = (piece[:, first] > 0) & (piece[:, second] > 0) & (draw() < 0.5)[:, None]
    pairs = same | across
    # closed: an atom without a bond outside its piece, all of whose other pairs are known to be empty
    outside = (to_square(~pairs & (batch.pairs > 0), n)).any(-1)
    shift = draw()
    closing = torch.where(shift < 1 / 3, 0.0, torch.where(shift < 2 / 3, 1.0, draw()))
    closed = (piece > 0) & ~outside & (draw(count, n) < closing[:, None])
    pairs = pairs | closed[:, first] | closed[:, second]
    return (piece > 0) | is_kind["atoms"][:, None], pairs, is_kind["atoms"]


def _grown(bonded: Tensor, taken: Tensor, size: Tensor, priority: Tensor) -> Tensor:
    """A connected piece of each graph of `size` nodes, grown breadth first outside `taken`, bool [b, n].

    bonded: bool [b, n, n]; taken: bool [b, n]; size: [b]; priority: distinct numbers in [0, 1), [b, n], which choose
    the first node and between nodes that were reached at the same time. Smaller where no more can be reached.
    """
    rows, n = torch.arange(len(bonded), device=bonded.device), bonded.shape[1]
    piece = torch.zeros_like(taken)
    age = torch.zeros_like(priority)
    for turn in range(n):
        reached = (bonded & piece[:, None, :]).any(-1) if turn else torch.ones_like(taken)
        reached &= ~piece & ~taken
        age = torch.where(reached, age + 1, age)  # those reached first come first
        best = torch.where(reached, age + priority, -1.0).argmax(1)
        more = reached.any(1) & (turn < size)
        if not more.any():
            break
        piece[rows, best] |= more
        if not turn:
            age.zero_()
    return piece


def _pruned(orders: Tensor, rounds: Tensor, double: Tensor) -> Tensor:
    """The nodes left after `rounds` [b] times taking away all end nodes, bool [b, n]; orders: int64 [b, n, n].

    With many rounds these are the rings and what links them. double: bool [b]; where it is true, what hangs on them by
    a double or triple bond is left too, as in the scaffolds of Bemis and Murcko as RDKit makes them.
    """
    left = torch.ones(orders.shape[:2], dtype=torch.bool, device=orders.device)
    for turn in range(orders.shape[1]):
        ends = ((orders > 0) & left[:, None, :]).sum(-1) <= 1
        going = ends & left & (turn < rounds)[:, None]
        if not going.any():
            break
        left = left & ~going
    return left | (((orders > 1) & left[:, None, :]).any(-1) & double[:, None])

"""Graphs, unfinished ones and conditions for the tests of EDGE."""

import torch

from molgen.models.conditions import Condition, draw_condition
from molgen.models.edge.process import NodePart, Partial, bonds_of
from molgen.molecules.graph import GraphBatch


def whole(batch: GraphBatch) -> Partial:
    return Partial(NodePart.of(batch), *bonds_of(batch))


def unfinished(size: int, bonds: list[tuple[int, int]], degree: list[int]) -> Partial:
    """One graph with single bonds, whose nodes should end with these degrees."""
    first, second = torch.tensor(bonds, dtype=torch.int64).reshape(-1, 2).unbind(1)
    part = NodePart(torch.zeros(1, size, dtype=torch.int64), torch.tensor([degree]), torch.tensor([degree]))
    return Partial(part, first, second, torch.ones_like(first))


def everything_but_targets(batch: GraphBatch, seed: int, targets: int = 0) -> Condition:
    nothing = torch.full((len(batch), targets), torch.nan)
    return draw_condition(
        batch, nothing, (), known_share=1.0, target_share=0.0, generator=torch.Generator().manual_seed(seed)
    )


def small_condition(classes: list[int | None], pairs: list[int | None]) -> Condition:
    """On one graph; None where nothing is known."""
    graph = GraphBatch(
        torch.tensor([[entry or 0 for entry in classes]]), torch.tensor([[entry or 0 for entry in pairs]])
    )
    known_nodes, known_pairs = (torch.tensor([[entry is not None for entry in row]]) for row in (classes, pairs))
    return Condition(graph, known_nodes, known_pairs, torch.zeros(1, 0))

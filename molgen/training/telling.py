"""What a model is told of its training molecules."""

import torch
from torch import Tensor

from molgen.models.base import Backend
from molgen.models.conditions import Condition, draw_condition
from molgen.molecules.graph import GraphBatch


def told(
    backend: Backend,
    batch: GraphBatch,
    targets: Tensor,
    known_share: float,
    target_share: float,
    generator: torch.Generator,
) -> Condition | None:
    """A random condition on the graphs; None if the model is told nothing."""
    if not backend.config.known_parts:
        known_share = 0.0
    if not known_share and not (target_share and targets.shape[1]):
        return None
    names = backend.targets
    return draw_condition(
        batch, targets, names, known_share=known_share, target_share=target_share, generator=generator
    )

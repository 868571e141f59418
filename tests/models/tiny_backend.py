"""A model family of its own: one class and one line in the registry. Run as a program, this is molgen with it:
`python -m tests.models.tiny_backend generate --model runs/tiny/model`.

It knows how often each atom class occurs and, for two atoms of given classes, how often each bond: enough to train,
draw, and be judged, not to draw good molecules.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from molgen.data.dataset import Statistics
from molgen.models.base import Backend, BackendConfig, Drawing
from molgen.models.conditions import Condition
from molgen.models.noise import sample_classes
from molgen.models.registry import BACKENDS
from molgen.molecules.graph import GraphBatch, pair_indices
from molgen.molecules.vocabulary import BOND_CLASSES, Vocabulary


@dataclass(frozen=True)
class TinyConfig(BackendConfig):
    """smoothing: how even the first guess of the bonds is."""

    known_parts: bool = field(default=False, kw_only=True)
    smoothing: float = 1.0


class Tiny(Backend):
    """p(graph) = product of p(atom) and of p(bond | its two atoms)."""

    Config: ClassVar[type[BackendConfig]] = TinyConfig
    requests: ClassVar[tuple[str, ...]] = ()
    atom_axes: ClassVar[dict[str, tuple[int, int, int]]] = {}
    samplers = ("at-once",)
    default_steps = 1
    config: TinyConfig

    def __init__(self, config: TinyConfig, vocabulary: Vocabulary, statistics: Statistics) -> None:
        super().__init__(config, vocabulary, statistics)
        atoms = len(vocabulary.atoms)
        self.node_logits = nn.Parameter(torch.zeros(atoms))
        self.pair_logits = nn.Parameter(torch.zeros(atoms, atoms, len(BOND_CLASSES)) / config.smoothing)

    def _log_likelihood(self, batch: GraphBatch) -> Tensor:
        nodes = self.node_logits.log_softmax(-1)[batch.nodes].sum(1)
        pairs = self._bonds(batch.nodes).gather(-1, batch.pairs[..., None])[..., 0].sum(1)
        return nodes + pairs

    def _bonds(self, nodes: Tensor) -> Tensor:
        first, second = pair_indices(nodes.shape[1])
        logits = self.pair_logits + self.pair_logits.transpose(0, 1)
        return logits[nodes[:, first], nodes[:, second]].log_softmax(-1)

    def _loss(self, batch: GraphBatch, generator: torch.Generator | None, condition: Condition | None) -> Tensor:
        return -self._log_likelihood(batch) / batch.size

    def _sample(self, size: int, count: int, drawing: Drawing) -> GraphBatch:
        nodes = sample_classes(self.node_logits.softmax(-1).expand(count, size, -1), drawing.generator)
        graphs = GraphBatch(nodes, sample_classes(self._bonds(nodes).exp(), drawing.generator))
        if drawing.callback is not None:
            drawing.callback(1, 1, lambda: graphs)
        return graphs

    def _bound_estimate(self, batch: GraphBatch, generator: torch.Generator | None) -> Callable[[Tensor], Tensor]:
        return lambda times: -self._log_likelihood(batch)


BACKENDS["tiny"] = Tiny

if __name__ == "__main__":
    from molgen.cli import main

    sys.argv[0] = "molgen"
    main()

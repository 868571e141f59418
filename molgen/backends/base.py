"""What every generative model offers, whatever its kind of diffusion."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from molgen.data import Statistics
from molgen.graph import GraphBatch
from molgen.vocabulary import Vocabulary

# called after each network evaluation with (evaluations done, evaluations in all, the graphs so far)
Callback = Callable[[int, int, GraphBatch], None]


class Bound(NamedTuple):
    """An upper bound on the negative log-likelihood of each graph, in nats, with its standard error; float [b]."""

    nats: Tensor
    standard_error: Tensor


class Backend(Protocol):
    """A torch module built from (config, vocabulary, statistics).

    samplers: the names that `sample` takes, the default first.
    """

    Config: ClassVar[type]
    samplers: ClassVar[tuple[str, ...]]
    default_steps: ClassVar[int]
    config: Any
    network: nn.Module

    def __init__(self, config: Any, vocabulary: Vocabulary, statistics: Statistics) -> None: ...

    def loss(self, batch: GraphBatch, generator: torch.Generator | None) -> Tensor:
        """Training loss of each graph, float [b]."""
        ...

    def sample(
        self,
        size: int,
        count: int,
        *,
        steps: int,
        sampler: str,
        generator: torch.Generator | None,
        callback: Callback | None = None,
    ) -> GraphBatch:
        """`count` new graphs of `size` nodes as class indices int64, with `steps` network evaluations."""
        ...

    def likelihood(self, batch: GraphBatch, *, draws: int, generator: torch.Generator | None) -> Bound:
        """Bound on -log p(graph | its size), from `draws` noise levels per graph."""
        ...

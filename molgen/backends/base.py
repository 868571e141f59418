"""What every generative model offers, whatever its kind of diffusion."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from molgen.data import Statistics
from molgen.errors import InputError
from molgen.graph import GraphBatch
from molgen.vocabulary import Vocabulary

if TYPE_CHECKING:
    from molgen.requests import Request

# called after each network evaluation with (evaluations done, evaluations in all, what makes the graphs so far)
Callback = Callable[[int, int, Callable[[], GraphBatch]], None]


class Bound(NamedTuple):
    """An upper bound on the negative log-likelihood of each graph, in nats, with its standard error; float [b]."""

    nats: Tensor
    standard_error: Tensor


def stratified_bound(term: Callable[[int], Tensor], draws: int) -> Bound:
    """A bound from one estimate of it, term(k) [b], in each of `draws` equal strata of time.

    Its error comes from the differences of neighbouring strata (Cochran 1977, section 5A.12), slightly too large.
    Raises InputError for a number of draws that is not even and at least 2.
    """
    if draws < 2 or draws % 2:
        raise InputError(f"the likelihood needs an even number of draws, at least 2, got {draws}")
    terms = torch.stack([term(stratum) for stratum in range(draws)])
    return Bound(terms.mean(0), (terms[0::2] - terms[1::2]).square().sum(0).sqrt() / draws)


def spread_uniforms(count: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Numbers in [0, 1), one in each of `count` equal strata, in random order, [count]: a batch covers all times."""
    source = device if generator is None else generator.device
    offset = torch.rand((), generator=generator, device=source)
    order = torch.randperm(count, generator=generator, device=source)
    return ((order + offset) / count).to(device)


def stratum_uniforms(
    count: int, stratum: int, strata: int, generator: torch.Generator | None, device: torch.device
) -> Tensor:
    """Numbers of one stratum, (stratum + u) / strata, [count]; rounding can make one as large as the stratum's end."""
    source = device if generator is None else generator.device
    uniform = torch.rand(count, generator=generator, device=source).to(device)
    return (stratum + uniform) / strata


class Backend(Protocol):
    """A torch module built from (config, vocabulary, statistics).

    samplers: the names that `sample` takes, the default first; requests: the kinds of request that it takes, of
    "formula" and "atoms". atom_axes: parameters with an axis that counts atom classes: their name -> (axis, how many
    times all classes follow each other at its beginning, entries for each class), so that the classes can grow.
    """

    Config: ClassVar[type]
    requests: ClassVar[tuple[str, ...]]
    atom_axes: ClassVar[dict[str, tuple[int, int, int]]]
    config: Any
    network: nn.Module

    @property
    def samplers(self) -> tuple[str, ...]: ...

    @property
    def default_steps(self) -> int: ...

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
        request: Request | None = None,
    ) -> GraphBatch:
        """`count` new graphs of `size` nodes as class indices int64, with `steps` network evaluations.

        request: the atoms that they should have, of a kind in `requests`.
        """
        ...

    def likelihood(self, batch: GraphBatch, *, draws: int, generator: torch.Generator | None) -> Bound:
        """Bound on -log p(graph | its size), from `draws` noise levels per graph."""
        ...

"""What every generative model offers, whatever its kind of diffusion."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from molgen.data.dataset import Statistics
from molgen.errors import InputError
from molgen.models.bond_totals import BondTotals
from molgen.models.conditions import HYDROGENS, Condition
from molgen.models.config import BackendConfig as BackendConfig
from molgen.models.drafts import Drafts
from molgen.models.noise import stratum_uniforms
from molgen.molecules.graph import GraphBatch
from molgen.molecules.vocabulary import AtomClass, Vocabulary
from molgen.progress import Progress, silent

if TYPE_CHECKING:
    from molgen.molecules.composition import Request

# called after each network evaluation with (evaluations done, evaluations in all, what makes the graphs so far)
Callback = Callable[[int, int, Callable[[], GraphBatch]], None]


class Bound(NamedTuple):
    """An upper bound on the negative log-likelihood of each graph, in nats, with its standard error; float [b]."""

    nats: Tensor
    standard_error: Tensor


def stratified_bound(term: Callable[[int], Tensor], draws: int) -> Bound:
    """A bound from one estimate of it, term(k) [b], in each of `draws` equal strata of time.

    Its error comes from the differences of neighbouring strata (Cochran 1977, section 5A.12), whose squares are right
    in the mean, or slightly too large. Where few strata make nearly all of the spread, the root of so few squares is
    too small in the mean, and is put right as that of a sample from a normal distribution is, for the number of strata
    that count (Satterthwaite 1946). What is left out: within a stratum the terms of a network have heavier tails, so
    that the mean error is 0.8 to 1.25 of the true spread, and twice the error is enough in 86 to 96 % of cases (the
    models of QM9, benchmarks/likelihood.py).
    Raises InputError for a number of draws that is not even and at least 2.
    """
    if draws < 2 or draws % 2:
        raise InputError(f"the likelihood needs an even number of draws, at least 2, got {draws}")
    terms = torch.stack([term(stratum) for stratum in range(draws)])
    squares = (terms[0::2] - terms[1::2]).double().square()
    total = squares.sum(0)
    freedom = total.square() / squares.square().sum(0)  # 1, where one pair makes all of it, to draws / 2
    error = total.sqrt() / draws / _mean_root(torch.where(total > 0, freedom, 1.0))
    return Bound(terms.mean(0), error.to(terms.dtype))


def _mean_root(freedom: Tensor) -> Tensor:
    """The mean standard deviation of a normal sample with so many degrees of freedom, where the true one is 1."""
    return (torch.lgamma((freedom + 1) / 2) - torch.lgamma(freedom / 2) + 0.5 * torch.log(2 / freedom)).exp()


class Backend(nn.Module, ABC):
    """A torch module built from (config, vocabulary, statistics).

    samplers: the names that `sample` takes, the default first; requests: the kinds of request that it takes, of
    "formula" and "atoms". atom_axes: parameters with an axis that counts atom classes: their name -> (axis, how many
    times all classes follow each other at its beginning, entries for each class), so that the classes can grow.
    known_axes: parameters whose axis 1 ends with inputs that tell what is known: a model that was not trained with
    known parts lacks them, and starts from zeros there when it learns about them.
    keeps_parts: whether what is known is put in place while graphs are drawn; if not, a graph may contradict it.
    core_with_formula: whether it can be told a part and a formula at once. starts: whether graphs can start from others
    instead of noise. chooses: whether graphs with faults are drawn again, by `Drafts`, with all samplers but those
    `as_published`; again: the noise that they then start from, see `Start`.
    target_module: the `TargetEncoding` through which it is told targets; in its state dict all names begin so.
    new_modules: beginnings of the names of other parts that the model it starts from may lack.
    adopts: the other families whose models it can start from, see `weights_of`, and which of their settings it takes.
    unlearned: settings of a training that the next one, from its weights, does not take over.
    max_steps: the most that `sample` takes. For a reader, in words: sampler_help, what each sampler does; forming, how
    a graph comes about.
    """

    Config: ClassVar[type[BackendConfig]]
    requests: ClassVar[tuple[str, ...]]
    atom_axes: ClassVar[dict[str, tuple[int, int, int]]]
    known_axes: ClassVar[tuple[str, ...]] = ()
    keeps_parts: ClassVar[bool] = True
    core_with_formula: ClassVar[bool] = True
    starts: bool = False
    chooses: bool = False
    as_published: ClassVar[tuple[str, ...]] = ()
    again: float = 0.5
    target_module: ClassVar[str] = "network.targets"
    new_modules: ClassVar[tuple[str, ...]] = ()
    adopts: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    unlearned: ClassVar[tuple[str, ...]] = ("known_rings",)
    sampler_help: ClassVar[Mapping[str, str]] = {}
    forming: ClassVar[str] = ""
    max_steps: int = 10_000
    config: BackendConfig
    network: nn.Module
    vocabulary: Vocabulary
    statistics: Statistics
    samplers: tuple[str, ...]
    default_steps: int

    def __init__(self, config: BackendConfig, vocabulary: Vocabulary, statistics: Statistics) -> None:
        super().__init__()
        self.config, self.vocabulary, self.statistics = config, vocabulary, statistics

    @property
    def device(self) -> torch.device:
        """Where the weights are; graphs and conditions may come from anywhere and are moved there."""
        return next(self.parameters()).device

    def loss(self, batch: GraphBatch, generator: torch.Generator | None, condition: Condition | None = None) -> Tensor:
        """Training loss of each graph, float [b]; of its entries that are not known, under the condition."""
        condition = None if condition is None else condition.to(self.device)
        return self._loss(batch.to(self.device), generator, condition)

    @abstractmethod
    def _loss(self, batch: GraphBatch, generator: torch.Generator | None, condition: Condition | None) -> Tensor: ...

    @torch.no_grad()
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
        condition: Condition | None = None,
        guidance: float = 0.0,
        start: Start | None = None,
        drafts: Drafts | None = None,
    ) -> GraphBatch:
        """`count` new graphs of `size` nodes as class indices int64, with `steps` network evaluations.

        request: the atoms that they should have, of a kind in `requests`. condition: what is known of each graph, and
        the properties that it should have. guidance: weight w of classifier-free guidance (Ho and Salimans 2022),
        log p(x | targets) + w (log p(x | targets) - log p(x)); above 0 each evaluation is two. start: graphs that
        are noised a part of the way, and denoised by as large a part of the steps, at least one. EDGE draws
        some graphs again, with further evaluations, of which the callback sees none. Models with `chooses` draw those
        with faults again, up to as many times as there are drafts; of that the callback hears, too, at the last step.
        Raises InputError for an unknown sampler, steps < 1, a guidance below 0 or one without targets, a condition on
        other graphs, and for what the model was not trained to be told.
        """
        if sampler not in self.samplers:
            raise InputError(f"unknown sampler {sampler!r}; choose from {', '.join(self.samplers)}")
        if steps < 1:
            raise InputError(f"steps should be at least 1, got {steps}")
        if not 0 <= guidance < float("inf"):
            raise InputError(f"guidance should be 0 or more, got {guidance}")
        if request is not None and not self.requests:
            raise InputError("this model takes no request for atoms: it settles them at the end")
        if condition is not None:
            self._check(condition, size, count)
            condition = condition.to(self.device)
        if guidance and not self._has_target(request, condition):
            raise InputError("guidance goes with targets, and none are given")
        if start is not None:
            start = self._checked_start(start, size, count)
        if sampler in self.as_published or not self.chooses:
            drafts = None
        drawing = Drawing(steps, sampler, generator, callback, request, condition, guidance, start, drafts)
        drawn = self._sample(size, count, drawing)
        return drawn if drafts is None else drafts.best(drawn, partial(self._again, drawing), condition)

    def _again(self, drawing: Drawing, graphs: GraphBatch, rows: Tensor) -> GraphBatch:
        """Some rows of the graphs drawn so far, again: from what they had started from, else from themselves.

        The callback goes on to see all graphs, at the last of the steps.
        """

        def again(_done: int, steps: int, made: Callable[[], GraphBatch]) -> None:
            assert drawing.callback is not None
            drawing.callback(steps, steps, lambda: graphs.put(rows, made()))

        start = drawing.start
        start = Start(graphs[rows], self.again) if start is None else start._replace(graph=start.graph[rows])
        condition = None if drawing.condition is None else drawing.condition[rows]
        callback = None if drawing.callback is None else again
        return self._sample(
            graphs.size, len(rows), drawing._replace(start=start, condition=condition, callback=callback)
        )

    def _checked_start(self, start: Start, size: int, count: int) -> Start:
        if not self.starts:
            raise InputError("this model cannot start from a molecule")
        if len(start.graph) != count or start.graph.size != size:
            raise InputError(f"{len(start.graph)} graphs of {start.graph.size} nodes cannot start {count} of {size}")
        if not 0 < start.noise <= 1:
            raise InputError(f"noise should be above 0 and at most 1, got {start.noise}")
        return start._replace(graph=start.graph.to(self.device))

    @abstractmethod
    def _sample(self, size: int, count: int, drawing: Drawing) -> GraphBatch: ...

    @torch.no_grad()
    def likelihood(self, batch: GraphBatch, *, draws: int, generator: torch.Generator | None) -> Bound:
        """Bound on -log p(graph | its size), from one noise level in each of `draws` equal strata of time.

        Raises InputError for a number of draws that is not even and at least 2.
        """
        estimate = self._bound_estimate(batch.to(self.device), generator)

        def of_stratum(stratum: int) -> Tensor:
            return estimate(stratum_uniforms(len(batch), stratum, draws, generator, self.device))

        return stratified_bound(of_stratum, draws)

    @abstractmethod
    def _bound_estimate(self, batch: GraphBatch, generator: torch.Generator | None) -> Callable[[Tensor], Tensor]:
        """What estimates the bound of each graph, float [b], from one time each, [b], uniform in [0, 1]."""

    def weights_of(self, other: Backend) -> Mapping[str, Tensor] | None:
        """The weights of a model to start from, in the names of this one's; None where it can take none over."""
        return dict(other.named_parameters()) if type(other) is type(self) else None

    def matrices(self) -> list[nn.Parameter]:
        """The weights that are trained as matrices (by Muon), in the order of `parameters()`; AdamW takes the others.

        Those inside modules called `blocks`, without the scales and shifts that follow a condition. Saved states of
        trainings number the weights of each optimiser: another choice makes old ones useless.
        """
        return [
            parameter
            for name, parameter in self.named_parameters()
            if ".blocks." in f".{name}" and parameter.ndim == 2 and "modulation" not in name
        ]

    def find_calibration(self, generator: torch.Generator | None, progress: Progress = silent) -> dict[str, Tensor]:
        """What `calibrate` takes, from a run of the model itself; empty for families that are not calibrated."""
        return {}

    def calibrate(self, shifts: Mapping[str, Tensor]) -> None:
        """Put the predictions right by what `find_calibration` found. Raises InputError for what it cannot use."""
        raise InputError("this family of models is not calibrated")

    @property
    def targets(self) -> tuple[str, ...]:
        """The properties that the model can be asked for, in the order of `Condition.targets`."""
        return tuple(target.name for target in self.statistics.targets)

    @property
    def is_published(self) -> bool:
        """Whether it draws as its authors have it, if nothing else is asked for."""
        return self.samplers[0] in self.as_published

    def _has_target(self, request: Request | None, condition: Condition | None) -> bool:
        asked = condition is not None and bool(condition.targets.isfinite().any())
        return asked or self.heard_hydrogens(request) is not None

    def heard_hydrogens(self, request: Request | None) -> int | None:
        """The hydrogens that a request asks for, where the model knows their number as a target; else None."""
        return request.hydrogens if request is not None and HYDROGENS in self.targets else None

    def told(self, request: Request | None, condition: Condition | None, count: int) -> Condition | None:
        """The request as a condition: its atoms are known, and its hydrogens a target where the model knows them.

        What the condition knows already, the same of every graph, counts among the atoms of the request. Raises
        InputError for known atoms that the request has not.
        """
        if request is None:
            return condition
        asked = condition
        if asked is None:
            asked = Condition.nothing(request.size, count, len(self.targets), self.device)
        known, left = asked.known_nodes[0].tolist(), request.classes(self.vocabulary)
        nodes = asked.graph.nodes[0].tolist()
        for node in (node for node, is_known in zip(nodes, known, strict=True) if is_known):
            uncharged = self.vocabulary.index[AtomClass(self.vocabulary.atoms[node].element, 0)]
            if uncharged not in left:
                raise InputError(f"{request.text} has fewer {self.vocabulary.atoms[node].element} than are known")
            left.remove(uncharged)
        rest = iter(left)
        filled = [node if is_known else next(rest) for node, is_known in zip(nodes, known, strict=True)]
        graph = GraphBatch(torch.tensor(filled, device=self.device).expand(count, -1), asked.graph.pairs)
        targets = asked.targets.clone()
        hydrogens = self.heard_hydrogens(request)
        if hydrogens is not None:
            targets[:, self.targets.index(HYDROGENS)] = hydrogens
        return Condition(graph, torch.ones_like(asked.known_nodes), asked.known_pairs, targets)

    def bond_totals(self, request: Request | None, told: Condition | None) -> BondTotals | None:
        """What the bonds of each graph must leave room for under the formula of a request; None where it is not known.

        told: the request as a condition; known atoms with charges, and elements with any valence, leave it open.
        """
        if request is None or request.hydrogens is None or told is None:
            return None
        atoms = [self.vocabulary.atoms[node] for node in told.graph.nodes[0].tolist()]
        of_element = request.valences
        valences = tuple(of_element[atom.element] for atom in atoms)
        if any(atom.charge for atom in atoms) or any(min(choices) < 0 for choices in valences):
            return None
        return BondTotals(valences, told.graph.pairs, told.known_pairs, request.hydrogens)

    def _check(self, condition: Condition, size: int, count: int) -> None:
        if len(condition) != count or condition.graph.size != size:
            raise InputError(
                f"the condition is on {len(condition)} graphs of {condition.graph.size} nodes, not on {count} of {size}"
            )
        if condition.targets.shape[1] != len(self.targets):
            raise InputError(f"the model has {len(self.targets)} targets, the condition {condition.targets.shape[1]}")
        known = bool(condition.known_nodes.any() or condition.known_pairs.any())
        if known and not self.config.known_parts:
            raise InputError("this model was not trained with known parts")


class LatentSpace(ABC):
    """What a backend also is if its graphs are points of a space; graphs may come from any device."""

    @abstractmethod
    def embed(self, batch: GraphBatch) -> Tensor:
        """A vector for each graph, float32 [b, width]."""

    @abstractmethod
    def interpolate(self, first: GraphBatch, second: GraphBatch, count: int) -> GraphBatch:
        """`count` graphs on the way from one graph to another of the same size, the ends included.

        Raises InputError for other than one graph each, or for sizes that differ.
        """


class Start(NamedTuple):
    """Graphs that drawing starts from instead of noise: `graph`, after `noise` of the way to it, in (0, 1]."""

    graph: GraphBatch
    noise: float

    def skipped(self, steps: int) -> int:
        """How many of the steps are left out: those on the way to `noise`, but never all."""
        return min(steps - 1, round(steps * (1 - self.noise)))


class Drawing(NamedTuple):
    """How graphs are drawn; see `Backend.sample`."""

    steps: int
    sampler: str
    generator: torch.Generator | None
    callback: Callback | None
    request: Request | None
    condition: Condition | None
    guidance: float
    start: Start | None = None
    drafts: Drafts | None = None

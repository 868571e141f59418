"""Predictions of DiGress shifted so that classes stay as frequent, over a run, as they are in the training data.

Where noisy graphs are those of the data, the mean of p(x0 = c | z_t) over them is the share of class c in the data, at
every level of noise. In a run it drifts from there in the middle, where molecules take shape: rare classes get rarer,
as halogens and double bonds do. A shift of log p for each class and level, the same for all entries, brings the mean
back, as far as the level UP_TO; later most is settled, and nothing should be pressed into what is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from molgen.errors import InputError
from molgen.models.digress.samplers import SAMPLERS, Step
from molgen.models.noise import sample_classes
from molgen.molecules.graph import GraphBatch, pair_count
from molgen.molecules.vocabulary import BOND_CLASSES
from molgen.progress import Progress, silent

if TYPE_CHECKING:
    from molgen.models.digress.model import DiGress

GRAPHS = 1_600  # that shifts are found with, or fewer where they have more than ENTRIES in all
ENTRIES = 500_000  # nodes and pairs
AT_ONCE = 20_000  # of these, in one batch
UP_TO = 0.93  # alpha-bar
MOST = 1.5  # of a shift, either way
ROUNDS = 30  # in which the shifts of a level are found


class Calibration(NamedTuple):
    """Shifts of log p by level. levels: alpha-bar, ascending, [k]; nodes: [k, a], pairs: [k, 4]; all float32."""

    levels: Tensor
    nodes: Tensor
    pairs: Tensor

    def checked(self, atoms: int) -> Calibration:
        """The same. Raises InputError for other shapes or types, levels out of order, and numbers out of bounds."""
        k = len(self.levels) if self.levels.ndim == 1 else 0
        shapes = {"levels": (k,), "nodes": (k, atoms), "pairs": (k, len(BOND_CLASSES))}
        for name, values in self._asdict().items():
            if not k or values.dtype != torch.float32 or tuple(values.shape) != shapes[name]:
                raise InputError(f"{name} of a calibration should be float32 {list(shapes[name])}, at least one level")
            if not bool((values.abs() <= MOST).all()):  # not of NaN either
                raise InputError(f"{name} of a calibration should be numbers from -{MOST} to {MOST}")
        if bool((self.levels[1:] <= self.levels[:-1]).any()):
            raise InputError("the levels of a calibration should rise")
        return self

    def shifted(self, log_nodes: Tensor, log_pairs: Tensor, alpha_bar: float) -> tuple[Tensor, Tensor]:
        """log p of the classes at a level, [b, n, a] and [b, p, 4]; above the last of the levels as it is."""
        if not alpha_bar <= float(self.levels[-1]):
            return log_nodes, log_pairs
        after = min(max(1, int(torch.searchsorted(self.levels, alpha_bar))), len(self.levels) - 1)
        before = max(0, after - 1)
        length = float(self.levels[after] - self.levels[before])
        share = min(1.0, max(0.0, (alpha_bar - float(self.levels[before])) / length)) if length else 0.0

        def of(shifts: Tensor, log_p: Tensor) -> Tensor:
            shift = torch.lerp(shifts[before], shifts[after], share)
            return (log_p + shift.to(log_p)).log_softmax(-1)

        return of(self.nodes, log_nodes), of(self.pairs, log_pairs)


@torch.no_grad()
def found(model: DiGress, generator: torch.Generator | None, progress: Progress = silent) -> Calibration:
    """Shifts for the default sampler and steps of a model, from a run with sizes as in its data."""
    move, levels = SAMPLERS[model.samplers[0]]
    alphas = levels(model.default_steps).tolist()
    atoms, bonds = model.network.atom_marginals, model.network.bond_marginals
    states = [
        GraphBatch(
            sample_classes(atoms.expand(many, size, -1), generator),
            sample_classes(bonds.expand(many, pair_count(size), -1), generator),
        )
        for size, many in _batches(model.statistics.sizes, generator)
    ]
    kept: list[tuple[float, Tensor, Tensor]] = []
    for done, (alpha_t, alpha_s) in enumerate(pairwise(alphas)):
        if alpha_t > UP_TO:
            break
        progress("calibrating", done, sum(alpha <= UP_TO for alpha in alphas))
        said = [model.network(state, atoms.new_full((len(state),), alpha_t)) for state in states]
        node_shift = shifts([log_nodes for log_nodes, _ in said], atoms)
        pair_shift = shifts([log_pairs for _, log_pairs in said], bonds)
        kept.append((alpha_t, node_shift, pair_shift))
        drawn = []
        for state, (log_nodes, log_pairs) in zip(states, said, strict=True):
            clean_nodes, clean_pairs = (log_nodes + node_shift).softmax(-1), (log_pairs + pair_shift).softmax(-1)
            nodes = move(state.nodes, clean_nodes, Step(alpha_t, alpha_s, atoms, generator))
            drawn.append(GraphBatch(nodes, move(state.pairs, clean_pairs, Step(alpha_t, alpha_s, bonds, generator))))
        states = drawn
    return Calibration(
        torch.tensor([alpha for alpha, _, _ in kept]),
        torch.stack([shift for _, shift, _ in kept]).cpu(),
        torch.stack([shift for _, _, shift in kept]).cpu(),
    )


def shifts(log_p: list[Tensor], shares: Tensor) -> Tensor:
    """What to add to log p of the classes, each [b, k, c], for the mean over all entries to be `shares` [c]; [c]."""
    shift = torch.zeros_like(shares)
    entries = sum(each.shape[0] * each.shape[1] for each in log_p)
    for _ in range(ROUNDS):
        mean = torch.stack([(each + shift).softmax(-1).sum((0, 1)) for each in log_p]).sum(0) / entries
        shift = shift + (shares.clamp(min=1e-9) / mean.clamp(min=1e-9)).log()
        shift = (shift - shift[0]).clamp(-MOST, MOST)
    return shift


def _batches(counts: Sequence[int], generator: torch.Generator | None) -> Iterator[tuple[int, int]]:
    """Sizes, distributed as in the training data, and how many graphs of each are one batch."""
    shares = torch.tensor(counts, dtype=torch.float64) / sum(counts)
    entries = torch.tensor([size + pair_count(size) for size in range(len(counts))])
    number = min(GRAPHS, max(1, int(ENTRIES / float((shares * entries).sum()))))
    sizes = torch.multinomial(shares, number, replacement=True, generator=generator)
    for size, many in enumerate(sizes.bincount().tolist()):
        most = max(1, AT_ONCE // max(1, int(entries[size])))
        for start in range(0, many, most):
            yield size, min(most, many - start)

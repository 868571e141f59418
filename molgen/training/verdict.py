"""What a data set suggests for a training: enough molecules or not, a model to start from, size, batch, epochs.

The numbers of molecules, epochs and batches are rules of thumb, from the trainings of the shipped models and of a few
sets of hundreds of molecules; nothing here is a measurement of how good a model will be.
"""

import json
from dataclasses import dataclass

import numpy as np

from molgen.data.dataset import GraphDataset
from molgen.models.checkpoints import list_models, load_checkpoint
from molgen.molecules.vocabulary import AtomClass

MANY = 200  # parameters for each training molecule
FITS = 0.5  # of the molecules that a model to start from should be able to hold
KEPT = 0.99  # of the molecules; the largest ones beyond are worth leaving out if they cost much
COSTLY = 0.05  # of the time
STEPS = 2_000  # that a training from random weights needs, at least
TUNING_STEPS = 400  # that one from a model's weights needs
TUNING_MOLECULES = 200  # that it needs: with fewer it learns them by heart


@dataclass(frozen=True)
class Start:
    """A shipped model to start from; held: share of the molecules whose atom types and size it knows."""

    name: str
    held: float


@dataclass(frozen=True)
class SizeCost:
    """Sizes above `largest`: their share of the molecules, and of the pairs of atoms, which the time goes into."""

    largest: int
    molecules: float
    cost: float


@dataclass(frozen=True)
class Verdict:
    """tuning: the training starts from a model's weights; enough: molecules for that; start: of the family's shipped
    models that which fits, if any; sizes: what leaving out the largest would save, None if nothing much.
    """

    tuning: bool
    enough: bool
    start: Start | None
    sizes: SizeCost | None
    epochs: int
    batch_size: int


def verdict(graphs: GraphDataset, family: str, parameters: int, *, tuning: bool) -> Verdict:
    """For training molecules and a model of a family, which starts from another one's weights if `tuning`."""
    count = len(graphs)
    enough = count >= TUNING_MOLECULES if tuning else parameters <= MANY * count
    start = None if tuning else fitting_model(graphs, family)
    batch = int(2 ** np.clip(np.round(np.log2(count / 20)), 4, 9))  # 16 to 512
    # a set that is too small is meant to start from a model, if there is one
    gentle = tuning or (start is not None and not enough)
    steps, least = (TUNING_STEPS, 10) if gentle else (STEPS, 40)
    epochs = max(least, round(steps * batch / count))
    return Verdict(tuning, enough, start, costly_sizes(graphs), epochs, batch)


def costly_sizes(graphs: GraphDataset) -> SizeCost | None:
    """The few largest molecules, if they cost much of the time; a molecule costs about its pairs of atoms."""
    sizes = np.array(sorted(graphs.by_size))
    counts = np.array([len(graphs.by_size[size]) for size in sizes.tolist()])
    costs = counts * sizes * (sizes + 1.0)
    below = np.cumsum(counts) / counts.sum()
    largest = int(np.argmax(below >= KEPT))
    share = float(costs[largest + 1 :].sum() / costs.sum())
    if share < COSTLY:
        return None
    return SizeCost(int(sizes[largest]), float(1 - below[largest]), share)


def fitting_model(graphs: GraphDataset, family: str) -> Start | None:
    """The shipped model of the family that holds most of the molecules, at least half; then the one nearest in size."""
    found: list[tuple[float, float, str]] = []
    for name, folder in list_models().items():
        if json.loads((folder / "card.json").read_text(encoding="utf-8")).get("backend") != family:
            continue
        model = load_checkpoint(name)
        frequencies = np.asarray(model.statistics.sizes, np.float64)
        held = _held(graphs, set(model.vocabulary.atoms), frequencies)
        found.append((-round(held, 2), -round(_overlap(graphs, frequencies / frequencies.sum()), 2), name))
    lacking, _, name = min(found, default=(0.0, 0.0, ""))
    return Start(name, -lacking) if -lacking >= FITS else None


def _held(graphs: GraphDataset, atoms: set[AtomClass], sizes: np.ndarray) -> float:
    known = np.array([atom in atoms for atom in graphs.vocabulary.atoms])
    held = 0
    for size, batch in graphs.by_size.items():
        if size < len(sizes) and sizes[size]:
            held += int(known[batch.nodes.cpu().numpy()].all(1).sum())
    return held / len(graphs)


def _overlap(graphs: GraphDataset, shares: np.ndarray) -> float:
    """What the distribution of sizes has in common with that of a model."""
    own = {size: len(batch) / len(graphs) for size, batch in graphs.by_size.items()}
    return sum(min(share, float(shares[size])) for size, share in own.items() if size < len(shares))

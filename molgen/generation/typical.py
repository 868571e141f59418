"""How typical a molecule's bound on -log p is: its place among training molecules of the same size.

A bound is that of a graph whose atoms have numbers, and grows with their number: those of molecules of different sizes
cannot be compared, while their places can.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rdkit import Chem

from molgen.data.prepared import PreparedSet, cache_folder, open_prepared
from molgen.errors import InputError
from molgen.evaluation.draws import sample
from molgen.files import atomic_write
from molgen.generation.likelihood import LIKELIHOOD_DRAWS, canonical_graph
from molgen.generation.streams import torch_generator
from molgen.models.checkpoints import Model, load_checkpoint, write_bounds
from molgen.molecules.graph import GraphBatch
from molgen.molecules.hashing import contains, smiles_hashes
from molgen.progress import Progress, silent

SAMPLE = 100  # training molecules of a size that a molecule is compared with, or all where there are fewer
FEWEST = 20  # of fewer there are no percentiles
AT_ONCE = 20  # molecules whose bounds are computed together
COLUMN = "nll_percentile"


class TypicalBounds:
    """The bounds of training molecules by size: those that the model brings along, or else computed when first asked
    for and kept in molgen's cache folder."""

    def __init__(self, model: Model) -> None:
        self.model = model
        data = model.card.get("data")
        self.name = str(data["set"]) if isinstance(data, dict) and "set" in data else ""
        self._of_size: dict[int, np.ndarray] = {}

    @property
    def source(self) -> str:
        """What a molecule is compared with, or why with nothing, in words."""
        if not self.model.bounds and not any(map(len, self._of_size.values())) and self.training is None:
            return f"nothing: the training set of {self.model.name} ({self.name or 'unknown'}) is not in the cache here"
        return f"up to {SAMPLE} training molecules of {self.name} of the same size; empty where they are below {FEWEST}"

    @cached_property
    def training(self) -> PreparedSet | None:
        """The prepared set that the model was trained on, where it is in the cache: no data set is fetched for this."""
        for path in sorted(cache_folder().glob("*/meta.json")):
            with suppress(InputError, KeyError, TypeError):  # of another version, or damaged
                prepared = open_prepared(path.parent)
                if prepared.name == self.name:
                    hashes = smiles_hashes(sample(prepared.smiles("train"), SAMPLE))
                    if contains(self.model.known, hashes).all():
                        return prepared
        return None

    def of_size(self, size: int) -> np.ndarray:
        """Bounds in nats of up to SAMPLE training molecules of `size` heavy atoms, ascending, float [k], k 0 or more.

        The draw and its noise are the same every time.
        """
        if size in self.model.bounds:
            return self.model.bounds[size]
        if size not in self._of_size:
            path = cache_folder() / "bounds" / f"{self.model.weights_sha256[:16]}-{LIKELIHOOD_DRAWS}-{size}.npy"
            kept = np.zeros(0)
            with suppress(OSError, ValueError, EOFError):  # not made yet, or damaged
                kept = np.load(path, allow_pickle=False)
            if not (kept.ndim == 1 and kept.dtype == np.float64 and len(kept) and not np.isnan(kept).any()):
                kept = np.zeros(0) if self.training is None else training_bounds(self.model, self.training, size)
                if len(kept):
                    with suppress(OSError):
                        path.parent.mkdir(parents=True, exist_ok=True)
                        with atomic_write(path, "wb") as file:
                            np.save(file, kept)
            self._of_size[size] = kept
        return self._of_size[size]

    def percentile(self, size: int, nats: float) -> float:
        """Percentage of the training molecules of `size` heavy atoms whose bound is below `nats`; 0 is most typical.

        NaN where there is nothing to compare with: fewer than FEWEST such molecules, or a training set that is not at
        hand.
        """
        bounds = self.of_size(size)
        if len(bounds) < FEWEST or math.isnan(nats):
            return math.nan
        return 100 * float(np.searchsorted(bounds, nats)) / len(bounds)

    def added(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Rows of a run with the percentile of each valid molecule as their last column."""
        places = [
            math.nan if math.isnan(nats) else self.percentile(_size(smiles), nats)
            for smiles, nats in zip(rows["smiles"], rows["nll"].astype(float), strict=True)
        ]
        return rows.assign(**{COLUMN: np.round(np.array(places, float), 1)})


def training_bounds(model: Model, training: PreparedSet, size: int) -> np.ndarray:
    """Bounds in nats of up to SAMPLE training molecules of `size` heavy atoms, ascending, float64 [k]."""
    sizes = training.statistics.sizes
    first = sum(sizes[:size])  # molecules are in the order of their sizes
    there = training.smiles("train")[first : first + sum(sizes[size : size + 1])]
    graphs = []
    for text in sample(there, SAMPLE):
        with suppress(InputError):  # an atom class that this model lacks
            graphs.append(canonical_graph(model, text))
    noise = torch_generator(0, size, "likelihood")
    bounds = []
    for start in range(0, len(graphs), AT_ONCE):
        part = graphs[start : start + AT_ONCE]
        batch = GraphBatch(torch.cat([each.nodes for each in part]), torch.cat([each.pairs for each in part]))
        bounds.append(model.backend.likelihood(batch, draws=LIKELIHOOD_DRAWS, generator=noise).nats.cpu())
    return np.sort(torch.cat(bounds).double().numpy()) if bounds else np.zeros(0)


def keep_bounds(folder: Path, training: PreparedSet, progress: Progress = silent) -> None:
    """Put the bounds of training molecules of all sizes that have FEWEST or more into a checkpoint folder."""
    model = load_checkpoint(str(folder))
    sizes = [size for size, count in enumerate(model.statistics.sizes) if count >= FEWEST]
    bounds = {}
    for done, size in enumerate(sizes):
        progress("likelihood of training molecules", done, len(sizes))
        row = training_bounds(model, training, size)
        if len(row) >= FEWEST and np.isfinite(row).all():
            bounds[size] = row
    write_bounds(folder, bounds)


def percentiles(typical: TypicalBounds, smiles: Sequence[str], progress: Progress = silent) -> list[float]:
    """The percentile of the bound of each molecule; NaN of one that the model cannot hold.

    Molecules of one size are computed together, with the same noise every time. progress: of the molecules; the first
    of a size take longest, where the bounds of its training molecules are not in the cache yet.
    """
    places = [math.nan] * len(smiles)
    graphs: dict[int, list[tuple[int, GraphBatch]]] = {}
    for position, text in enumerate(smiles):
        with suppress(InputError):
            graph = canonical_graph(typical.model, text)
            graphs.setdefault(graph.size, []).append((position, graph))
    done = 0
    for size, there in graphs.items():
        progress("comparing with training molecules", done, len(smiles))
        done += len(there)
        if not len(typical.of_size(size)):
            continue
        noise = torch_generator(0, size, "likelihood")
        for start in range(0, len(there), AT_ONCE):
            part = there[start : start + AT_ONCE]
            batch = GraphBatch(*(torch.cat([getattr(graph, name) for _, graph in part]) for name in ("nodes", "pairs")))
            bounds = typical.model.backend.likelihood(batch, draws=LIKELIHOOD_DRAWS, generator=noise).nats
            for (position, _), nats in zip(part, bounds.tolist(), strict=True):
                places[position] = typical.percentile(size, nats)
    return places


def _size(smiles: str) -> int:
    """Heavy atoms of a canonical SMILES."""
    return int(Chem.MolFromSmiles(smiles, sanitize=False).GetNumAtoms())

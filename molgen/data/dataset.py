"""Prepared data sets: graphs grouped by size, what is measured from them, and the order of training batches."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from molgen.errors import InputError
from molgen.files import check_regular
from molgen.molecules.graph import GraphBatch, pair_count
from molgen.molecules.vocabulary import BOND_CLASSES, Vocabulary

MAX_ENTRIES = 400_000  # of a training batch: some 3 GB for the usual network; graphs of up to 38 nodes never reach it
MAX_JSON = 2**24  # bytes; a model or a prepared set has some 10,000

JsonObject = dict[str, Any]  # as a file holds it, unchecked


class TargetStatistics(NamedTuple):
    """A property of the training molecules, in its unit: mean, standard deviation, and the range of most of them."""

    name: str
    mean: float
    deviation: float
    low: float  # 5 %
    high: float  # 95 %


class SizeModel(NamedTuple):
    """How properties go with the number of nodes: their means at each size, and their covariance within a size.

    means: k standardised values for each size from 0, of the nearest size where none was seen; covariance: k rows of k.
    """

    means: tuple[tuple[float, ...], ...]
    covariance: tuple[tuple[float, ...], ...]

    def log_density(self, values: np.ndarray) -> np.ndarray:
        """log p(values | n) for every size, up to a constant, float64 [sizes]; values: standardised [k], NaN: any."""
        asked = np.flatnonzero(np.isfinite(values))
        means = np.array(self.means)
        if not len(asked):
            return np.zeros(len(means))
        off = values[asked] - means[:, asked]
        precision = np.linalg.inv(np.array(self.covariance)[np.ix_(asked, asked)])
        density: np.ndarray = -0.5 * np.einsum("ni,ij,nj->n", off, precision, off)
        return density


class StatisticsRecord(TypedDict):
    """`Statistics` in JSON."""

    sizes: list[int]
    atoms: list[float]
    bonds: list[float]
    targets: NotRequired[list[list[str | float]]]
    target_sizes: NotRequired[list[list[list[float]]]]


@dataclass(frozen=True)
class Statistics:
    """What a backend needs to know of its training data.

    sizes: number of graphs with n nodes, at index n.
    atoms: share of each atom class among all nodes, [a].
    bonds: share of each bond class among all pairs, [4].
    targets: the properties that its molecules can be told by; none in models that are told nothing; target_sizes: how
    they go with the size.
    """

    sizes: tuple[int, ...]
    atoms: tuple[float, ...]
    bonds: tuple[float, ...]
    targets: tuple[TargetStatistics, ...] = ()
    target_sizes: SizeModel | None = None

    def size_weights(self, targets: Mapping[str, float]) -> np.ndarray:
        """p(n | targets) for every size from 0, by Bayes' rule, float64 [sizes].

        targets: values of some of the properties, in their units. Raises InputError for one that is not known.
        """
        names = [target.name for target in self.targets]
        values = np.full(len(names), np.nan)
        for name, value in targets.items():
            if name not in names:
                raise InputError(f"unknown target {name!r}; this model knows {', '.join(names) or 'none'}")
            target = self.targets[names.index(name)]
            values[names.index(name)] = (value - target.mean) / target.deviation
        weights: np.ndarray = np.array(self.sizes, np.float64)
        if self.target_sizes is not None:
            log_weights = self.target_sizes.log_density(values)
            weights = weights * np.exp(log_weights - log_weights[weights > 0].max())
        weights /= weights.sum()
        return weights

    def to_json(self) -> StatisticsRecord:
        """A dictionary of plain lists."""
        record: StatisticsRecord = {
            "sizes": list(self.sizes),
            "atoms": list(self.atoms),
            "bonds": list(self.bonds),
        }
        if self.targets:
            record["targets"] = [list(target) for target in self.targets]
        if self.target_sizes:
            record["target_sizes"] = [[list(row) for row in table] for table in self.target_sizes]
        return record

    @classmethod
    def from_json(cls, record: StatisticsRecord) -> "Statistics":
        """The statistics written by `to_json`."""
        return cls(
            tuple(int(count) for count in record["sizes"]),
            tuple(float(share) for share in record["atoms"]),
            tuple(float(share) for share in record["bonds"]),
            tuple(TargetStatistics(str(name), *map(float, rest)) for name, *rest in record.get("targets", ())),
            SizeModel(*(tuple(tuple(map(float, row)) for row in table) for table in record["target_sizes"]))
            if "target_sizes" in record
            else None,
        )


def told_statistics(statistics: Statistics, graphs: "GraphDataset", names: Sequence[str]) -> Statistics:
    """The statistics with those of the properties `names` of the graphs, `graphs.targets`, added.

    A property that no graph has, or that is the same for all, is left out.
    """
    sizes = sorted(graphs.targets)
    values = np.concatenate([graphs.targets[size].numpy() for size in sizes]).astype(np.float64)
    node_counts = np.repeat(sizes, [len(graphs.targets[size]) for size in sizes])
    found = []
    for name, column in zip(names, values.T, strict=True):
        column = column[np.isfinite(column)]
        if len(column) and column.std() > 0:
            low, high = np.quantile(column, [0.05, 0.95])
            numbers = (float(f"{number:.6g}") for number in (column.mean(), column.std(), low, high))
            found.append(TargetStatistics(name, *numbers))
    if not found:
        return statistics
    columns = [list(names).index(target.name) for target in found]
    scaled = (values[:, columns] - [target.mean for target in found]) / [target.deviation for target in found]
    return replace(
        statistics, targets=tuple(found), target_sizes=_size_model(scaled, node_counts, len(statistics.sizes))
    )


def _size_model(values: np.ndarray, node_counts: np.ndarray, sizes: int) -> SizeModel:
    """The model of standardised values [molecules, k] of graphs of node_counts [molecules]."""
    # a value that is missing is taken as the mean, which blurs what it says
    values = np.nan_to_num(values)
    seen = np.unique(node_counts)
    by_size = {size: values[node_counts == size].mean(0) for size in seen.tolist()}
    means = [by_size[min(seen.tolist(), key=lambda size: abs(size - n))] for n in range(sizes)]
    within = values - np.array(means)[node_counts]
    covariance = within.T @ within / len(within) + 1e-3 * np.eye(values.shape[1])

    def rounded(table: Sequence[np.ndarray] | np.ndarray) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(float(f"{number:.5g}") for number in row) for row in table)

    return SizeModel(rounded(means), rounded(covariance))


@dataclass(frozen=True)
class GraphDataset:
    """Graphs of many sizes: by_size[n] holds all graphs of n nodes, as uint8.

    targets: for each size the properties of its graphs, float32 [b, k], NaN where a graph has none; or nothing at all.
    """

    vocabulary: Vocabulary
    by_size: dict[int, GraphBatch]
    targets: dict[int, torch.Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(batch) for batch in self.by_size.values())

    def to(self, device: torch.device | str) -> "GraphDataset":
        """The same data set on another device."""
        return GraphDataset(
            self.vocabulary,
            {size: batch.to(device) for size, batch in self.by_size.items()},
            {size: values.to(device) for size, values in self.targets.items()},
        )

    def with_targets(self, values: np.ndarray) -> "GraphDataset":
        """The same set with properties, float [graphs, k], in the order of the graphs: by size, ascending."""
        if len(values) != len(self):
            raise InputError(f"there are {len(self)} graphs, and properties of {len(values)}")
        counts = [len(self.by_size[size]) for size in sorted(self.by_size)]
        parts = torch.split(torch.from_numpy(np.asarray(values, np.float32)), counts)
        return GraphDataset(self.vocabulary, self.by_size, dict(zip(sorted(self.by_size), parts, strict=True)))

    def statistics(self) -> Statistics:
        """Size histogram and class shares, counted over the whole set."""
        atoms = torch.zeros(len(self.vocabulary.atoms), dtype=torch.int64)
        bonds = torch.zeros(len(BOND_CLASSES), dtype=torch.int64)
        sizes = [0] * (max(self.by_size) + 1)
        for size, batch in self.by_size.items():
            sizes[size] = len(batch)
            atoms += torch.bincount(batch.nodes.flatten(), minlength=len(atoms))
            bonds += torch.bincount(batch.pairs.flatten(), minlength=len(bonds))
        return Statistics(
            tuple(sizes),
            tuple((atoms / atoms.sum()).tolist()),
            tuple((bonds / bonds.sum().clamp(min=1)).tolist()),
        )

    def epoch(self, batch_size: int, seed: int, epoch: int) -> list[tuple[int, np.ndarray]]:
        """The batches of one pass over the data, as (size, row numbers), shuffled by (seed, epoch) alone.

        Every graph is in exactly one batch; the last batch of a size may be short, and batches of large graphs
        have fewer than batch_size, so that no step needs more memory than MAX_ENTRIES nodes and pairs do.
        """
        random = np.random.default_rng([seed, epoch])
        batches = []
        for size in sorted(self.by_size):
            rows = random.permutation(len(self.by_size[size]))
            count = max(1, min(batch_size, MAX_ENTRIES // (size + pair_count(size))))
            batches += [(size, rows[start : start + count]) for start in range(0, len(rows), count)]
        return [batches[position] for position in random.permutation(len(batches))]

    def tensors(self) -> dict[str, torch.Tensor]:
        """Named tensors to be saved: nodes.9 and pairs.9 for the graphs of 9 nodes, and so on."""
        named = {}
        for size, batch in self.by_size.items():
            named[f"nodes.{size}"] = batch.nodes.contiguous()
            named[f"pairs.{size}"] = batch.pairs.contiguous()
        return named

    @classmethod
    def load(cls, path: Path, vocabulary: Vocabulary) -> "GraphDataset":
        """The set saved as `tensors`. Raises InputError for a file that is not such a set."""
        try:
            named = load_file(path)
            sizes = sorted(int(name.split(".")[1]) for name in named if name.startswith("nodes."))
            return cls(
                vocabulary,
                {size: GraphBatch(named[f"nodes.{size}"], named[f"pairs.{size}"]) for size in sizes},
            )
        except (SafetensorError, OSError, KeyError, ValueError, IndexError) as error:
            raise InputError(f"{path} is not a prepared data set ({error})") from None


def group_by_size(vocabulary: Vocabulary, graphs: Iterator[tuple[np.ndarray, np.ndarray]]) -> GraphDataset:
    """A data set from (nodes, pairs) arrays, in order within each size."""
    nodes: dict[int, list[np.ndarray]] = {}
    pairs: dict[int, list[np.ndarray]] = {}
    for graph_nodes, graph_pairs in graphs:
        nodes.setdefault(len(graph_nodes), []).append(graph_nodes)
        pairs.setdefault(len(graph_nodes), []).append(graph_pairs)
    by_size = {}
    for size in sorted(nodes):
        by_size[size] = GraphBatch(torch.from_numpy(np.stack(nodes[size])), torch.from_numpy(np.stack(pairs[size])))
    return GraphDataset(vocabulary, by_size)


def read_json(path: Path) -> JsonObject:
    """A JSON object from a file. Raises InputError when it is none, not a regular file, or above MAX_JSON bytes."""
    try:
        check_regular(path, MAX_JSON)
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error})") from None
    if not isinstance(record, dict):
        raise InputError(f"{path} should hold a JSON object, got {type(record).__name__}")
    return record

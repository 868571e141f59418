"""Prepared data sets: graphs grouped by size, what is measured from them, and the order of training batches."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from molgen.errors import InputError
from molgen.graph import GraphBatch, pair_count
from molgen.vocabulary import BOND_CLASSES, Vocabulary

MAX_ENTRIES = 400_000  # of a training batch: some 3 GB for the usual network; graphs of up to 38 nodes never reach it


@dataclass(frozen=True)
class Statistics:
    """What a backend needs to know of its training data.

    sizes: number of graphs with n nodes, at index n.
    atoms: share of each atom class among all nodes, [a].
    bonds: share of each bond class among all pairs, [4].
    """

    sizes: tuple[int, ...]
    atoms: tuple[float, ...]
    bonds: tuple[float, ...]

    def to_json(self) -> dict:
        """A dictionary of plain lists."""
        return {"sizes": list(self.sizes), "atoms": list(self.atoms), "bonds": list(self.bonds)}

    @classmethod
    def from_json(cls, record: dict) -> "Statistics":
        """The statistics written by `to_json`."""
        return cls(
            tuple(int(count) for count in record["sizes"]),
            tuple(float(share) for share in record["atoms"]),
            tuple(float(share) for share in record["bonds"]),
        )


@dataclass(frozen=True)
class GraphDataset:
    """Graphs of many sizes: by_size[n] holds all graphs of n nodes, as uint8."""

    vocabulary: Vocabulary
    by_size: dict[int, GraphBatch]

    def __len__(self) -> int:
        return sum(len(batch) for batch in self.by_size.values())

    def to(self, device: torch.device | str) -> "GraphDataset":
        """The same data set on another device."""
        return GraphDataset(self.vocabulary, {size: batch.to(device) for size, batch in self.by_size.items()})

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

        Every graph stands in exactly one batch; the last batch of a size may be short, and batches of large graphs
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


def read_json(path: Path) -> dict:
    """A JSON object from a file. Raises InputError when it is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error})") from None
    if not isinstance(record, dict):
        raise InputError(f"{path} should hold a JSON object, got {type(record).__name__}")
    return record

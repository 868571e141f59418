"""Typed molecular graphs as tensors of class indices.

A molecule of n heavy atoms has n node classes and p = n(n-1)/2 pair classes. Pairs are stored once,
as the upper triangle in row-major order: (0,1), (0,2), ..., (0,n-1), (1,2), ... Every batch holds
graphs of one size, so nothing is padded.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from molgen.errors import InputError


def pair_count(size: int) -> int:
    """Number of unordered pairs among `size` nodes."""
    return size * (size - 1) // 2


@cache
def pair_indices(size: int) -> tuple[Tensor, Tensor]:
    """First and second node of every pair, int64 [p] each."""
    rows, columns = torch.triu_indices(size, size, offset=1)
    return rows, columns


@cache
def square_indices(size: int) -> Tensor:
    """Position of pair (i, j) in the upper triangle, int64 [n, n]; the diagonal holds p, one past the end."""
    rows, columns = pair_indices(size)
    index = torch.full((size, size), pair_count(size))
    index[rows, columns] = index[columns, rows] = torch.arange(pair_count(size))
    return index


@cache
def incidence(size: int) -> Tensor:
    """Float [n, p], 1 where a node belongs to a pair: sums pairs into nodes; transposed, adds up a pair's two nodes."""
    rows, columns = pair_indices(size)
    nodes = torch.arange(size)[:, None]
    return ((rows == nodes) | (columns == nodes)).float()


@dataclass(frozen=True)
class GraphBatch:
    """Graphs of one size.

    nodes: integer [b, n], atom class of each node.
    pairs: integer [b, n(n-1)/2], bond class of each pair.
    Raises InputError when the shapes do not fit together.
    """

    nodes: Tensor
    pairs: Tensor

    def __post_init__(self) -> None:
        expected = (self.nodes.shape[0], pair_count(self.nodes.shape[1]))
        if tuple(self.pairs.shape) != expected:
            raise InputError(f"pairs should have shape {list(expected)}, got {list(self.pairs.shape)}")

    def __len__(self) -> int:
        return self.nodes.shape[0]

    @property
    def size(self) -> int:
        """Number of nodes n of every graph."""
        return self.nodes.shape[1]

    def to(self, *targets: torch.device | torch.dtype | str) -> "GraphBatch":
        """The same batch on another device, in another dtype, or both."""
        nodes, pairs = self.nodes, self.pairs
        for target in targets:
            nodes, pairs = nodes.to(target), pairs.to(target)
        return GraphBatch(nodes, pairs)

    def __getitem__(self, rows: Tensor | slice) -> "GraphBatch":
        return GraphBatch(self.nodes[rows], self.pairs[rows])

    def put(self, rows: Tensor, others: "GraphBatch") -> "GraphBatch":
        """The same graphs with others, in order, in the place of some rows, int64 [r]."""
        return GraphBatch(self.nodes.index_copy(0, rows, others.nodes), self.pairs.index_copy(0, rows, others.pairs))

    def bonds(self) -> Tensor:
        """The symmetric bond matrices, [b, n, n], diagonal 0."""
        return to_square(self.pairs, self.size)

    def permute(self, order: Tensor) -> "GraphBatch":
        """The same graphs with node k of the result being node order[k]; order: int64 [n]."""
        return GraphBatch(self.nodes[:, order], from_square(self.bonds()[:, order][:, :, order]))


def to_square(pairs: Tensor, size: int) -> Tensor:
    """[b, p, ...] -> symmetric [b, n, n, ...] with a zero diagonal."""
    padded = torch.cat([pairs, pairs.new_zeros(pairs.shape[0], 1, *pairs.shape[2:])], dim=1)
    index = square_indices(size).to(pairs.device)
    return padded.index_select(1, index.flatten()).reshape(pairs.shape[0], size, size, *pairs.shape[2:])


def square(nodes: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The symmetric bond matrix of one graph of NumPy arrays, int64 [n, n], diagonal 0."""
    first, second = (index.numpy() for index in pair_indices(len(nodes)))
    bonds = np.zeros((len(nodes), len(nodes)), np.int64)
    bonds[first, second] = bonds[second, first] = pairs
    return bonds


def from_square(matrix: Tensor) -> Tensor:
    """[b, n, n, ...] -> upper triangle [b, p, ...]."""
    rows, columns = pair_indices(matrix.shape[1])
    return matrix[:, rows, columns]

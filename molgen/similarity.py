"""Tanimoto similarities between large sets of packed fingerprints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # a worker that only draws or measures should not load it
    import torch

ROWS, COLUMNS = 2_000, 500  # a block that stays in the processor's cache is several times as fast as a large one
EXACT = 256  # whole numbers up to this are exact in bfloat16


def tanimoto_blocks(ours: np.ndarray, theirs: np.ndarray) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """Rows of ours, rows of theirs, and their Tanimoto similarities, float32 [rows, columns], block by block.

    ours uint8 [k, bytes], theirs [m, bytes]: packed, least significant bit first. Two without any bit have 1.
    """
    import torch

    from molgen.precision import network_dtype

    columns = [slice(start, start + COLUMNS) for start in range(0, len(theirs), COLUMNS)]
    for start in range(0, len(ours), ROWS):
        rows = slice(start, start + ROWS)
        counts = torch.from_numpy(_counts(ours[rows]))[:, None]
        # sums are made in float32; only as a result would a large number of common bits be rounded
        dtype = network_dtype("cpu") if counts.max() <= EXACT else torch.float32
        left = _bits(ours[rows], dtype)
        for part in columns:
            common = (left @ _bits(theirs[part], dtype).T).float()
            either = (counts + torch.from_numpy(_counts(theirs[part]))).sub_(common)
            yield rows, part, common.div_(either).nan_to_num_(nan=1.0)


def nearest_of(packed: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each fingerprint uint8 [k, 256] the position of the most similar of others [m, 256], and its Tanimoto [k]."""
    import torch

    best, where = torch.full((len(packed),), -1.0), torch.zeros(len(packed), dtype=torch.int64)
    for rows, columns, similarity in tanimoto_blocks(packed, others):
        highest, position = similarity.max(1)
        better = highest > best[rows]
        best[rows] = torch.where(better, highest, best[rows])
        where[rows] = torch.where(better, position + columns.start, where[rows])
    return where.numpy(), best.numpy()


def _counts(packed: np.ndarray) -> np.ndarray:
    return np.bitwise_count(packed).sum(1, dtype=np.float32)


def _bits(packed: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.unpackbits(packed, axis=1, bitorder="little")).to(dtype)

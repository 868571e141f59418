"""64-bit hashes of canonical SMILES: a training set small enough to travel with a checkpoint, for novelty."""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np


def smiles_hashes(smiles: Iterable[str]) -> np.ndarray:
    """The 8 bytes of BLAKE2b of each canonical SMILES, read little endian; uint64 [k], in the order given.

    Two of a million molecules share a hash with a chance of about 3 in 100 million.
    """
    digests = b"".join(blake2b(text.encode("utf-8"), digest_size=8).digest() for text in smiles)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def contains(sorted_hashes: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Whether each of `hashes` uint64 [k] is among `sorted_hashes` uint64 [m], ascending; bool [k]."""
    if len(sorted_hashes) == 0:
        return np.zeros(len(hashes), dtype=bool)
    positions = np.searchsorted(sorted_hashes, hashes).clip(max=len(sorted_hashes) - 1)
    found: np.ndarray = sorted_hashes[positions] == hashes
    return found


class DistinctMolecules:
    """The molecules seen so far, as sorted 64-bit hashes: 8 bytes each, so that a run of millions stays small.

    They are kept in runs of falling length, of which each is at least twice as long as the next: what comes is merged
    with the shorter ones, so that n molecules cost n log n steps, however few come at a time.
    """

    def __init__(self) -> None:
        self.runs: list[np.ndarray] = []

    @property
    def hashes(self) -> np.ndarray:
        """All of them, ascending, uint64 [n]."""
        return np.sort(np.concatenate([np.empty(0, np.uint64), *self.runs]))

    def __len__(self) -> int:
        return sum(map(len, self.runs))

    def add(self, smiles: list[str]) -> np.ndarray:
        """Take in canonical SMILES; bool [m], true at the first appearance of each new one."""
        new, first = np.unique(smiles_hashes(smiles), return_index=True)
        for run in self.runs:
            unseen = ~contains(run, new)
            new, first = new[unseen], first[unseen]
        merged = new
        while self.runs and len(self.runs[-1]) < 2 * len(merged):
            merged = np.sort(np.concatenate([self.runs.pop(), merged]), kind="stable")  # fast where both are sorted
        if len(merged):
            self.runs.append(merged)
        appears = np.zeros(len(smiles), bool)
        appears[first] = True
        return appears

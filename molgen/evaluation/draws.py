"""Random draws of molecules that are the same every time."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


def sample(smiles: Sequence[str], count: int) -> list[str]:
    """`count` of the molecules in a random order that is always the same (all of them, where they are fewer)."""
    order = np.random.default_rng(0).permutation(len(smiles))
    return [smiles[position] for position in order[:count]]


class EvenDraw(Generic[T]):
    """`size` of the items it is given, or all of fewer, each as likely as any other; in order, the same every time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.items: list[T] = []
        self._places = np.zeros(0)
        self._random = np.random.default_rng(0)

    def add(self, items: Sequence[T]) -> None:
        """Draw from these too."""
        self.items += items
        self._places = np.concatenate([self._places, self._random.random(len(items))])
        if len(self.items) > self.size:
            kept = np.sort(np.argpartition(self._places, self.size)[: self.size])
            self.items = [self.items[k] for k in kept]
            self._places = self._places[kept]

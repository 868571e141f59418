"""What a molecule will probably score, judged by those that were scored: a Gaussian process on how alike they are.

The kernel is the Tanimoto similarity of Morgan fingerprints with counts (Ralaivola et al., Neural Networks 2005), the
choice among candidates by an upper confidence bound (Srinivas et al. 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from scipy.linalg import cho_factor, cho_solve, solve_triangular

RADIUS, BITS = 1, 4_096  # of radius 1, as objectives ask for properties and parts more often than for one molecule
MOST = 1_500  # molecules that are learnt from: half of them the best, half the latest
NOISE = 0.05  # share of the variance of the scores that likeness does not explain
BOLDNESS = 0.5  # standard deviations by which a molecule that is hard to judge is preferred


class Surrogate:
    """Learns from molecules, canonical SMILES, and their scores, float [m]; NaN: no score. At least two have one."""

    def __init__(self, smiles: Sequence[str], scores: np.ndarray) -> None:
        chosen = np.flatnonzero(np.isfinite(scores))
        if len(chosen) > MOST:
            best = chosen[np.argsort(-scores[chosen], kind="stable")[: MOST // 2]]
            chosen = np.union1d(best, chosen[-MOST // 2 :])
        self._prints = _prints([smiles[place] for place in chosen.tolist()])
        values = scores[chosen].astype(np.float64)
        self._mean, self._scale = float(values.mean()), float(values.std()) or 1.0
        kernel = _tanimoto(self._prints, self._prints)
        kernel[np.diag_indices(len(kernel))] += NOISE
        self._factor = cho_factor(kernel, lower=True)
        self._weights = cho_solve(self._factor, (values - self._mean) / self._scale)

    def expected(self, smiles: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of what each molecule will score, float64 [k] each."""
        kernel = _tanimoto(_prints(smiles), self._prints)
        explained = solve_triangular(self._factor[0], kernel.T, lower=True)
        variance = np.maximum(1.0 - (explained**2).sum(0), 0.0)
        return self._mean + self._scale * (kernel @ self._weights), self._scale * np.sqrt(variance)

    def promise(self, smiles: Sequence[str]) -> np.ndarray:
        """The upper confidence bound of each molecule, by which candidates are chosen, float64 [k]."""
        mean, spread = self.expected(smiles)
        return mean + BOLDNESS * spread


def _tanimoto(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Similarities of fingerprints, float32 [m, bits] and [k, bits] of 0 and 1, as float64 [m, k]."""
    common = (first @ second.T).astype(np.float64)
    either = first.sum(1)[:, None] + second.sum(1)[None] - common
    return np.asarray(common / np.maximum(either, 1.0))


def _prints(smiles: Sequence[str]) -> np.ndarray:
    packed = np.frombuffer(b"".join(map(_packed, smiles)), np.uint8).reshape(len(smiles), BITS // 8)
    return np.unpackbits(packed, axis=1).astype(np.float32)


@lru_cache(maxsize=20_000)
def _packed(smiles: str) -> bytes:
    """A fingerprint whose bits also say how often (1, 2, 4 or 8 times) an environment is there."""
    return np.packbits(_generator().GetFingerprintAsNumPy(Chem.MolFromSmiles(smiles))).tobytes()


@cache
def _generator() -> rdFingerprintGenerator.FingerprintGenerator64:
    return rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS, countSimulation=True)

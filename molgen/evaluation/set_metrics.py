"""How far two sets of molecules are from each other: the MOSES suite and GuacaMol's KL score, from their sketches.

Also the intervals of what is counted and averaged over one set.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.spatial.distance import cosine
from scipy.stats import binomtest, entropy, gaussian_kde, wasserstein_distance

from molgen.evaluation.descriptors import KL_CONTINUOUS, KL_DISCRETE
from molgen.molecules.fingerprints import nearest_of, tanimoto_blocks

TINY = 1e-10
RESAMPLES = 1_000


def moses_suite(generated: pd.DataFrame, reference: pd.DataFrame) -> dict[str, float]:
    """SNN, Frag, Scaf, IntDiv, IntDiv2, Filters and the Wasserstein distances of logP, SA, QED and weight.

    Both are tables of `sketches` of kind "moses", of all valid molecules, repeats included (MOSES,
    Polykovskiy et al. 2020). NaN where a set has nothing to count.
    """
    ours, theirs = (_fingerprints(table, "moses_fingerprint") for table in (generated, reference))
    diversity = internal_diversity(ours)
    suite = {
        "SNN": float(np.mean(nearest_of(ours, theirs)[1], dtype=float)),
        "Frag": _cosine(_counts(generated["fragments"], "."), _counts(reference["fragments"], ".")),
        "Scaf": _cosine(_counts(generated["moses_scaffold"]), _counts(reference["moses_scaffold"])),
        "IntDiv": diversity[0],
        "IntDiv2": diversity[1],
        "Filters": float(generated["filters"].mean()),
    }
    for name, column in (("logP", "logp"), ("SA", "sa"), ("QED", "qed"), ("weight", "mw")):
        suite[name] = float(wasserstein_distance(reference[column], generated[column]))
    return suite


def internal_diversity(fingerprints: np.ndarray) -> tuple[float, float]:
    """IntDiv and IntDiv2: 1 - the mean over molecules of (mean over all, itself too, of Tanimoto^p)^(1/p), p 1 and 2.

    fingerprints: packed, uint8 [m, 128].
    """
    sums = np.zeros((2, len(fingerprints)))
    for rows, _, similarity in tanimoto_blocks(fingerprints, fingerprints):
        sums[0, rows] += similarity.sum(1).numpy()
        sums[1, rows] += similarity.square_().sum(1).numpy()
    first, second = sums / len(fingerprints)
    return 1 - float(first.mean()), 1 - float(np.sqrt(second).mean())


def kl_score(generated: pd.DataFrame, reference: pd.DataFrame) -> float:
    """GuacaMol's KL divergence score (Brown et al. 2019), 0 to 1: the mean of exp(-KL) over ten distributions.

    They are those of KL_CONTINUOUS (densities), KL_DISCRETE (histograms) and the similarity of each molecule to the
    nearest of its own set. Both are tables of sketches of kind "kl", of distinct molecules, of one size in GuacaMol.
    """
    divergences = [_continuous_kl(reference[name], generated[name]) for name in KL_CONTINUOUS]
    divergences += [_discrete_kl(reference[name], generated[name]) for name in KL_DISCRETE]
    inside = [_fingerprints(table, "kl_fingerprint") for table in (reference, generated)]
    divergences.append(_continuous_kl(*(nearest_of(each, each, but_itself=True)[1] for each in inside)))
    return float(np.mean(np.exp(-np.array(divergences))))


class Interval(NamedTuple):
    """A 95 % confidence interval."""

    low: float
    high: float


def share_interval(count: int, total: int) -> Interval:
    """Wilson's interval (1927) of a share, `count` of `total`; NaN of nothing."""
    if not total:
        return Interval(math.nan, math.nan)
    found = binomtest(count, total).proportion_ci(method="wilson")
    return Interval(float(found.low), float(found.high))


def mean_interval(values: np.ndarray, seed: int = 0) -> Interval:
    """Bootstrap interval (percentiles) of the mean of the finite ones of float [m]; NaN where there are none."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return Interval(math.nan, math.nan)
    if len(values) > 20_000:  # resampling would give the normal interval
        spread = 1.96 * values.std() / math.sqrt(len(values))
        return Interval(float(values.mean() - spread), float(values.mean() + spread))
    random = np.random.default_rng(seed)
    means = [values[random.integers(len(values), size=len(values))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(float(low), float(high))


def _fingerprints(frame: pd.DataFrame, column: str) -> np.ndarray:
    return np.frombuffer(b"".join(frame[column]), np.uint8).reshape(len(frame), -1)


def _counts(texts: Iterable[str], separator: str | None = None) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(filter(None, text.split(separator) if separator else [text]))
    return counts


def _cosine(ours: Counter[str], theirs: Counter[str]) -> float:
    if not ours or not theirs:
        return math.nan
    keys = sorted(ours.keys() | theirs.keys())
    # not of whole numbers: the squares of large counts do not fit into 64 bits
    return 1 - float(cosine(*([float(counts[key]) for key in keys] for counts in (theirs, ours))))


def _continuous_kl(reference: Iterable[float], generated: Iterable[float]) -> float:
    reference, generated = np.asarray(reference, float), np.asarray(generated, float)
    try:
        densities = [gaussian_kde(values) for values in (reference, generated)]
    except (np.linalg.LinAlgError, ValueError):  # too few, or all the same
        return math.inf
    both = np.hstack([reference, generated])
    at = np.linspace(both.min(), both.max(), num=1000)
    p, q = (density(at) + TINY for density in densities)
    return float(entropy(p, q))


def _discrete_kl(reference: Iterable[float], generated: Iterable[float]) -> float:
    p, edges = np.histogram(np.asarray(reference, float), bins=10, density=True)
    q, _ = np.histogram(np.asarray(generated, float), bins=edges, density=True)
    return float(entropy(p + TINY, q + TINY))

"""A set of real molecules to compare with: what is known, what is near, which rings and properties are usual."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from molgen.data.readers import Row, read_molecules
from molgen.errors import InputError
from molgen.evaluation.assessment import FINGERPRINT_BITS, assess
from molgen.evaluation.descriptors import sketches
from molgen.evaluation.rings import DEFINITION
from molgen.files import atomic_write
from molgen.molecules.fingerprints import nearest_of
from molgen.molecules.hashing import contains, smiles_hashes

if TYPE_CHECKING:
    from molgen.data.prepared import PreparedSet

COMPARED = 120_000  # molecules of a large reference that nearest neighbours and rings are looked up in
ASSESSED = 2_000  # of these, those whose properties and alerts are computed
RARE = 1e-4  # share of the compared molecules below which a ring system counts as hardly seen
Progress = Callable[[str, int, int], object]  # what is done, molecules done, of how many


@dataclass(frozen=True)
class Reference:
    """Real molecules.

    known: sorted uint64 hashes of all of them; smiles, fingerprints (uint8 [m, 256], packed): those compared;
    rings: how many of the m have each ring system; assessed: `molgen.evaluation.assessment.assess` of some of them.
    """

    name: str
    known: np.ndarray
    smiles: list[str]
    fingerprints: np.ndarray
    rings: Counter[str]
    assessed: pd.DataFrame

    def compare(self, frame: pd.DataFrame) -> pd.DataFrame:
        """An assessment with the columns novel (bool or None), nearest, similarity, rare_rings added.

        nearest: SMILES of the compared molecule with the largest Tanimoto similarity (Morgan 2, 2,048 bits);
        rare_rings: ring systems that fewer than RARE of the compared molecules have, each with how many do.
        """
        frame = frame.copy()
        valid = frame["valid"].to_numpy(bool)
        novel, known = np.full(len(frame), None, object), np.zeros(len(frame), bool)
        known[valid] = contains(self.known, smiles_hashes(frame["smiles"][valid]))
        novel[valid] = ~known[valid]
        nearest, similarity = np.full(len(frame), "", object), np.full(len(frame), math.nan)
        if valid.any():
            packed = np.frombuffer(b"".join(frame["fingerprint"][valid]), np.uint8).reshape(-1, FINGERPRINT_BITS // 8)
            which, how = nearest_of(packed, self.fingerprints)
            nearest[valid] = [self.smiles[k] for k in which]
            similarity[valid] = how
            # itself, also where it is not among those compared
            nearest[known], similarity[known] = frame["smiles"][known], 1.0
        frame["novel"], frame["nearest"], frame["similarity"] = novel, nearest, similarity
        frame["rare_rings"] = [self.rare_rings(text) for text in frame["ring_systems"]]
        return frame

    def nearest(self, fingerprint: bytes, count: int) -> list[tuple[str, float]]:
        """SMILES and Tanimoto similarity of the `count` compared molecules that are most like a packed fingerprint."""
        one = np.frombuffer(fingerprint, np.uint8)
        common = np.bitwise_count(self.fingerprints & one).sum(1)
        either = np.bitwise_count(self.fingerprints | one).sum(1)
        similarity = np.divide(common, either, out=np.ones(len(common)), where=either > 0)
        return [(self.smiles[k], float(similarity[k])) for k in np.argsort(-similarity, kind="stable")[:count]]

    def rare_rings(self, ring_systems: str) -> str:
        """Of ring systems joined by "; " those hardly seen in the reference, with the number of times."""
        limit = RARE * len(self.smiles)
        rare = [ring for ring in dict.fromkeys(filter(None, ring_systems.split("; "))) if self.rings[ring] < limit]
        return "; ".join(f"{ring} ({self.rings[ring]})" for ring in rare)


def prepared_reference(prepared: PreparedSet, workers: int, progress: Progress | None = None) -> Reference:
    """The training molecules of a prepared set; what is computed stays in its folder for the next time."""
    from molgen.evaluation.scores import sample

    smiles = prepared.smiles("train")
    cache = prepared.folder / f"reference-{DEFINITION}.parquet"  # what older ones hold of ring systems is not the same
    return _reference(prepared.name, smiles, sample(smiles, COMPARED), workers, progress, cache)


def file_reference(path: str, workers: int, progress: Progress | None = None) -> Reference:
    """The valid molecules of a file. Raises InputError where there is none."""
    from molgen.evaluation.scores import judge, sample

    distinct = list(dict.fromkeys(verdict.smiles for verdict in judge(read_molecules(path), workers) if verdict.valid))
    if not distinct:
        raise InputError(f"{path} cannot be the reference: it holds no valid molecule")
    return _reference(path, distinct, sample(distinct, COMPARED), workers, progress, None)


def _reference(
    name: str, smiles: list[str], compared: list[str], workers: int, progress: Progress | None, cache: Path | None
) -> Reference:
    sketched = _cached(cache, lambda: _sketched(compared, workers, progress))
    compared = sketched["smiles"].tolist()
    fingerprints = np.frombuffer(b"".join(sketched["fingerprint"]), np.uint8).reshape(-1, FINGERPRINT_BITS // 8)
    rings: Counter[str] = Counter()
    for text in sketched["ring_systems"]:
        rings.update(set(filter(None, text.split("; "))))
    assessed = _cached(
        cache and cache.with_name(f"reference-assessed-{DEFINITION}.parquet"),
        lambda: _assessed(compared[:ASSESSED], workers, progress),
    )
    return Reference(name, np.sort(smiles_hashes(smiles)), compared, fingerprints, rings, assessed)


def _sketched(smiles: list[str], workers: int, progress: Progress | None) -> pd.DataFrame:
    chunks = _told(sketches(smiles, "rings", workers), "reference fingerprints", progress, len(smiles))
    return pd.concat(chunks, ignore_index=True)


def _assessed(smiles: list[str], workers: int, progress: Progress | None) -> pd.DataFrame:
    rows = (Row(number, "", text) for number, text in enumerate(smiles, 1))
    chunks = _told(assess(rows, workers), "reference properties", progress, len(smiles))
    return pd.concat(chunks, ignore_index=True)


def _told(frames: Iterator[pd.DataFrame], what: str, progress: Progress | None, total: int) -> Iterator[pd.DataFrame]:
    done = 0
    for frame in frames:
        done += len(frame)
        if progress is not None:
            progress(what, done, total)
        yield frame


def _cached(path: Path | None, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    if path is not None:
        with suppress(OSError, ValueError):  # not made yet, or damaged
            return pd.read_parquet(path)
    frame = make()
    if path is not None:
        with suppress(OSError), atomic_write(path, "wb") as file:
            frame.to_parquet(file, index=False)
    return frame

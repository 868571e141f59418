"""Real molecules to compare with: what is known, what is near, which rings and properties are usual, the FCD to them.

`molgen.evaluation.open_reference` makes one of a name, a file or a folder.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from molgen.data.public import PUBLIC
from molgen.data.readers import Row
from molgen.errors import InputError
from molgen.evaluation.assessment import COLUMNS, assess
from molgen.evaluation.descriptors import sketches
from molgen.evaluation.fcd import Fcd, fcd_distance
from molgen.files import atomic_write
from molgen.molecules.fingerprints import nearest_of, stacked
from molgen.molecules.hashing import contains, smiles_hashes
from molgen.molecules.substructures import PARTS_DEFINITION
from molgen.progress import Progress, counted, silent

if TYPE_CHECKING:
    from molgen.data.prepared import PreparedSet

COMPARED = 120_000  # molecules of a large reference that nearest neighbours and rings are looked up in
ASSESSED = 2_000  # of these, those whose properties and alerts are computed
RARE = 1e-4  # share of the compared molecules below which a ring system counts as hardly seen


@dataclass(frozen=True, eq=False)
class Reference:
    """Real molecules. What takes long is computed when it is first asked for, by `workers` processes, and told to
    `progress`; of a prepared set it stays in its folder for the next time.

    known: sorted uint64 hashes (`molgen.molecules.hashing`) of what is not novel, known_name: what that is called;
    everything: the hashes of all parts of a prepared set, of which only one is what is known. drawn: canonical SMILES
    of COMPARED of the known, an even draw; none of a model, which keeps no molecules. prepared: the set, where it is
    one.
    target, others: ChemNet activations [m, 512] that the FCD is measured against, and [k, 512] of up to so many other
    real molecules, for the floor. warnings: what is wrong with the source.
    """

    name: str
    known: np.ndarray
    known_name: str
    drawn: Sequence[str] = ()
    prepared: PreparedSet | None = None
    everything: Callable[[], np.ndarray] | None = None
    target: Callable[[], np.ndarray] | None = None
    target_name: str = ""
    others: Callable[[int], np.ndarray] | None = None
    others_name: str = ""
    warnings: tuple[str, ...] = ()
    workers: int = 1
    progress: Progress = silent

    def load(self) -> None:
        """Compute now what `compare`, `nearest`, `rare_rings` and `assessed` need. Raises InputError of a model."""
        _ = self.fingerprints, self.rings, self.assessed

    def load_fcd(self) -> None:
        """Compute now what `fcd` needs and what can be kept. Raises InputError of a model."""
        _ = self.activations, self.floor(2)

    def require_molecules(self) -> None:
        """Raise InputError where the reference is a model."""
        if not self.has_molecules:
            raise InputError(
                f"the model {self.name} keeps no molecules to compare with; give {', '.join(PUBLIC)} or a file"
            )

    @property
    def has_molecules(self) -> bool:
        """Whether there are molecules, and not only hashes."""
        return len(self.drawn) > 0

    @cached_property
    def smiles(self) -> list[str]:
        """The compared molecules: those of `drawn` that have a fingerprint."""
        return list(self._sketches["smiles"])

    @cached_property
    def fingerprints(self) -> np.ndarray:
        """Packed fingerprints of `smiles`, uint8 [m, 256]."""
        return stacked(self._sketches["fingerprint"])

    @cached_property
    def rings(self) -> Counter[str]:
        """How many of the compared molecules have each ring system."""
        counts: Counter[str] = Counter()
        for text in self._sketches["ring_systems"]:
            counts.update(set(filter(None, text.split("; "))))
        return counts

    @cached_property
    def assessed(self) -> pd.DataFrame:
        """`molgen.evaluation.assessment.assess` of ASSESSED of the compared molecules."""
        return self._kept("reference-assessed", COLUMNS, self._assess)

    @cached_property
    def activations(self) -> np.ndarray:
        """What the FCD is measured against, ChemNet activations [m, 512]. Raises InputError of a model."""
        self.require_molecules()
        assert self.target is not None
        return self.target()

    def floor(self, count: int) -> np.ndarray | None:
        """ChemNet activations [count, 512] of other real molecules than those of `activations`; None where there are
        fewer than `count`, or `count` is too small for a distance."""
        rows = None if self.others is None or count < 2 else self.others(count)
        return rows if rows is not None and len(rows) == count else None

    def fcd(self, activations: np.ndarray) -> Fcd:
        """The FCD of a set of molecules with these ChemNet activations [m, 512]. Raises InputError of a model."""
        real = self.floor(len(activations))
        return Fcd(
            fcd_distance(activations, self.activations),
            len(activations),
            self.target_name,
            len(self.activations),
            None if real is None else fcd_distance(real, self.activations),
            self.others_name,
        )

    def compare(self, frame: pd.DataFrame) -> pd.DataFrame:
        """An assessment with the columns novel (bool or None), nearest, similarity, rare_rings added.

        nearest: SMILES of the compared molecule with the largest Tanimoto similarity (Morgan 2, 2,048 bits);
        rare_rings: as the method of that name.
        """
        frame = frame.copy()
        valid = frame["valid"].to_numpy(bool)
        novel, known = np.full(len(frame), None, object), np.zeros(len(frame), bool)
        known[valid] = contains(self.known, smiles_hashes(frame["smiles"][valid]))
        novel[valid] = ~known[valid]
        nearest, similarity = np.full(len(frame), "", object), np.full(len(frame), math.nan)
        if valid.any():
            which, how = nearest_of(stacked(frame["fingerprint"][valid]), self.fingerprints)
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
        """Of ring systems joined by "; " those hardly seen in the reference, each as "C1CC1 (0 of 3,000)".

        Charges do not count (`ring_systems` has none). Of fewer than 1 / RARE compared molecules a ring system is
        rare where none has it.
        """
        count = len(self.smiles)
        limit = max(1.0, RARE * count)
        rare = [ring for ring in dict.fromkeys(filter(None, ring_systems.split("; "))) if self.rings[ring] < limit]
        return "; ".join(f"{ring} ({self.rings[ring]:,} of {count:,})" for ring in rare)

    @property
    def rarity(self) -> str:
        """Which ring systems are rare, to go after "a ring system that": what is claimed, and of how many molecules."""
        count = len(self.smiles)
        compared = f"of the {count:,} molecules of {self.name} compared"
        if count * RARE > 1:
            return f"fewer than 1 in {1 / RARE:,.0f} {compared} have"
        # with 95 % confidence a share of 3 in count or more would have been seen (the rule of three)
        often = f", so that up to 1 in {count // 3:,} may have it" if count >= 6 else ""
        return f"none {compared} has{often}"

    @cached_property
    def _sketches(self) -> pd.DataFrame:
        return self._kept("reference", ("smiles", "fingerprint", "ring_systems"), self._sketch)

    def _sketch(self) -> pd.DataFrame:
        self.require_molecules()
        tables = sketches(self.drawn, "rings", self.workers)
        return pd.concat(counted(tables, self.progress, "reference fingerprints", len(self.drawn)), ignore_index=True)

    def _assess(self) -> pd.DataFrame:
        smiles = self.smiles[:ASSESSED]
        tables = assess((Row(number, "", text) for number, text in enumerate(smiles, 1)), self.workers)
        return pd.concat(counted(tables, self.progress, "reference properties", len(smiles)), ignore_index=True)

    def _kept(self, kind: str, columns: Sequence[str], make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """The table that the prepared set keeps, or a new one where it has none, or none with all the columns."""
        if self.prepared is None:
            return make()
        path = self.prepared.folder / f"{kind}-{PARTS_DEFINITION}.parquet"  # older ones hold other parts
        with suppress(OSError, ValueError):  # not made yet, or damaged
            kept = pd.read_parquet(path)
            if set(columns) <= set(kept):
                return kept
        table = make()
        with suppress(OSError), atomic_write(path, "wb") as file:
            table.to_parquet(file, index=False)
        return table

"""The figures of a set of molecules in a report: with their denominators and intervals, as JSON and as text."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from molgen.evaluation.buyable import MEANING as BUYABLE
from molgen.evaluation.fcd import Fcd
from molgen.evaluation.reference import Reference
from molgen.evaluation.set_metrics import Interval, internal_diversity, mean_interval, share_interval
from molgen.evaluation.tally import Judged
from molgen.molecules.fingerprints import stacked
from molgen.molecules.properties import NUMBERS

DIVERSE = 1_500  # molecules that the diversity is measured on
AVERAGED = ("mw", "logp", "tpsa", "qed", "sa", "np")
MEANINGS = {
    "requested": "molecules asked for: rows of the file, or what the run record beside it says",
    "rows": "rows of the file",
    "valid": "one molecule that RDKit accepts, of those requested",
    "unique": "distinct molecules, of the valid",
    "novel": "not in the reference, of the unique",
    "V.U.N.": "valid, unique and novel, of those requested",
    "quality": "QED 0.6 or more and SA 4 or less, of those requested",
    "passes the profile": "valid, not a repeat and within all rules, of those requested",
    "with rare rings": "a ring system that hardly any molecule of the reference has, of the valid",
    "scaffolds": "distinct Murcko scaffolds",
    "internal diversity": "1 - mean Tanimoto similarity within the set",
    "similarity to the nearest known": "largest Tanimoto similarity to a molecule of the reference, mean",
    "FCD": "Frechet ChemNet Distance, 0 is best",
    **{name: f"{NUMBERS[name].title}, mean" for name in AVERAGED},
}


def meanings(reference: Reference, every: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """MEANINGS as they are beside a reference, for the figures of some sets."""
    floors = any(isinstance(one["FCD"], Distance) and one["FCD"].floor is not None for one in every)
    return MEANINGS | {
        "novel": f"not in {reference.known_name}, of the unique",
        "with rare rings": f"a ring system that {reference.rarity}; of the valid",
        "FCD": f"{MEANINGS['FCD']}; floor: that of as many real molecules" if floors else MEANINGS["FCD"],
        **({"buyable": f"{BUYABLE}, of the valid"} if any("buyable" in one for one in every) else {}),
    }


@dataclass(frozen=True)
class Figure(ABC):
    """A figure of a set of molecules."""

    def to_json(self) -> dict[str, object]:
        """The fields by name."""
        return asdict(self)

    @abstractmethod
    def text(self) -> str:
        """What a cell of a table shows; "-" where there is no value."""


@dataclass(frozen=True)
class Count(Figure):
    """How many there are."""

    count: int

    def text(self) -> str:
        return f"{self.count:,}"


@dataclass(frozen=True)
class ShareFigure(Figure):
    """`count` of `total`; share and interval are None of nothing."""

    share: float | None
    count: int
    total: int
    interval: Interval | None

    @classmethod
    def of(cls, count: int, total: int) -> "ShareFigure":
        """The share with its interval."""
        if not total:
            return cls(None, count, total, None)
        return cls(count / total, count, total, share_interval(count, total))

    def text(self) -> str:
        if self.share is None or self.interval is None:
            return "-"
        low, high = self.interval
        return f"{self.share:.1%} [{low:.1%}, {high:.1%}], {self.count:,} of {self.total:,}"


@dataclass(frozen=True)
class MeanFigure(Figure):
    """The mean over `molecules` for which there is a value; None of none."""

    mean: float | None
    interval: Interval | None
    molecules: int

    @classmethod
    def of(cls, values: np.ndarray) -> "MeanFigure":
        """The mean of the finite ones, with its interval."""
        values = values[np.isfinite(values)]
        if not len(values):
            return cls(None, None, 0)
        return cls(float(values.mean(dtype=float)), mean_interval(values), len(values))

    def text(self) -> str:
        if self.mean is None or self.interval is None:
            return "-"
        low, high = self.interval
        return f"{self.mean:.3g} [{low:.3g}, {high:.3g}]"


@dataclass(frozen=True)
class Value(Figure):
    """A figure of `molecules` together, None where there are too few."""

    value: float | None
    molecules: int

    def text(self) -> str:
        value = "-" if self.value is None else f"{self.value:.3f}"
        return f"{value} ({self.molecules:,} molecules)"


@dataclass(frozen=True)
class Distance(Value):
    """A distance to real molecules, and its floor: that of as many real molecules."""

    against: str
    floor: float | None

    @classmethod
    def of(cls, fcd: Fcd) -> "Distance":
        """The FCD as a figure."""
        return cls(fcd.fcd, fcd.molecules, f"{fcd.reference_molecules:,} of {fcd.reference}", fcd.floor)

    def text(self) -> str:
        return super().text() + ("" if self.floor is None else f", floor {self.floor:.3f}")


def figures(done: Judged, fcd: Fcd) -> dict[str, Figure | int]:
    """All of MEANINGS of a set, and the share that can be bought where that was asked."""
    unique = len(done.distinct.hashes)
    quality = (done.column("qed") >= 0.6) & (done.column("sa") <= 4)
    return {
        "requested": done.asked,
        "rows": done.rows,
        "valid": ShareFigure.of(done.valid, done.asked),
        "unique": ShareFigure.of(unique, done.valid),
        "novel": ShareFigure.of(done.novel, unique),
        "V.U.N.": ShareFigure.of(done.novel, done.asked),
        "quality": ShareFigure.of(int(quality.sum()), done.asked),
        "passes the profile": ShareFigure.of(done.passed, done.asked),
        "with rare rings": ShareFigure.of(done.with_rare_rings, done.valid),
        "scaffolds": Count(len(set(done.scaffolds) - {""})),
        "internal diversity": Value(_diversity(done.drawn.items), min(done.valid, DIVERSE)),
        "similarity to the nearest known": MeanFigure.of(done.similarities()),
        "FCD": Distance.of(fcd),
        **{name: MeanFigure.of(done.column(name)) for name in AVERAGED},
        **({} if done.buyable is None else {"buyable": ShareFigure.of(done.buyable, done.valid)}),
    }


def text_of(figure: Figure | int) -> str:
    """What a cell of a table shows."""
    return f"{figure:,}" if isinstance(figure, int) else figure.text()


def _diversity(drawn: list[tuple[str, bytes]]) -> float | None:
    """1 - mean Tanimoto similarity of all pairs of up to DIVERSE molecules; None of fewer than two."""
    if len(drawn) < 2:
        return None
    order = np.random.default_rng(0).permutation(len(drawn))[:DIVERSE]
    diversity, _ = internal_diversity(stacked(drawn[k][1] for k in order))
    return diversity * len(order) / (len(order) - 1)  # not of the pairs of each with itself, whose similarity is 1

"""What is counted of a set of molecules, table by table, for a report."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from molgen.evaluation.account import Account
from molgen.evaluation.admet import AdmetTally
from molgen.evaluation.alert_counts import AlertCounts
from molgen.evaluation.draws import EvenDraw
from molgen.evaluation.fcd import FCD_SAMPLE
from molgen.evaluation.screening import Screened
from molgen.molecules.hashing import DistinctMolecules
from molgen.molecules.properties import NUMBERS

Record = dict[str, Any]  # a row of an assessment, as pandas gives it
PASSAGE = ["entered", "left", "failing"]


@dataclass
class Judged:
    """One set of molecules, as it is read; where not said otherwise, of its valid ones, duplicates included."""

    label: str
    requested: int | None = None  # molecules asked for, where the rows leave out those that failed
    rows: int = 0
    valid: int = 0
    novel: int = 0  # distinct
    with_rare_rings: int = 0
    # SMILES and packed fingerprints
    drawn: EvenDraw[tuple[str, bytes]] = field(default_factory=lambda: EvenDraw(FCD_SAMPLE))
    numbers: list[np.ndarray] = field(default_factory=list)  # float32 [k, len(NUMBERS)]
    similarity: list[np.ndarray] = field(default_factory=list)  # float32 [k]
    reasons: Counter[str] = field(default_factory=Counter)  # why the others are not valid
    alerts: AlertCounts = field(default_factory=AlertCounts)
    scaffolds: Counter[str] = field(default_factory=Counter)
    rare_rings: Counter[str] = field(default_factory=Counter)
    distinct: DistinctMolecules = field(default_factory=DistinctMolecules)
    account: Account = field(default_factory=Account)
    funnel: pd.DataFrame | None = None  # see molgen.evaluation.screening.screen
    passed: int = 0  # the profile
    picked: list[Record] = field(default_factory=list)
    clusters: int = 0
    # where they are included
    buyable: int | None = None
    admet: AdmetTally | None = None

    @property
    def asked(self) -> int:
        """The denominator of what is counted of all molecules."""
        return self.rows if self.requested is None else self.requested

    @property
    def duplicates(self) -> dict[str, int]:
        """How many are stereoisomers of another, and how many exact repeats."""
        return self.account.duplicates(len(self.distinct.hashes))

    def firsts(self, frame: pd.DataFrame) -> np.ndarray:
        """Which of the next rows are no duplicates of earlier ones, bool [k]; true where a row is not valid."""
        valid = frame["valid"].to_numpy(bool)
        first = np.ones(len(frame), bool)
        first[valid] = self.distinct.add(frame["smiles"][valid].tolist())
        return first

    def count(self, frame: pd.DataFrame, first: np.ndarray, screened: Screened) -> None:
        """Count the next rows, of which `first` are no duplicates, and what the profile makes of them."""
        valid = frame["valid"].to_numpy(bool)
        self.rows += len(frame)
        self.valid += int(valid.sum())
        self.novel += int((frame["novel"][valid & first] == True).sum())  # noqa: E712 it may be None
        self.with_rare_rings += int((frame["rare_rings"][valid] != "").sum())
        self.drawn.add(list(zip(frame["smiles"][valid], frame["fingerprint"][valid], strict=True)))
        self.numbers.append(frame.loc[valid, list(NUMBERS)].to_numpy(np.float32))
        self.similarity.append(frame["similarity"][valid].to_numpy(np.float32))
        self.reasons.update(frame["reason"][~valid])
        self.scaffolds.update(frame["scaffold"][valid])
        changes = [filter(None, text.split("; ")) for text in frame["changes"][valid]]
        self.account.add(frame["isomer"][valid].tolist(), changes)
        self.alerts.count(frame["alerts"][valid])
        for text in frame["rare_rings"][valid]:
            self.rare_rings.update(sorted(set(filter(None, text.split("; ")))))
        if self.funnel is None:
            self.funnel = screened.funnel
        else:
            self.funnel[PASSAGE] += screened.funnel[PASSAGE]

    def column(self, name: str) -> np.ndarray:
        """One of NUMBERS, float32 [valid]."""
        return _joined(part[:, list(NUMBERS).index(name)] for part in self.numbers)

    def similarities(self) -> np.ndarray:
        """Tanimoto similarity to the nearest molecule of the reference, float32 [valid]."""
        return _joined(self.similarity)


def _joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *parts])

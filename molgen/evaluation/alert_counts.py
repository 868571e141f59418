"""How many molecules have each structural alert, and which alerts are one: sets of alerts hold the same ones."""

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from molgen.molecules.alerts import parse_alerts

FEWEST = 5


class AlertCounts:
    """Counts the molecules with each alert; what they take in memory does not grow with the molecules.

    counts: molecules by alert, as "SET: name".
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.marks: dict[str, int] = {}  # equal for alerts of the same molecules, for others with a chance of 1 in 2^64
        self.molecules = 0

    def count(self, texts: Iterable[str]) -> None:
        """Count the next molecules, each as the text of its alerts (`molgen.molecules.alerts.format_alerts`)."""
        for text in texts:
            self.molecules += 1
            if text:
                mark = int.from_bytes(blake2b(self.molecules.to_bytes(8), digest_size=8).digest())
                for name in dict.fromkeys(map(str, parse_alerts(text))):
                    self.counts[name] += 1
                    self.marks[name] = self.marks.get(name, 0) ^ mark


def same_alerts(sets: Sequence[AlertCounts], reference: AlertCounts) -> list[list[str]]:
    """The alerts of the sets, those in one list that the same molecules of all sets and of the reference have.

    Lists of the most molecules first. Alerts of fewer than FEWEST molecules stand alone: they may agree by chance.
    """
    groups: dict[tuple[object, ...], list[str]] = {}
    totals: Counter[str] = Counter()
    for each in sets:
        totals.update(each.counts)
    for name in sorted(totals):
        alone = name if totals[name] + reference.counts[name] < FEWEST else ""
        groups.setdefault((alone, *(each.marks.get(name, 0) for each in (*sets, reference))), []).append(name)
    return sorted(groups.values(), key=lambda group: (-totals[group[0]], group[0]))

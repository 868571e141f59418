"""What is told of the valid molecules of a set beside their number: how they repeat one another, what was changed."""

from collections import Counter
from collections.abc import Iterable, Mapping

from molgen.data.importing import REPEATS, STEREOISOMERS
from molgen.molecules.hashing import DistinctMolecules


class Account:
    """Counts stereoisomers and repeats among valid molecules, and what standardisation changed of them."""

    def __init__(self) -> None:
        self.valid = self.changed = 0
        self.isomers = DistinctMolecules()
        self.changes: Counter[str] = Counter()

    def add(self, isomers: list[str], changes: Iterable[Iterable[str]]) -> None:
        """Count the next valid molecules: their SMILES with stereo, and what was changed of each."""
        self.valid += len(isomers)
        self.isomers.add(isomers)
        for names in changes:
            names = list(names)
            self.changed += bool(names)
            self.changes.update(names)

    def duplicates(self, unique: int) -> dict[str, int]:
        """How many valid ones are stereoisomers of another, and how many exact repeats; unique: distinct, stereo aside.

        Of the isomers of one molecule one counts as unique, the others as duplicates.
        """
        different = len(self.isomers)
        return {STEREOISOMERS: different - unique, REPEATS: self.valid - different}

    def standardised(self) -> dict[str, int]:
        """How many were changed, under "rows", then how many for each change."""
        return {"rows": self.changed, **dict(self.changes.most_common())}


def told(duplicates: Mapping[str, int], standardised: Mapping[str, int] | None) -> list[str]:
    """Both as lines of text; nothing of duplicates where there are none."""
    lines = []
    if count := sum(duplicates.values()):
        lines.append(
            f"Duplicates: {count:,} of the valid, of these {duplicates[STEREOISOMERS]:,} stereoisomers of another "
            f"(stereo is ignored) and {duplicates[REPEATS]:,} exact repeats."
        )
    if standardised is not None:
        kinds = ", ".join(f"{number:,} {change}" for change, number in standardised.items() if change != "rows")
        lines.append(f"Standardised: {standardised['rows']:,} of the valid{f' ({kinds})' if kinds else ''}.")
    return lines

"""Structural alerts: substructures that are known to make trouble in a screen, by set and name, with their atoms.

In tables and files the alerts of a molecule are one text, which `format_alerts` makes and `parse_alerts` reads.
"""

import csv
import re
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
from rdkit import Chem
from rdkit.Chem import FilterCatalog

from molgen.errors import InputError
from molgen.files import shipped_folder
from molgen.molecules.parsing import parse_smiles
from molgen.molecules.pattern_screen import PatternScreen

# CHEMBL holds eight sets of companies and hits half of all drug-like molecules: to look at, not to reject by
SETS = {
    "PAINS": "pan-assay interference (Baell and Holloway 2010)",
    "BRENK": "unwanted functions (Brenk 2008)",
    "NIH": "reactive or unwanted (Jadhav 2010, Doveston 2015)",
    "MCF": "medicinal chemistry filters of MOSES (Polykovskiy 2020)",
    "CHEMBL": "eight sets of companies, collected by ChEMBL",
}
# names of alerts can hold "; " and ": ", so only what begins another alert parts them
_BETWEEN = re.compile(f"; (?=(?:{'|'.join(SETS)}): )")


class Alert(NamedTuple):
    """One alert in a molecule: its set, its name there, and the atoms of its first match, () where not looked for."""

    set: str
    name: str
    atoms: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.set}: {self.name}"


def format_alerts(found: Iterable[Alert]) -> str:
    """The alerts of a molecule as one text, "SET: name" joined by "; ", each once: CHEMBL has some in several forms."""
    return "; ".join(dict.fromkeys(map(str, found)))


def parse_alerts(text: str) -> list[Alert]:
    """The alerts of a text that `format_alerts` made, without their atoms."""
    parts = (part.partition(": ") for part in _BETWEEN.split(text) if part)
    return [Alert(name, rest) for name, _, rest in parts]


def has_alert(texts: Iterable[str], name: str) -> np.ndarray:
    """Which of the texts that `format_alerts` made have an alert of a set, bool [m]."""
    return np.array([any(alert.set == name for alert in parse_alerts(text)) for text in texts], bool)


def alerts_of(smiles: str) -> list[Alert]:
    """Every alert of a SMILES. Raises molgen.molecules.parsing.Rejected for one that is no molecule."""
    return alerts(parse_smiles(smiles))


def alerts(mol: Chem.Mol, sets: tuple[str, ...] = tuple(SETS)) -> list[Alert]:
    """Every alert of the named sets that a sanitised molecule has. Raises InputError for an unknown set.

    The same as GetMatches of RDKit's catalogs, in their order, in a tenth of the time: a pattern that is in several
    sets is looked for once, and only where the molecule has all atoms and bonds that the pattern asks for.
    """
    known = _known(sets)
    found = []
    for pattern in np.flatnonzero(known.screen.possible(mol)).tolist():
        matches = known.entries[pattern].GetFilterMatches(mol)
        if matches:
            atoms = tuple(sorted(pair[1] for pair in matches[0].atomPairs))
            found += [(place, Alert(name, text, atoms)) for place, name, text in known.named[pattern]]
    return [alert for _, alert in sorted(found)]


class _Known(NamedTuple):
    """The distinct patterns of some sets: an entry of a catalog and the alerts of each, and the screen of all."""

    entries: list[FilterCatalog.FilterCatalogEntry]
    named: list[list[tuple[int, str, str]]]  # place among all alerts, set, name
    screen: PatternScreen


@cache
def _known(sets: tuple[str, ...]) -> _Known:
    entries: list[FilterCatalog.FilterCatalogEntry] = []
    named: list[list[tuple[int, str, str]]] = []
    patterns: dict[bytes, tuple[int, Chem.Mol]] = {}
    every = [(name, entry) for name in sets for entry in _entries(name)]
    for place, (name, entry) in enumerate(every):
        pickled = _pickled_pattern(entry)
        key = pickled or str(place).encode()  # of a form not known here: looked for in every molecule
        if key not in patterns:
            patterns[key] = len(entries), Chem.Mol(pickled) if pickled else Chem.Mol()  # type: ignore[call-overload]
            entries.append(entry)
            named.append([])
        named[patterns[key][0]].append((place, name, entry.GetDescription()))
    return _Known(entries, named, PatternScreen([pattern for _, pattern in patterns.values()]))


def _entries(name: str) -> list[FilterCatalog.FilterCatalogEntry]:
    listed = catalog(name)
    return [listed.GetEntryWithIdx(position) for position in range(listed.GetNumEntries())]


def _pickled_pattern(entry: FilterCatalog.FilterCatalogEntry) -> bytes:
    """RDKit's pickle of the pattern of an entry that asks for one match or more of one pattern, else b""."""
    form = re.compile(rb" (\d+) (?=\xef\xbe\xad\xde)")  # a length, then the first bytes of every pickle
    data = entry.Serialize()
    starts = list(form.finditer(data))
    if len(starts) != 1:
        return b""
    start, length = starts[0].end(), int(starts[0][1])
    return data[start : start + length] if data[start + length :].startswith(b" 1 4294967295 ") else b""


@cache
def catalog(name: str) -> FilterCatalog.FilterCatalog:
    """The patterns of one of SETS. Raises InputError for another name."""
    if name not in SETS:
        raise InputError(f"no alert set {name!r}; choose from {', '.join(SETS)}")
    if name != "MCF":
        return FilterCatalog.FilterCatalog(getattr(FilterCatalog.FilterCatalogParams.FilterCatalogs, name))
    made = FilterCatalog.FilterCatalog()
    with (shipped_folder("datasets") / "mcf.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            matcher = FilterCatalog.SmartsMatcher(row["names"], row["smarts"], 1)
            made.AddEntry(FilterCatalog.FilterCatalogEntry(row["names"], matcher))
    return made

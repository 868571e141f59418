"""Structural alerts: substructures that are known to make trouble in a screen, by set and name, with their atoms."""

import csv
from functools import cache
from typing import NamedTuple

from rdkit import Chem
from rdkit.Chem import FilterCatalog

from molgen.errors import InputError
from molgen.files import shipped_folder

# CHEMBL holds eight sets of companies and hits half of all drug-like molecules: to look at, not to reject by
SETS = {
    "PAINS": "pan-assay interference (Baell and Holloway 2010)",
    "BRENK": "unwanted functions (Brenk 2008)",
    "NIH": "reactive or unwanted (Jadhav 2010, Doveston 2015)",
    "MCF": "medicinal chemistry filters of MOSES (Polykovskiy 2020)",
    "CHEMBL": "eight sets of companies, collected by ChEMBL",
}


class Alert(NamedTuple):
    """One alert in a molecule: its set, its name there, and the atoms of its first match, int [k]."""

    set: str
    name: str
    atoms: tuple[int, ...]


def alerts(mol: Chem.Mol, sets: tuple[str, ...] = tuple(SETS)) -> list[Alert]:
    """Every alert of the named sets that a sanitised molecule has. Raises InputError for an unknown set."""
    found = []
    for name in sets:
        for entry in catalog(name).GetMatches(mol):
            matches = entry.GetFilterMatches(mol)
            atoms = sorted(pair[1] for pair in matches[0].atomPairs) if matches else []
            found.append(Alert(name, entry.GetDescription(), tuple(atoms)))
    return found


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

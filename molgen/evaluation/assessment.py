"""What a project team wants to know of each molecule: one row for each row of the input, nothing lost.

    frame = pd.concat(assess(read_molecules("library.csv"), workers=2))

gives the columns of COLUMNS and a packed fingerprint; molgen.evaluation.reference adds novelty and the nearest known
molecule.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pandas as pd
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from molgen.data.readers import Row
from molgen.evaluation.verdicts import examine
from molgen.molecules.alerts import alerts, format_alerts
from molgen.molecules.fingerprints import fingerprint
from molgen.molecules.properties import NUMBERS, Quantity
from molgen.molecules.rules import RULES
from molgen.molecules.substructures import ring_systems, scaffold
from molgen.parallel import isolated_chunks

ROW_SECONDS = 10
CHUNK = 200  # rows; about a second of work
COLUMNS = (
    *("row", "name", "input", "smiles", "valid", "reason", "inchikey", "formula", *NUMBERS, *RULES),
    *("alerts", "scaffold", "ring_systems"),
)
# the columns of numbers, with what molgen.evaluation.reference adds, as they are shown
QUANTITIES: dict[str, Quantity] = {
    **NUMBERS,
    "similarity": Quantity("similarity", "similarity to the nearest known molecule", "", 2, "Tanimoto, 0 to 1"),
}
CHARTED = ("mw", "logp", "tpsa", "qed", "sa", "np", "fraction_sp3", "rotatable_bonds")  # numbers that charts compare


def assess(rows: Iterable[Row], workers: int, standardise: bool = False) -> Iterator[pd.DataFrame]:
    """Tables of the molecules, chunk by chunk in order, made in `workers` processes; memory stays flat.

    Columns: row (line in the file), name, input (SMILES as written, "" for a mol block), smiles (canonical, no stereo),
    valid (bool), reason (why not), inchikey, formula, NUMBERS (float, NaN where not to be had), RULES (bool or None),
    alerts (see molgen.molecules.alerts), scaffold (Murcko, "" without rings), ring_systems (SMILES joined by "; "),
    fingerprint (see molgen.molecules.fingerprints; None where not valid), isomer (SMILES with stereo), changes (by
    standardisation, where it is asked for, joined by "; ").
    A row that crashes RDKit or takes too long costs itself alone.
    """
    chunks = isolated_chunks(
        partial(_assess_all, standardise=standardise), rows, _failed, workers=workers, chunk=CHUNK, seconds=ROW_SECONDS
    )
    for chunk, records in chunks:
        frame = pd.DataFrame(records)
        frame.insert(0, "row", [row.line for row in chunk])
        frame.insert(1, "name", [row.name for row in chunk])
        frame.insert(2, "input", ["" if row.is_block else row.text for row in chunk])
        yield frame


def assess_one(row: Row, standardise: bool = False) -> dict[str, object]:
    """One row of `assess`, without row, name and input; valid and reason are those of `judge_one`."""
    verdict, mol, isomer, changes = examine(row, standardise)
    if mol is None:
        return _empty(verdict.reason)
    try:
        Chem.SanitizeMol(mol)
    except (ValueError, RuntimeError):
        return _empty("refused by RDKit")
    numbers = {name: entry(mol) for name, entry in NUMBERS.items()}
    return {
        "smiles": verdict.smiles,
        "valid": True,
        "reason": "",
        "inchikey": _text(Chem.MolToInchiKey, mol),
        "formula": rdMolDescriptors.CalcMolFormula(mol),
        **numbers,
        **{name: rule.kept(numbers) for name, rule in RULES.items()},
        "alerts": format_alerts(alerts(mol)),
        "scaffold": _text(scaffold, mol),
        "ring_systems": "; ".join(ring_systems(mol)),
        "fingerprint": fingerprint(mol),
        "isomer": isomer,
        "changes": "; ".join(changes),
    }


def _text(function: Callable[[Chem.Mol], str], mol: Chem.Mol) -> str:
    try:
        return function(mol)
    except (ValueError, RuntimeError):
        return ""


def _assess_all(rows: list[Row], standardise: bool = False) -> list[dict[str, object]]:
    return [assess_one(row, standardise) for row in rows]


def _failed(reason: str) -> list[dict[str, object]]:
    return [_empty(reason)]


def _empty(reason: str) -> dict[str, object]:
    record: dict[str, object] = {"smiles": "", "valid": False, "reason": reason, "inchikey": "", "formula": ""}
    record |= dict.fromkeys(NUMBERS, math.nan) | dict.fromkeys(RULES)
    return record | {"alerts": "", "scaffold": "", "ring_systems": "", "fingerprint": None, "isomer": "", "changes": ""}

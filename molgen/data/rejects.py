"""Lists of what became of single rows: those that were rejected, and those that were changed."""

import csv
from typing import IO

from rdkit import Chem

from molgen.data.readers import Row
from molgen.files import spreadsheet_safe
from molgen.molecules.parsing import MAX_BLOCK_LENGTH, MAX_HEAVY_ATOMS, Rejected, parse_block

SHOWN = 200  # characters of a row that a list repeats


class Rejects:
    """Writes rejected rows as CSV: line, text (shortened), name, reason."""

    def __init__(self, file: IO[str]) -> None:
        self.writer = csv.writer(file, lineterminator="\n")
        self.writer.writerow(["line", "text", "name", "reason"])

    def __call__(self, row: Row, reason: str) -> None:
        self.writer.writerow([*_shown(row), reason])


class Changes:
    """Writes standardised rows as CSV: line, text (shortened; none of a mol block), name, SMILES kept, changes."""

    def __init__(self, file: IO[str]) -> None:
        self.writer = csv.writer(file, lineterminator="\n")
        self.writer.writerow(["line", "text", "name", "smiles", "changes"])

    def __call__(self, row: Row, smiles: str, changes: tuple[str, ...]) -> None:
        self.writer.writerow([*_shown(row), spreadsheet_safe(smiles), "; ".join(changes)])


def block_smiles(text: str) -> str:
    """The SMILES of a mol block, chemistry unchecked where RDKit refuses it; "" where there is none to be had."""
    try:
        return str(Chem.MolToSmiles(Chem.RemoveHs(parse_block(text))))
    except (Rejected, ValueError, RuntimeError):
        pass
    if len(text) > MAX_BLOCK_LENGTH:
        return ""
    mol = Chem.MolFromMolBlock(text, sanitize=False)
    if mol is None or mol.GetNumAtoms() > MAX_HEAVY_ATOMS:
        return ""
    try:
        return str(Chem.MolToSmiles(mol))
    except (ValueError, RuntimeError):
        return ""


def _shown(row: Row) -> list[str | int]:
    text = "" if row.is_block else " ".join(row.text[:SHOWN].split("\n"))
    return [row.line, spreadsheet_safe(text), spreadsheet_safe(row.name[:SHOWN])]

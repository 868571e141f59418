"""A molecule given on the command line: as SMILES, or as a file that holds it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from rdkit import Chem

from molgen.data.readers import FORMATS, read_molecules
from molgen.errors import InputError
from molgen.molecules.parsing import Rejected, parse_block


def smiles_of(option: str, text: str | None) -> str | None:
    """SMILES as they are; of a file, which is known by an extension of FORMATS, the SMILES of its only molecule.

    A mol block may have attachment points (R#, R1, *). option: what errors call it. Raises InputError.
    """
    if text is None or Path(text.lower().removesuffix(".gz")).suffix not in FORMATS:
        return text
    rows = list(islice(read_molecules(text), 2))
    if len(rows) > 1:
        raise InputError(f"{text} has more than one molecule; {option} takes one")
    if not rows[0].is_block:
        return rows[0].text
    try:
        mol = parse_block(rows[0].text)
        return str(Chem.MolToSmiles(Chem.RemoveHs(mol)))
    except Rejected as reason:
        raise InputError(f"the molecule of {text} cannot be used: {reason}") from None

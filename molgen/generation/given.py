"""A molecule given on the command line: as SMILES, or as a file that holds it."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from rdkit import Chem

from molgen.data.readers import FORMATS, read_molecules
from molgen.errors import InputError
from molgen.molecules.parsing import Rejected, atoms_of, bonds_of, parse_block

ANY = "AtomNull"  # how RDKit describes an atom of a mol block that may be anything: an R group, or *


def smiles_of(option: str, given: Path | str | None) -> str | None:
    """SMILES as they are; of a file the SMILES of its only molecule.

    A file is what exists, or has an extension of FORMATS. Of a mol block R groups (R#, R1, *) and attachment points of
    atoms are those of the SMILES. option: what errors call it. Raises InputError, also for other queries in a block.
    """
    if given is None:
        return None
    text = os.fspath(given)
    extension = Path(text.lower().removesuffix(".gz")).suffix
    if extension not in FORMATS and not (extension and os.path.isfile(text)):  # noqa: PTH113  # of any text
        return text
    rows = list(islice(read_molecules(text), 2))
    if len(rows) > 1:
        raise InputError(f"{text} has more than one molecule; {option} takes one")
    if not rows[0].is_block:
        return rows[0].text
    try:
        mol = parse_block(rows[0].text)
    except Rejected as reason:
        raise InputError(f"the molecule of {text} cannot be used: {reason}") from None
    if any(atom.HasQuery() and atom.DescribeQuery().strip() != ANY for atom in atoms_of(mol)) or any(
        bond.HasQuery() for bond in bonds_of(mol)
    ):
        raise InputError(f"{text} has query atoms or bonds, such as A, Q, X or lists; {option} takes a molecule")
    Chem.ExpandAttachmentPoints(mol)
    return str(Chem.MolToSmiles(Chem.RemoveHs(mol)))

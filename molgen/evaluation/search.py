"""Find molecules by a part of their structure or by likeness."""

from collections.abc import Sequence

import numpy as np
from rdkit import Chem, DataStructs

from molgen.errors import InputError
from molgen.evaluation.assessment import generator
from molgen.evaluation.screening import bit_vector
from molgen.molecules.alerts import alerts
from molgen.molecules.parsing import Rejected, parse_smiles

MAX_QUERY = 500  # characters


def has_part(smiles: Sequence[str], part: str, *, drawn: bool = False) -> np.ndarray:
    """Which molecules have the part, bool [m]. part: SMARTS, or the SMILES of a structure where `drawn`.

    Raises InputError for a text that is neither.
    """
    query = _query(part, drawn)
    return np.array([Chem.MolFromSmiles(text).HasSubstructMatch(query) for text in smiles], bool)


def alert_atoms(smiles: str, alert: str) -> tuple[int, ...]:
    """Indices of the atoms of an alert that `molgen.evaluation.assessment` wrote as "SET: name"."""
    name, _, rest = alert.partition(": ")
    return next((found.atoms for found in alerts(parse_smiles(smiles), (name,)) if found.name == rest), ())


def similarities(fingerprints: Sequence[bytes], smiles: str) -> np.ndarray:
    """Tanimoto similarity of each fingerprint of `molgen.evaluation.assessment` to a molecule, float [m].

    Raises InputError for a SMILES that is no molecule.
    """
    try:
        other = generator().GetFingerprint(parse_smiles(smiles))
    except Rejected as reason:
        raise InputError(f"{smiles!r} is not a molecule ({reason})") from None
    return np.array(DataStructs.BulkTanimotoSimilarity(other, [bit_vector(packed) for packed in fingerprints]))


def _query(part: str, drawn: bool) -> Chem.Mol:
    part = part.strip()
    if drawn:
        try:
            return parse_smiles(part)
        except Rejected as reason:
            raise InputError(f"{part!r} is not a structure ({reason})") from None
    query = Chem.MolFromSmarts(part) if 0 < len(part) <= MAX_QUERY else None
    if query is None or not query.GetNumAtoms():
        raise InputError(f"{part!r} is not SMARTS; for example c1ccccc1 (benzene ring) or [NX3;H2] (primary amine)")
    return query

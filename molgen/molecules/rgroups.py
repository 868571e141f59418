"""What hangs where on a core that molecules share: RDKit's R-group decomposition as a table."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from rdkit import Chem
from rdkit.Chem import rdRGroupDecomposition

from molgen.errors import InputError
from molgen.molecules.parsing import Rejected, parse_smiles

SECONDS = 10.0
SMALLEST = 3  # atoms of a core: one or two fit a molecule in too many places to mean anything


class RGroups(NamedTuple):
    """A decomposition.

    table: one row for each molecule that has the core, its index that among the molecules; the columns are core and
    R1, R2, ..., SMILES with attachment points such as [*:1]; a group that is hydrogen everywhere has no column.
    without: the molecules without the core; closing: those with a group that closes a ring on the core, so that it
    hangs on two of its atoms and fits no column.
    """

    table: pd.DataFrame
    without: list[int]
    closing: list[int]


def bare_core(core: str) -> str:
    """Canonical SMILES of a core of one piece without its attachment points. Raises InputError for other texts."""
    try:
        mol = Chem.RWMol(parse_smiles(core))
    except Rejected as reason:
        raise InputError(f"core {core!r} cannot be used: {reason}") from None
    for atom in mol.GetAtoms():
        if atom.GetAtomicNum() == 0:
            if atom.GetDegree() != 1:
                raise InputError(f"core {core!r}: an attachment point should hang on one atom")
            atom.SetAtomicNum(1)
            atom.SetAtomMapNum(0)
            atom.SetNoImplicit(True)
    try:
        bare = Chem.RemoveHs(mol)
    except (ValueError, RuntimeError):
        raise InputError(f"core {core!r} cannot be used: refused by RDKit") from None
    if len(Chem.GetMolFrags(bare)) != 1:
        raise InputError(f"core {core!r} has several pieces; R groups hang on a core of one")
    if bare.GetNumAtoms() < SMALLEST:
        raise InputError(f"core {core!r} has {bare.GetNumAtoms()} heavy atoms; R groups need one of {SMALLEST} or more")
    return Chem.MolToSmiles(bare)


def r_groups(smiles: Sequence[str], core: str) -> RGroups:
    """What hangs on the core in each molecule. core: SMILES; attachment points such as [*:1] number the groups.

    Groups may hang on other atoms of the core, too, and are numbered after those. Where a symmetric core fits in
    several ways, the one is taken that needs fewer columns; molecules are placed one after the other, so the order
    matters. Raises InputError for a core that is not one piece of SMALLEST atoms or more, and where the work would
    take longer than SECONDS.
    """
    bare_core(core)
    everyone = list(range(len(smiles)))
    having, table = _decomposed(smiles, everyone, core)
    closing = [number for number, row in zip(having, table, strict=True) if _closes(row)]
    without = sorted(set(everyone).difference(having))
    if closing:  # without them, as their groups take numbers
        having, table = _decomposed(smiles, sorted(set(having).difference(closing)), core)
    frame = pd.DataFrame(table, index=having).rename(columns={"Core": "core"}).fillna("")
    return RGroups(frame, without, closing)


def _decomposed(smiles: Sequence[str], which: list[int], core: str) -> tuple[list[int], list[dict[str, str]]]:
    """Those that have the core, and RDKit's row of each."""
    parameters = rdRGroupDecomposition.RGroupDecompositionParameters()
    parameters.matchingStrategy = rdRGroupDecomposition.RGroupMatching.Greedy  # others try too much at symmetric cores
    parameters.timeout = SECONDS
    try:
        decomposition = rdRGroupDecomposition.RGroupDecomposition([parse_smiles(core)], parameters)
        having = [number for number in which if decomposition.Add(Chem.MolFromSmiles(smiles[number])) >= 0]
        if not having:
            return [], []
        decomposition.Process()
        return having, decomposition.GetRGroupsAsRows(asSmiles=True)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"the R groups of core {core!r} cannot be found: {error}") from None


def _closes(row: dict[str, str]) -> bool:
    """Whether a group hangs on several atoms of the core."""
    return any(text.count("*") > 1 for name, text in row.items() if name != "Core")

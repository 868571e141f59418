"""Stereoisomers of a molecule that is drawn flat, for programs that need them, and one arrangement of each in space."""

from typing import NamedTuple

from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers
from rdkit.Chem.EnumerateStereoisomers import (
    EnumerateStereoisomers,
    GetStereoisomerCount,
    StereoEnumerationOptions,
)

MOST = 64  # of one molecule that may be asked for
SECONDS = 5  # that one stereoisomer may take to be arranged
ITERATIONS = 500
TRIED = 4  # assignments for each stereoisomer asked for, since some cannot exist in space
SEED = 7


class Stereoisomer(NamedTuple):
    """smiles: with its stereo. block: a mol block in three dimensions, hydrogens included; "" where none was asked
    for."""

    smiles: str
    block: str


class Stereoisomers(NamedTuple):
    """found: the stereoisomers that can exist in space, in the order of their SMILES. possible: the number of
    assignments of all centres and double bonds, impossible and equal ones included."""

    found: tuple[Stereoisomer, ...]
    possible: int


def stereoisomers(mol: Chem.Mol, most: int, *, blocks: bool = False) -> Stereoisomers:
    """Up to `most` stereoisomers of a sanitised molecule; where there are more, a fixed random choice.

    A stereoisomer that distance geometry (ETKDG) cannot arrange in space, such as a trans bond in a small ring, is left
    out: a molecule may have none at all. blocks: with the arrangement, minimised by MMFF94 where it has the atom types.
    """
    mol = Chem.MolFromSmiles(Chem.MolToSmiles(mol))  # the choice shall not depend on the order of the atoms
    options = StereoEnumerationOptions(  # type: ignore[no-untyped-call]
        unique=True, onlyUnassigned=True, maxIsomers=TRIED * most, rand=SEED
    )
    found: dict[str, Stereoisomer] = {}
    for isomer in EnumerateStereoisomers(mol, options=options):  # type: ignore[no-untyped-call]
        if len(found) == most:
            break
        smiles = Chem.MolToSmiles(isomer)
        arranged = _arranged(Chem.AddHs(Chem.MolFromSmiles(smiles)))
        if arranged is not None:
            found[smiles] = Stereoisomer(smiles, _block(arranged) if blocks else "")
    possible = int(GetStereoisomerCount(mol, options))  # type: ignore[no-untyped-call]
    return Stereoisomers(tuple(found[smiles] for smiles in sorted(found)), possible)


def _arranged(mol: Chem.Mol) -> Chem.Mol | None:
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = SEED  # type: ignore[assignment]
    parameters.timeout = SECONDS  # type: ignore[assignment]
    return mol if rdDistGeom.EmbedMultipleConfs(mol, 1, parameters) else None


def _block(mol: Chem.Mol) -> str:
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
        rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=ITERATIONS)
    mol.SetProp("_Name", "")
    return Chem.MolToMolBlock(mol)

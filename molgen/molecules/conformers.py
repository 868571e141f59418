"""Molecules in three dimensions: conformers by distance geometry (ETKDG) and the MMFF94 force field, with energies."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from molgen.molecules.parsing import Rejected, parse_smiles
from molgen.parallel import isolated_map

ITERATIONS = 2_000
SECONDS = 20  # of one molecule; a cage of hundreds of atoms does not end by itself
SEED = 7


class Conformers(NamedTuple):
    """blocks: a mol block of each conformer, hydrogens included, without a title; lowest energy first.

    energies: kcal/mol above the lowest. energy: of the lowest, kcal/mol, MMFF94. reason: why there is none, else "".
    """

    blocks: tuple[str, ...]
    energies: tuple[float, ...]
    energy: float
    reason: str


def conformers(smiles: Sequence[str], count: int, workers: int = 1) -> Iterator[Conformers]:
    """Up to `count` different conformers of each molecule, in order, made in processes of their own.

    A molecule for which there is none, or none in time, has a reason instead.
    """
    return isolated_map(partial(_embed, count=count), smiles, _none, workers=workers, chunk=20, seconds=SECONDS)


def lowest_sdf(smiles: Sequence[str], names: Sequence[str], count: int, workers: int = 1) -> str:
    """The lowest of up to `count` conformers of each molecule as SDF, with its energy; left out where there is none."""
    records = []
    for name, found in zip(names, conformers(smiles, count, workers), strict=True):
        if found.blocks:
            block = "\n".join([" ".join(name.split())[:80], *found.blocks[0].splitlines()[1:]])
            records.append(f"{block}\n>  <MMFF94_kcal_per_mol>\n{found.energy:.3f}\n\n$$$$\n")
    return "".join(records)


def _embed(smiles: str, count: int) -> Conformers:
    try:
        mol = Chem.AddHs(parse_smiles(smiles))
    except Rejected as reason:
        return _none(str(reason))
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = SEED  # type: ignore[assignment]
    if not rdDistGeom.EmbedMultipleConfs(mol, count, parameters):
        return _none("no arrangement in space was found")
    mol.SetProp("_Name", "")
    results = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(mol, maxIters=ITERATIONS)
    energies = np.array([energy for _, energy in results])
    if any(status < 0 for status, _ in results):
        return _none("the force field MMFF94 lacks an atom type")
    kept: list[int] = []
    for row in np.argsort(energies):  # minimisation brings some of them to the same place
        if not kept or energies[row] - energies[kept[-1]] > 0.01:
            kept.append(int(row))
    numbers = [conformer.GetId() for conformer in mol.GetConformers()]
    blocks = tuple(Chem.MolToMolBlock(mol, confId=numbers[row]) for row in kept)
    lowest = float(energies[kept[0]])
    return Conformers(blocks, tuple(float(energies[row]) - lowest for row in kept), lowest, "")


def _none(reason: str) -> Conformers:
    return Conformers((), (), float("nan"), reason)

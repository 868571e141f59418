"""Properties of molecules as plain numbers: PROPERTIES and TARGETS = {name: function of an RDKit molecule}."""

import importlib.util
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

from rdkit import Chem, RDConfig
from rdkit.Chem import QED, Crippen, Descriptors, rdMolDescriptors

from molgen.errors import MolgenError


@cache
def _sa_scorer() -> ModuleType:
    """The synthetic accessibility scorer that ships beside RDKit, outside its package (Ertl & Schuffenhauer 2009)."""
    path = Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py"
    specification = importlib.util.spec_from_file_location("molgen_sascorer", path)
    if specification is None or specification.loader is None or not path.is_file():
        raise MolgenError(f"this installation of RDKit lacks {path}, which the SA score needs; install rdkit with pip")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def sa_score(mol: Chem.Mol) -> float:
    """Synthetic accessibility, 1 (easy) to 10 (hard). Raises MolgenError where RDKit came without the scorer."""
    return _sa_scorer().calculateScore(mol)


# The functions need aromaticity to be perceived; `properties` sees to that.
PROPERTIES: dict[str, Callable[[Chem.Mol], float]] = {
    "mw": Descriptors.MolWt,  # type: ignore[attr-defined]  # g/mol, average isotope masses
    "logp": Crippen.MolLogP,  # type: ignore[attr-defined]  # Wildman-Crippen
    "tpsa": rdMolDescriptors.CalcTPSA,  # square angstrom
    "hbd": rdMolDescriptors.CalcNumHBD,
    "hba": rdMolDescriptors.CalcNumHBA,
    "rotatable_bonds": rdMolDescriptors.CalcNumRotatableBonds,
    "rings": rdMolDescriptors.CalcNumRings,
    "qed": QED.qed,  # 0 to 1
    "sa": sa_score,
}


def hydrogens(mol: Chem.Mol) -> int:
    """All hydrogens of a sanitised molecule: those implied or written with a heavy atom, and those that are atoms."""
    atoms = [mol.GetAtomWithIdx(index) for index in range(mol.GetNumAtoms())]  # GetAtoms() makes slow calls per atom
    return sum(atom.GetTotalNumHs() + (atom.GetAtomicNum() == 1) for atom in atoms)


# What a network can be told to aim at. PROPERTIES are also the columns of `molgen generate` and stay as they are.
TARGETS: dict[str, Callable[[Chem.Mol], float]] = {
    **PROPERTIES,
    "aromatic_rings": rdMolDescriptors.CalcNumAromaticRings,
    "fraction_sp3": rdMolDescriptors.CalcFractionCSP3,  # of the carbons, 0 to 1; 0 without carbon
    "hydrogens": hydrogens,
}


def properties(mol: Chem.Mol) -> dict[str, float]:
    """Every one of PROPERTIES for a sanitised molecule, kekulized or aromatic; it is not changed.

    A property that cannot be computed is NaN. Raises MolgenError where RDKit came without the SA score.
    """
    mol = _aromatic(mol)
    return {name: _number(function, mol) for name, function in PROPERTIES.items()}


def targets(mol: Chem.Mol) -> list[float]:
    """Every one of TARGETS, in that order, for a sanitised molecule, kekulized or aromatic; it is not changed.

    A target that cannot be computed is NaN. Raises MolgenError where RDKit came without the SA score.
    """
    mol = _aromatic(mol)
    return [_number(function, mol) for function in TARGETS.values()]


def _aromatic(mol: Chem.Mol) -> Chem.Mol:
    """A copy with aromaticity perceived: a kekulized ring has another logP, QED and fingerprint."""
    mol = Chem.Mol(mol)
    Chem.SanitizeMol(mol)
    return mol


def _number(function: Callable[[Chem.Mol], float], mol: Chem.Mol) -> float:
    try:
        value = float(function(mol))
    # Contributed Python code fails in many ways on odd molecules: no fragments, None, an unknown element.
    except (ValueError, RuntimeError, ArithmeticError, TypeError, LookupError):
        return math.nan
    return value if math.isfinite(value) else math.nan

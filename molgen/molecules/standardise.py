"""Standardisation with RDKit's MolStandardize: metals, salts and solvents, charges, isotopes.

Functional groups and tautomers stay as drawn: RDKit's rules for them would write every sulfoxide with charges.
"""

from typing import NamedTuple

from rdkit import Chem
from rdkit.Chem.MolStandardize import rdMolStandardize

from molgen.molecules.parsing import Cleaned, Rejected, atoms_of, clean, sanitisation_reason

METALS, FRAGMENTS = "metals disconnected", "fragments removed"
CHARGES, ISOTOPES = "charges neutralised", "isotopes removed"
CHANGES = (METALS, FRAGMENTS, CHARGES, ISOTOPES)
NO_ORGANIC = "no organic fragment"

# H, He, B to Ne, Si to Ar, As to Kr, Te, I, Xe, At, Rn
NON_METALS = frozenset((1, 2, *range(5, 11), *range(14, 19), *range(33, 37), 52, 53, 54, 85, 86))

_disconnector = rdMolStandardize.MetalDisconnector()
_chooser = rdMolStandardize.LargestFragmentChooser(preferOrganic=True)
_uncharger = rdMolStandardize.Uncharger()


class Standardised(NamedTuple):
    """A molecule and what was changed of it, in the order of CHANGES."""

    mol: Chem.Mol
    changes: tuple[str, ...]


def standardise(mol: Chem.Mol) -> Standardised:
    """The parent of a sanitised molecule, which stays as it is; to do it twice changes nothing more.

    - Bonds of metals to N, O and F, and of transition metals to more, are cut (MetalDisconnector).
    - Of several fragments the largest with carbon stays (LargestFragmentChooser): salts, solvents and metals go.
    - Where the charges do not add up to 0, hydrogens are taken or given until they do, as far as they can (Uncharger):
      acids and bases become neutral, quaternary nitrogen keeps its charge. What is neutral as a whole, such as a
      zwitterion or a nitro group, stays as drawn.
    - Isotopes become the element.

    Raises Rejected where fragments or a metal leave nothing organic.
    """
    changes = []
    try:
        if any(atom.GetAtomicNum() not in NON_METALS and atom.GetAtomicNum() for atom in atoms_of(mol)):
            cut = _disconnector.Disconnect(mol)
            if cut.GetNumBonds() < mol.GetNumBonds():
                Chem.SanitizeMol(cut)
                mol = cut
                changes.append(METALS)
            if not _organic(mol):
                raise Rejected(NO_ORGANIC)
        if len(Chem.GetMolFrags(mol)) > 1:
            if not _organic(mol):
                raise Rejected(NO_ORGANIC)
            mol = _chooser.choose(mol)
            changes.append(FRAGMENTS)
        if Chem.GetFormalCharge(mol):
            neutral = _uncharger.uncharge(mol)
            if _charges(neutral) != _charges(mol):
                mol = neutral
                changes.append(CHARGES)
        if any(atom.GetIsotope() for atom in atoms_of(mol)):
            mol = Chem.Mol(mol)
            for atom in atoms_of(mol):
                atom.SetIsotope(0)
            mol = Chem.RemoveHs(mol)
            changes.append(ISOTOPES)
    except (ValueError, RuntimeError) as error:
        raise Rejected(sanitisation_reason(error)) from None
    return Standardised(mol, tuple(changes))


def clean_standardised(mol: Chem.Mol) -> tuple[Cleaned, tuple[str, ...]]:
    """`clean` of the standardised molecule, with what was changed; what either has dropped is dropped."""
    found = standardise(mol)
    cleaned = clean(found.mol)
    isotopes = cleaned.isotopes_dropped or ISOTOPES in found.changes
    fragments = cleaned.fragments_dropped or FRAGMENTS in found.changes
    return cleaned._replace(isotopes_dropped=isotopes, fragments_dropped=fragments), found.changes


def _organic(mol: Chem.Mol) -> bool:
    return any(atom.GetAtomicNum() == 6 for atom in atoms_of(mol))


def _charges(mol: Chem.Mol) -> int:
    return sum(abs(atom.GetFormalCharge()) for atom in atoms_of(mol))

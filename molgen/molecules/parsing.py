"""SMILES and mol blocks to clean RDKit molecules, and why a molecule is rejected."""

import re
from typing import NamedTuple

from rdkit import Chem, RDLogger

RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]  # its messages name no row; ours do

# RDKit crashes the process on molecules of some 20,000 atoms and hangs on larger ones, and no `try`
# can catch that, so the text is measured before RDKit sees it.
MAX_SMILES_LENGTH = 2_000
MAX_HEAVY_ATOMS = 250
MAX_BLOCK_LENGTH = 200_000
SEVERAL = "several fragments"  # a reason


class Rejected(Exception):  # noqa: N818 a verdict on data, not an error
    """A molecule that cannot be used; the message is the reason."""


class Cleaned(NamedTuple):
    """A usable molecule, kekulized, without stereo, isotopes or explicit hydrogens.

    isomer: canonical SMILES with the stereo that was dropped; equal to `smiles` where there was none.
    """

    mol: Chem.Mol
    smiles: str  # canonical
    stereo_dropped: bool
    isotopes_dropped: bool
    fragments_dropped: bool
    isomer: str


def parse_smiles(text: str) -> Chem.Mol:
    """The sanitised molecule of one SMILES. Raises Rejected with the reason."""
    text = text.strip()
    if not text:
        raise Rejected("empty")
    if len(text) > MAX_SMILES_LENGTH:
        raise Rejected(f"SMILES longer than {MAX_SMILES_LENGTH} characters")
    if any(character.isspace() for character in text):  # RDKit would silently drop what follows
        raise Rejected("white space inside the SMILES")
    try:
        mol = Chem.MolFromSmiles(text, sanitize=False)
        if mol is None:
            raise Rejected("unparsable")
        _refuse_size(mol)
        Chem.SanitizeMol(mol)
        if any(mark in text for mark in "@/\\"):  # only where written: perceiving stereo takes time
            Chem.AssignStereochemistry(mol, cleanIt=True)
    except (ValueError, RuntimeError) as error:
        raise Rejected(sanitisation_reason(error)) from None
    return mol


def parse_block(text: str) -> Chem.Mol:
    """The sanitised molecule of one mol block (V2000 or V3000), stereo perceived. Raises Rejected with the reason."""
    if not text.strip():
        raise Rejected("empty")
    if len(text) > MAX_BLOCK_LENGTH:
        raise Rejected(f"mol block longer than {MAX_BLOCK_LENGTH} characters")
    try:
        mol = Chem.MolFromMolBlock(text, sanitize=False, removeHs=False)
        if mol is None:
            raise Rejected("unparsable")
        _refuse_size(mol)
        Chem.SanitizeMol(mol)
        mol = Chem.MolFromMolBlock(text, removeHs=False)  # again: only a sanitising read perceives stereo
    except (ValueError, RuntimeError) as error:
        raise Rejected(sanitisation_reason(error)) from None
    if mol is None:
        raise Rejected("refused by RDKit")
    return mol


def clean(mol: Chem.Mol, keep_largest: bool = False) -> Cleaned:
    """Strip stereo, isotopes and explicit hydrogens, and check that the molecule is usable.

    keep_largest: keep only the fragment with most heavy atoms (then the first in canonical order)
    where there are several, as for a salt. Raises Rejected with the reason.
    """
    _refuse_size(mol)
    stereo = _has_stereo(mol)
    mol = Chem.Mol(mol)
    isotopes = False
    for atom in atoms_of(mol):
        if atom.GetIsotope():
            atom.SetIsotope(0)
            isotopes = True
        if atom.GetAtomMapNum():
            atom.SetAtomMapNum(0)
    try:
        drawn = Chem.RemoveHs(mol) if stereo else mol
        if stereo and isotopes:  # some centres are none any more
            Chem.AssignStereochemistry(drawn, cleanIt=True, force=True)
        Chem.RemoveStereochemistry(mol)
        mol = Chem.RemoveHs(mol)
        fragments = Chem.GetMolFrags(mol)
        if len(fragments) > 1:
            if not keep_largest:
                raise Rejected(SEVERAL)
            pieces = Chem.GetMolFrags(mol, asMols=True)
            mol = min(pieces, key=lambda piece: (-piece.GetNumHeavyAtoms(), Chem.MolToSmiles(piece)))
        for atom in atoms_of(mol):
            if atom.GetAtomicNum() == 0:
                raise Rejected("dummy atom")
            if atom.GetAtomicNum() == 1:  # what RemoveHs had to leave: H2, protons, hydrides, bridges
                raise Rejected("hydrogen without a heavy neighbour")
            if atom.GetNumRadicalElectrons():
                raise Rejected("radical")
        smiles = Chem.MolToSmiles(mol)
        isomer = _isomer(drawn, smiles) if stereo else smiles
        Chem.Kekulize(mol, clearAromaticFlags=True)
    except (ValueError, RuntimeError) as error:
        raise Rejected(sanitisation_reason(error)) from None
    return Cleaned(mol, smiles, stereo, isotopes, len(fragments) > 1, isomer)


def sanitisation_reason(error: Exception) -> str:
    """A short reason from RDKit's message, without atom numbers so that equal reasons can be counted."""
    text = str(error)
    if "valence" in text:
        element = re.search(r"# \d+ ([A-Z][a-z]?)\b", text)
        return f"valence of {element[1]} exceeded" if element else "valence exceeded"
    if "ekulize" in text:
        return "cannot be kekulized"
    return "refused by RDKit"


def atoms_of(mol: Chem.Mol) -> list[Chem.Atom]:
    """The atoms in order; GetAtoms() makes slow calls for each."""
    return [mol.GetAtomWithIdx(index) for index in range(mol.GetNumAtoms())]


def bonds_of(mol: Chem.Mol) -> list[Chem.Bond]:
    """The bonds in order."""
    return [mol.GetBondWithIdx(index) for index in range(mol.GetNumBonds())]


def _refuse_size(mol: Chem.Mol) -> None:
    if mol.GetNumAtoms() == 0:
        raise Rejected("no atoms")
    heavy = mol.GetNumHeavyAtoms()
    if heavy > MAX_HEAVY_ATOMS or mol.GetNumAtoms() > 4 * MAX_HEAVY_ATOMS:
        raise Rejected(f"more than {MAX_HEAVY_ATOMS} heavy atoms")


def _isomer(mol: Chem.Mol, smiles: str) -> str:
    """The SMILES with stereo of the fragment that is `smiles` without; of several such, the first in order."""
    found = str(Chem.MolToSmiles(mol))
    if "." not in found:
        return found
    for piece in sorted(Chem.GetMolFrags(mol, asMols=True), key=Chem.MolToSmiles):
        plain = Chem.Mol(piece)
        Chem.RemoveStereochemistry(plain)
        if Chem.MolToSmiles(Chem.RemoveHs(plain)) == smiles:
            return str(Chem.MolToSmiles(piece))
    return smiles


def _has_stereo(mol: Chem.Mol) -> bool:
    if any(atom.GetChiralTag() != Chem.ChiralType.CHI_UNSPECIFIED for atom in atoms_of(mol)):
        return True
    return any(
        bond.GetStereo() not in (Chem.BondStereo.STEREONONE, Chem.BondStereo.STEREOANY) for bond in bonds_of(mol)
    )

"""SMILES <-> RDKit molecule <-> typed graph, and why a molecule is rejected."""

import re
from functools import cache
from typing import NamedTuple

import numpy as np
from rdkit import Chem, RDLogger

from molgen.molecules.vocabulary import AtomClass, Vocabulary

RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]  # its messages name no row; ours do

# RDKit crashes the process on molecules of some 20,000 atoms and hangs on larger ones, and no `try`
# can catch that, so the text is measured before RDKit sees it.
MAX_SMILES_LENGTH = 2_000
MAX_HEAVY_ATOMS = 250
MAX_BLOCK_LENGTH = 200_000

BOND_TYPES = (None, Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)
BOND_INDEX = {bond: index for index, bond in enumerate(BOND_TYPES) if bond is not None}


class Rejected(Exception):  # noqa: N818 a verdict on data, not an error
    """A molecule that cannot be used; the message is the reason."""


class Cleaned(NamedTuple):
    """A usable molecule, kekulized, without stereo, isotopes or explicit hydrogens."""

    mol: Chem.Mol
    smiles: str  # canonical
    stereo_dropped: bool
    isotopes_dropped: bool
    fragments_dropped: bool


class Decoded(NamedTuple):
    """What a generated graph is: canonical SMILES ("" where RDKit refuses it) and the reason it is not valid.

    reason is "" for a valid molecule; "several fragments" for one that sanitises in pieces.
    """

    smiles: str
    reason: str

    @property
    def sanitised(self) -> bool:
        """RDKit accepts it, with no radical; several fragments allowed."""
        return self.smiles != ""

    @property
    def valid(self) -> bool:
        """Sanitised and one connected molecule."""
        return self.reason == ""


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
    for atom in _atoms(mol):
        if atom.GetIsotope():
            atom.SetIsotope(0)
            isotopes = True
        if atom.GetAtomMapNum():
            atom.SetAtomMapNum(0)
    try:
        Chem.RemoveStereochemistry(mol)
        mol = Chem.RemoveHs(mol)
        fragments = Chem.GetMolFrags(mol)
        if len(fragments) > 1:
            if not keep_largest:
                raise Rejected("several fragments")
            pieces = Chem.GetMolFrags(mol, asMols=True)
            mol = min(pieces, key=lambda piece: (-piece.GetNumHeavyAtoms(), Chem.MolToSmiles(piece)))
        for atom in _atoms(mol):
            if atom.GetAtomicNum() == 0:
                raise Rejected("dummy atom")
            if atom.GetAtomicNum() == 1:  # what RemoveHs had to leave: H2, protons, hydrides, bridges
                raise Rejected("hydrogen without a heavy neighbour")
            if atom.GetNumRadicalElectrons():
                raise Rejected("radical")
        smiles = Chem.MolToSmiles(mol)
        Chem.Kekulize(mol, clearAromaticFlags=True)
    except (ValueError, RuntimeError) as error:
        raise Rejected(sanitisation_reason(error)) from None
    return Cleaned(mol, smiles, stereo, isotopes, len(fragments) > 1)


def atom_classes(mol: Chem.Mol) -> list[AtomClass]:
    """The (element, formal charge) of every atom, in order."""
    return [AtomClass(atom.GetSymbol(), atom.GetFormalCharge()) for atom in _atoms(mol)]


def mol_to_graph(mol: Chem.Mol, index: dict[AtomClass, int]) -> tuple[np.ndarray, np.ndarray]:
    """A kekulized molecule as (nodes uint8 [n], pairs uint8 [n(n-1)/2]); index is Vocabulary.index.

    Raises Rejected for an atom class outside the vocabulary or a bond that is not single, double or triple.
    """
    size = mol.GetNumAtoms()
    nodes = np.empty(size, np.uint8)
    for position, atom in enumerate(atom_classes(mol)):
        if atom not in index:
            raise Rejected(f"atom type {atom} outside the vocabulary")
        nodes[position] = index[atom]
    pairs = np.zeros(size * (size - 1) // 2, np.uint8)
    for bond in _bonds(mol):
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if i > j:
            i, j = j, i
        kind = BOND_INDEX.get(bond.GetBondType())
        if kind is None:
            raise Rejected(f"bond type {str(bond.GetBondType()).lower()}")
        pairs[i * (2 * size - i - 1) // 2 + j - i - 1] = kind
    return nodes, pairs


def bound_atoms(mol: Chem.Mol) -> list[tuple[str, int, int]]:
    """Of every atom but hydrogen: element, number of neighbours besides hydrogen, number of hydrogens."""
    return [(atom.GetSymbol(), atom.GetDegree(), atom.GetTotalNumHs()) for atom in _atoms(mol)]


@cache
def implied_hydrogens(atom: AtomClass, valence: int) -> int | None:
    """Hydrogens that RDKit puts on an atom whose other bonds have orders that sum to `valence`; None: impossible."""
    mol = Chem.RWMol()
    centre = Chem.Atom(atom.element)
    centre.SetFormalCharge(atom.charge)
    mol.AddAtom(centre)
    for _ in range(valence):
        mol.AddBond(0, mol.AddAtom(Chem.Atom("F")), Chem.BondType.SINGLE)
    try:
        Chem.SanitizeMol(mol)
    except (ValueError, RuntimeError):
        return None
    made = mol.GetAtomWithIdx(0)
    return None if made.GetNumRadicalElectrons() else made.GetTotalNumHs()


class GraphDecoder:
    """Turns graphs of class indices into molecules, exactly as they are: nothing is repaired."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.atoms = []
        for element, charge in vocabulary.atoms:
            atom = Chem.Atom(element)
            atom.SetFormalCharge(charge)
            self.atoms.append(atom)

    def to_mol(self, nodes: np.ndarray, pairs: np.ndarray) -> Chem.Mol:
        """The unsanitised molecule of nodes [n] and pairs [n(n-1)/2]."""
        mol = Chem.RWMol()
        for node in nodes.tolist():
            mol.AddAtom(self.atoms[node])
        size = len(nodes)
        for position in np.flatnonzero(pairs).tolist():
            i, j = _pair(position, size)
            mol.AddBond(i, j, BOND_TYPES[int(pairs[position])])  # type: ignore[arg-type]
        return mol

    def decode(self, nodes: np.ndarray, pairs: np.ndarray) -> Decoded:
        """Canonical SMILES and verdict of one graph; a graph that is no molecule is data, not an error."""
        mol = self.to_mol(nodes, pairs)
        try:
            Chem.SanitizeMol(mol)
            smiles = Chem.MolToSmiles(mol)
        except (ValueError, RuntimeError) as error:
            return Decoded("", sanitisation_reason(error))
        if any(atom.GetNumRadicalElectrons() for atom in _atoms(mol)):
            return Decoded("", "radical")
        return Decoded(smiles, "several fragments" if "." in smiles else "")


def sanitisation_reason(error: Exception) -> str:
    """A short reason from RDKit's message, without atom numbers so that equal reasons can be counted."""
    text = str(error)
    if "valence" in text:
        element = re.search(r"# \d+ ([A-Z][a-z]?)\b", text)
        return f"valence of {element[1]} exceeded" if element else "valence exceeded"
    if "ekulize" in text:
        return "cannot be kekulized"
    return "refused by RDKit"


def _atoms(mol: Chem.Mol) -> list[Chem.Atom]:
    return [mol.GetAtomWithIdx(index) for index in range(mol.GetNumAtoms())]  # GetAtoms() makes slow calls per atom


def _bonds(mol: Chem.Mol) -> list[Chem.Bond]:
    return [mol.GetBondWithIdx(index) for index in range(mol.GetNumBonds())]


def _pair(position: int, size: int) -> tuple[int, int]:
    row = 0
    while position >= size - row - 1:
        position -= size - row - 1
        row += 1
    return row, row + 1 + position


def _refuse_size(mol: Chem.Mol) -> None:
    if mol.GetNumAtoms() == 0:
        raise Rejected("no atoms")
    heavy = mol.GetNumHeavyAtoms()
    if heavy > MAX_HEAVY_ATOMS or mol.GetNumAtoms() > 4 * MAX_HEAVY_ATOMS:
        raise Rejected(f"more than {MAX_HEAVY_ATOMS} heavy atoms")


def _has_stereo(mol: Chem.Mol) -> bool:
    if any(atom.GetChiralTag() != Chem.ChiralType.CHI_UNSPECIFIED for atom in _atoms(mol)):
        return True
    return any(bond.GetStereo() not in (Chem.BondStereo.STEREONONE, Chem.BondStereo.STEREOANY) for bond in _bonds(mol))

"""Clean RDKit molecules to typed graphs and back, exactly: nothing is repaired.

Graphs are NumPy arrays here, pairs in the order of molgen.molecules.graph: worker processes start without torch.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from rdkit import Chem

from molgen.molecules.parsing import SEVERAL, Rejected, atoms_of, bonds_of, sanitisation_reason
from molgen.molecules.vocabulary import AtomClass, Vocabulary

# in the order of BOND_CLASSES
BOND_TYPES = (None, Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)
BOND_INDEX = {bond: index for index, bond in enumerate(BOND_TYPES) if bond is not None}


def atom_classes(mol: Chem.Mol) -> list[AtomClass]:
    """The (element, formal charge) of every atom, in order."""
    return [AtomClass(atom.GetSymbol(), atom.GetFormalCharge()) for atom in atoms_of(mol)]


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
    for bond in bonds_of(mol):
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        kind = BOND_INDEX.get(bond.GetBondType())
        if kind is None:
            raise Rejected(f"bond type {str(bond.GetBondType()).lower()}")
        pairs[_position(min(i, j), max(i, j), size)] = kind
    return nodes, pairs


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
        return _judged(self.to_mol(nodes, pairs))

    def decode_mol(self, nodes: np.ndarray, pairs: np.ndarray) -> tuple[Decoded, Chem.Mol | None]:
        """The same, and the sanitised molecule where it is valid: as if its canonical SMILES had been parsed.

        Its atoms are in the order of the SMILES, since sums over atoms are rounded as that order has it.
        """
        mol = self.to_mol(nodes, pairs)
        verdict = _judged(mol)
        if not verdict.valid:
            return verdict, None
        order = mol.GetPropsAsDict(includePrivate=True, includeComputed=True)["_smilesAtomOutputOrder"]
        return verdict, Chem.RenumberAtoms(mol, list(order))


def bound_atoms(mol: Chem.Mol) -> list[tuple[str, int, int]]:
    """Element, number of heavy neighbours and number of hydrogens of every heavy atom."""
    return [(atom.GetSymbol(), atom.GetDegree(), atom.GetTotalNumHs()) for atom in atoms_of(mol)]


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


def _judged(mol: Chem.Mol) -> Decoded:
    """Sanitise a molecule in place, and say what it is."""
    try:
        Chem.SanitizeMol(mol)
        smiles = Chem.MolToSmiles(mol)
    except (ValueError, RuntimeError) as error:
        return Decoded("", sanitisation_reason(error))
    if any(atom.GetNumRadicalElectrons() for atom in atoms_of(mol)):
        return Decoded("", "radical")
    return Decoded(smiles, SEVERAL if "." in smiles else "")


def _position(i: int, j: int, size: int) -> int:
    """Position of the pair i < j in the upper triangle, row by row."""
    return i * (2 * size - i - 1) // 2 + j - i - 1


def _pair(position: int, size: int) -> tuple[int, int]:
    """The inverse of `_position`."""
    row = 0
    while position >= size - row - 1:
        position -= size - row - 1
        row += 1
    return row, row + 1 + position

"""Which of many SMARTS patterns a molecule can have at all, told from its atoms and bonds one by one.

A pattern is only there if the molecule has, for each atom and each bond of the pattern, one that fits, and as many as
the pattern asks for. Which atoms of patterns an atom fits hangs on a few numbers (element, charge, hydrogens, rings,
...), its kind, and is looked up once for each kind.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from rdkit import Chem

# SMARTS that ask for what a kind does not hold: bonds in rings (x), neighbours by element (z, Z), heavy ones (d)
_OTHER = re.compile(r"[xz]|Z(?![nr])|(?<![CGNP])d|(?<!B)k")
MAX_KINDS = 20_000  # kept in memory, then begun anew; drug-like molecules have some hundred


class PatternScreen:
    """What the atoms and bonds of some patterns (molecules with queries) ask for, and which kinds of atoms fit it."""

    def __init__(self, patterns: Sequence[Chem.Mol]) -> None:
        self._fits: dict[tuple[object, ...], np.ndarray] = {}
        atoms = {"*": 0}
        links: dict[str, int] = {}
        bonds: dict[tuple[int, int, int], int] = {}
        asked: list[tuple[int, bool, int, int]] = []  # pattern, bond instead of atom, its number, how often
        self._links: list[Chem.Bond] = []  # RDKit keeps their molecules
        for position, pattern in enumerate(patterns):
            own = [atoms.setdefault(_loosened(atom.GetSmarts()), len(atoms)) for atom in pattern.GetAtoms()]
            joined = []
            for bond in pattern.GetBonds():
                text = bond.GetSmarts()  # type: ignore[call-arg]
                if text not in links:
                    links[text] = len(links)
                    self._links.append(bond)
                ends = sorted((own[bond.GetBeginAtomIdx()], own[bond.GetEndAtomIdx()]))
                joined.append(bonds.setdefault((links[text], ends[0], ends[1]), len(bonds)))
            asked.append((position, False, 0, 0))  # nothing of nothing, so that a pattern without atoms is possible
            asked += [(position, False, number, count) for number, count in Counter(own).items()]
            asked += [(position, True, number, count) for number, count in Counter(joined).items()]
        self._atoms = [Chem.MolFromSmarts(text) for text in atoms]
        self._bonds = np.array(list(bonds), int).reshape(-1, 3).T
        self._starts = np.flatnonzero(np.diff([place for place, *_ in asked], prepend=-1))
        self._asked = np.array([number + bond * len(atoms) for _, bond, number, _ in asked], int)
        self._needed = np.array([count for *_, count in asked], int)

    def possible(self, mol: Chem.Mol) -> np.ndarray:
        """Which patterns a sanitised molecule may have, bool [m]; those that are left out it does not have."""
        if len(self._fits) > MAX_KINDS:
            self._fits.clear()
        rings = mol.GetRingInfo()
        fits = [self._fitting(mol, number, rings) for number in range(mol.GetNumAtoms())]
        atoms = np.array(fits, bool).reshape(mol.GetNumAtoms(), len(self._atoms)).T.copy()
        ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()]
        first = atoms[:, [begin for begin, _ in ends]]
        second = atoms[:, [end for _, end in ends]]
        fits = [self._linking(bond, rings) for bond in mol.GetBonds()]
        links = np.array(fits, bool).reshape(len(ends), len(self._links)).T
        link, one, other = self._bonds
        bonds = (first[one] & second[other] | first[other] & second[one]) & links[link]
        counts = np.concatenate([atoms.sum(1), bonds.sum(1)])
        return np.logical_and.reduceat(counts[self._asked] >= self._needed, self._starts)

    def _fitting(self, mol: Chem.Mol, number: int, rings: Chem.RingInfo) -> np.ndarray:
        """Which atoms of patterns an atom fits, bool [atoms]."""
        atom = mol.GetAtomWithIdx(number)
        kind = (
            atom.GetAtomicNum(),
            atom.GetFormalCharge(),
            atom.GetIsAromatic(),
            atom.GetDegree(),
            atom.GetTotalNumHs(),
            atom.GetTotalNumHs(True),
            atom.GetTotalValence(),
            atom.GetIsotope(),
            atom.GetHybridization(),
            rings.AtomRingSizes(number),
        )
        if kind not in self._fits:
            fits = [(number,) in mol.GetSubstructMatches(query, maxMatches=mol.GetNumAtoms()) for query in self._atoms]
            self._fits[kind] = np.array(fits, bool)
        return self._fits[kind]

    def _linking(self, bond: Chem.Bond, rings: Chem.RingInfo) -> np.ndarray:
        """Which bonds of patterns a bond fits, whatever it binds, bool [links]."""
        kind = (bond.GetBondType(), bond.GetIsAromatic(), rings.NumBondRings(bond.GetIdx()))
        if kind not in self._fits:
            self._fits[kind] = np.array([link.Match(bond) for link in self._links], bool)
        return self._fits[kind]


def _loosened(atom: str) -> str:
    """SMARTS of an atom that asks less: $(CO) becomes $(C), !$(CO) becomes *, and so does what is beyond its kind."""
    if _OTHER.search(atom):
        return "*"
    start = atom.find("$(")
    if start < 0:
        return atom
    end = _closed(atom, start + 1)
    before, inside, after = atom[:start], atom[start + 2 : end - 1], atom[end:]
    if before.endswith("!"):
        return f"{before[:-1]}*{_loosened(after)}"
    first = inside[: _closed(inside, 0)] if inside.startswith("[") else re.findall("Cl|Br|.", inside)[0]
    return f"{before}$({_loosened(first)}){_loosened(after)}"


def _closed(text: str, start: int) -> int:
    """The position behind the bracket that closes the one at `start`."""
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] in "([") - (text[position] in ")]")
        if not depth:
            return position + 1
    raise ValueError(f"no closing bracket in {text!r}")

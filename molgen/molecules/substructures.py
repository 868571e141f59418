"""Parts of molecules: those that a user asks for, the Murcko scaffold, ring systems, and blocks."""

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
from rdkit import Chem
from rdkit.Chem.rdSubstructLibrary import CachedSmilesMolHolder, CachedTrustedSmilesMolHolder, SubstructLibrary
from rdkit.Chem.Scaffolds import MurckoScaffold

from molgen.errors import InputError
from molgen.molecules.hashing import contains, smiles_hashes
from molgen.molecules.parsing import Rejected, parse_smiles

MAX_QUERY = 500  # characters
PARTS_DEFINITION = 2  # raised when `ring_systems` or `surroundings` change, so that what was kept is made again
LARGE_RING = 8  # atoms
ACYCLIC = "acyclic"  # what stands for the scaffold of molecules without rings
BARE = {"B", "C", "N", "O", "P", "S", "F", "Cl", "Br", "I"}  # elements that SMILES write without brackets


def has_part(smiles: Sequence[str], part: str, *, drawn: bool = False) -> np.ndarray:
    """Which molecules have the part, bool [m]. part: SMARTS, or the SMILES of a structure where `drawn`.

    smiles: as RDKit writes them. Raises InputError for a part that is neither.
    """
    query = _query(part, drawn)
    # What RDKit wrote needs no sanitising, which is most of the time; only hybridisation (^) is not known without.
    holder = CachedSmilesMolHolder() if "^" in part else CachedTrustedSmilesMolHolder()
    for text in smiles:
        holder.AddSmiles(text)
    library = SubstructLibrary(holder)
    found = np.zeros(len(smiles), bool)
    found[list(library.GetMatches(query, useChirality=False, maxResults=len(smiles)))] = True
    return found


def part_atoms(smiles: str, part: str, *, drawn: bool = False) -> tuple[int, ...]:
    """The atoms of a molecule, as its SMILES counts them, that belong to the part wherever it is; see `has_part`."""
    matches = Chem.MolFromSmiles(smiles).GetSubstructMatches(_query(part, drawn))
    return tuple(sorted({atom for match in matches for atom in match}))


def scaffold(mol: Chem.Mol) -> str:
    """Canonical SMILES of the Murcko scaffold (Bemis and Murcko 1996), "" for a molecule without rings."""
    return Chem.MolToSmiles(MurckoScaffold.GetScaffoldForMol(mol))  # type: ignore[no-untyped-call]


def has_scaffold(scaffolds: Sequence[str], wanted: str) -> np.ndarray:
    """Which of the scaffolds, as `scaffold` gives them, are the one wanted, bool [m].

    wanted: its SMILES, however it is written, or ACYCLIC for molecules without rings. Raises InputError for others.
    """
    wanted = wanted.strip()
    found = np.array([text == ("" if wanted == ACYCLIC else wanted) for text in scaffolds], bool)
    if found.any() or wanted == ACYCLIC:
        return found  # also what RDKit writes and does not read
    try:
        canonical = Chem.MolToSmiles(parse_smiles(wanted))
    except Rejected as reason:
        raise InputError(
            f"{wanted!r} is not the SMILES of a scaffold ({reason}); {ACYCLIC} stands for molecules without rings"
        ) from None
    return np.array([text == canonical for text in scaffolds], bool)


def ring_systems(mol: Chem.Mol) -> list[str]:
    """Canonical SMILES of each ring system of a sanitised molecule, sorted, one that is there twice twice.

    A ring system: rings that share an atom (fused, bridged or spiro), with the atoms that are bound to them by double
    bonds outside rings. Charges are taken off, stereo and isotopes are left out, and hydrogens stand where other bonds
    were, so that piperidine, N-methylpiperidine and piperidinium have the same one, "C1CCNCC1". Where no proper
    molecule is left, as of a spiro ammonium ion, the text only names the system: RDKit does not read it. Elements that
    need brackets, as silicon, are written without hydrogens.
    """
    rings = mol.GetRingInfo().AtomRings()
    if not rings:
        return []
    doubles = mol.GetSubstructMatches(_double_bond())
    symbols = [""] * mol.GetNumAtoms()
    found = []
    for system, ring in _joined(rings):
        outside = {b for a, b in doubles if a in system} | {a for a, b in doubles if b in system}
        atoms = [mol.GetAtomWithIdx(number) for number in ring or system]
        for atom in atoms:
            symbols[atom.GetIdx()] = _symbol(atom, system)
        if ring and not outside and all(atom.GetIsAromatic() for atom in atoms):
            # most rings of drugs; spelt directly, which makes all of MOSES a fifth faster
            first, *others = (symbols[number] for number in ring)
            text = f"{first}1{''.join(others)}1"
        else:
            for number in outside:  # it may be in an aromatic ring of its own
                symbols[number] = _bracketed(mol.GetAtomWithIdx(number).GetSymbol())
            text = Chem.MolFragmentToSmiles(mol, [*system, *outside], atomSymbols=symbols, isomericSmiles=False)
        found.append(_canonical(text))
    return sorted(found)


def unseen_ring_systems(mol: Chem.Mol, known: np.ndarray) -> int:
    """How many ring systems of a sanitised molecule are not among `known`, sorted hashes uint64 [k]."""
    systems = set(ring_systems(mol))
    return int((~contains(known, smiles_hashes(systems))).sum()) if systems else 0


def surroundings(mol: Chem.Mol) -> list[str]:
    """Of each atom of a sanitised molecule, in order, what it is and what it is bound to.

    An atom: element, charge, hydrogens, neighbours, and whether it is in a ring; for its neighbours the same, with the
    order of the bond. That is what a Morgan fingerprint of radius 1 knows (Rogers and Hahn 2010), written out, as its
    numbers may change with RDKit.
    """
    atoms = []
    for atom in mol.GetAtoms():
        charge = atom.GetFormalCharge()
        atoms.append(
            f"{atom.GetSymbol()}{f'{charge:+d}' if charge else ''}H{atom.GetTotalNumHs()}D{atom.GetDegree()}"
            f"{'R' if atom.IsInRing() else ''}"
        )
    bound: list[list[str]] = [[] for _ in atoms]
    for bond in mol.GetBonds():
        first, last, order = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), _order(bond.GetBondType())
        bound[first].append(order + atoms[last])
        bound[last].append(order + atoms[first])
    return [f"{atom}({','.join(sorted(others))})" for atom, others in zip(atoms, bound, strict=True)]


def parts(mol: Chem.Mol) -> list[str]:
    """The surroundings of each atom of a sanitised molecule, and its ring systems."""
    return [*surroundings(mol), *ring_systems(mol)]


def blocks(mol: Chem.Mol) -> np.ndarray:
    """Which atoms hang together by more than bonds that may be cut: the number of each atom's block, int64 [n].

    A bond may be cut that is single, outside rings and has no charge at either end, so that ring systems, carbonyl and
    nitro groups stay whole. Between blocks a molecule is a tree.
    """
    editable = Chem.RWMol(mol)
    Chem.FastFindRings(editable)
    for bond in list(editable.GetBonds()):
        ends = bond.GetBeginAtom(), bond.GetEndAtom()
        is_charged = any(atom.GetFormalCharge() for atom in ends)
        if bond.GetBondType() == Chem.BondType.SINGLE and not bond.IsInRing() and not is_charged:
            editable.RemoveBond(ends[0].GetIdx(), ends[1].GetIdx())
    number = np.zeros(mol.GetNumAtoms(), np.int64)
    for place, atoms in enumerate(Chem.GetMolFrags(editable)):
        number[list(atoms)] = place
    return number


def has_large_ring(mol: Chem.Mol) -> bool:
    """Whether one of the smallest rings of a molecule (RDKit's ring information) has LARGE_RING atoms or more."""
    return any(len(ring) >= LARGE_RING for ring in mol.GetRingInfo().AtomRings())


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


def _joined(rings: Sequence[tuple[int, ...]]) -> list[tuple[set[int], tuple[int, ...]]]:
    """The atoms of each ring system, and the same in the order of the ring where it is a single ring, else ()."""
    systems: list[tuple[set[int], tuple[int, ...]]] = []
    for ring in rings:
        joined, order = set(ring), ring
        apart = []
        for system in systems:
            if system[0] & joined:
                joined, order = joined | system[0], ()
            else:
                apart.append(system)
        systems = [*apart, (joined, order)]
    return systems


def _symbol(atom: Chem.Atom, system: set[int]) -> str:
    """An atom of a ring system as its SMILES has it, without charge."""
    symbol = atom.GetSymbol()
    if not atom.GetIsAromatic():
        return _bracketed(symbol)
    three_bonds = symbol in ("N", "P") and atom.GetTotalDegree() - atom.GetFormalCharge() == 3
    if three_bonds and sum(neighbour.GetIdx() in system for neighbour in atom.GetNeighbors()) == 2:
        return f"[{symbol.lower()}H]"  # as in pyrrole: the third bond leaves the system
    return symbol.lower() if symbol in BARE else f"[{symbol.lower()}]"


def _bracketed(symbol: str) -> str:
    return symbol if symbol in BARE else f"[{symbol}]"


@cache
def _order(bond: Chem.BondType) -> str:
    known = {Chem.BondType.SINGLE: "-", Chem.BondType.DOUBLE: "=", Chem.BondType.TRIPLE: "#"}
    return known.get(bond, ":" if bond == Chem.BondType.AROMATIC else "~")


@lru_cache(maxsize=100_000)
def _canonical(text: str) -> str:
    mol = Chem.MolFromSmiles(text)
    if mol is None:
        mol = Chem.MolFromSmiles(text, sanitize=False)
        mol.UpdatePropertyCache(strict=False)
        Chem.FastFindRings(mol)
    return Chem.MolToSmiles(mol)


@cache
def _double_bond() -> Chem.Mol:
    return Chem.MolFromSmarts("[R]=!@*")

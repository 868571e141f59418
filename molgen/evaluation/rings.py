"""Ring systems, and the share of molecules that have one which no training molecule has: the surest sign of nonsense.

    unseen_rings(smiles, prepare("moses"), workers=2)

compares with all the training molecules; their ring systems are found once and stay in the folder of the set.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from rdkit import Chem, rdBase

from molgen.files import atomic_write
from molgen.parallel import isolated_chunks

if TYPE_CHECKING:  # it brings torch, which would slow the start of every worker
    from molgen.data.prepared import PreparedSet

DEFINITION = 2  # of a ring system; raised when `ring_systems` changes, so that what was kept is made again
LARGE_RING = 8  # atoms
CHUNK = 1_000
BARE = {"B", "C", "N", "O", "P", "S", "F", "Cl", "Br", "I"}  # elements that SMILES write without brackets
Progress = Callable[[str, int, int], object]  # what is done, molecules done, of how many


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


def has_large_ring(mol: Chem.Mol) -> bool:
    """Whether one of the smallest rings of a molecule (RDKit's ring information) has LARGE_RING atoms or more."""
    return any(len(ring) >= LARGE_RING for ring in mol.GetRingInfo().AtomRings())


def unseen_rings(
    smiles: Sequence[str], prepared: PreparedSet, workers: int, progress: Progress | None = None
) -> dict[str, float]:
    """Of valid molecules, repeats included, the shares with strange rings, 0 to 1, NaN of no molecule.

    "unseen_rings": share of molecules with a ring system (`ring_systems`) that no molecule of the training part of
    `prepared` has; "large_rings": share with a ring of LARGE_RING atoms or more (`has_large_ring`).
    smiles: canonical, as those of the prepared set are. A molecule without rings counts in the denominator.
    Raises InputError where the training molecules cannot be read.
    """
    known = training_systems(prepared, workers, progress)
    unseen = large = count = 0
    for systems, has_large in _ringed(smiles, workers, progress, "ring systems of FILE"):
        count += 1
        unseen += not known.issuperset(systems)
        large += has_large
    shares = {"unseen_rings": unseen, "large_rings": large}
    return {name: number / count if count else math.nan for name, number in shares.items()}


def training_systems(prepared: PreparedSet, workers: int, progress: Progress | None = None) -> frozenset[str]:
    """Every ring system that a training molecule of a prepared set has, kept in its folder for the next time."""
    path = prepared.folder / "ring-systems.json"
    made_by = {"definition": DEFINITION, "rdkit": rdBase.rdkitVersion}  # canonical SMILES may change with RDKit
    with suppress(OSError, ValueError, KeyError, TypeError):  # not made yet, or damaged
        kept = json.loads(path.read_text(encoding="utf-8"))
        if {name: kept[name] for name in made_by} == made_by:
            return frozenset(kept["systems"])
    found: set[str] = set()
    for systems, _ in _ringed(prepared.smiles("train"), workers, progress, f"ring systems of {prepared.name}"):
        found.update(systems)
    with suppress(OSError), atomic_write(path) as file:  # a folder that cannot be written to costs only time
        file.write(json.dumps({**made_by, "systems": sorted(found)}, indent=0) + "\n")
    return frozenset(found)


def _ringed(
    smiles: Sequence[str], workers: int, progress: Progress | None, what: str
) -> Iterator[tuple[list[str], bool]]:
    """The ring systems of each molecule and whether it has a large ring; a molecule that crashes RDKit is left out."""
    done, workers = 0, min(workers, 1 + len(smiles) // CHUNK)  # a process starts for seconds: none without work
    for rows, results in isolated_chunks(_rings_of, smiles, lambda _: [], workers=workers, chunk=CHUNK):
        yield from results
        done += len(rows)
        if progress is not None:
            progress(what, done, len(smiles))


def _rings_of(smiles: list[str]) -> list[tuple[list[str], bool]]:
    results = []
    for text in smiles:
        # Canonical SMILES tell what is aromatic; to work it out again would take a quarter of the time.
        mol = Chem.MolFromSmiles(text, sanitize=False)
        if mol is not None:
            mol.UpdatePropertyCache(strict=False)
            Chem.GetSymmSSSR(mol)
            results.append((ring_systems(mol), has_large_ring(mol)))
    return results


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

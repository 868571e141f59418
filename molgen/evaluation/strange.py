"""The shares of molecules with parts that no training molecule has: the surest sign of nonsense.

    strange_shares(smiles, prepare("moses"), workers=2)

compares with all the training molecules; their parts are found once and stay in the folder of the set.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from rdkit import Chem, rdBase

from molgen.files import atomic_write
from molgen.molecules.substructures import PARTS_DEFINITION, has_large_ring, ring_systems, surroundings
from molgen.parallel import isolated_chunks
from molgen.progress import Progress, silent

if TYPE_CHECKING:  # it brings torch, which would slow the start of every worker
    from molgen.data.prepared import PreparedSet

CHUNK = 1_000

T = TypeVar("T")


class Parts(NamedTuple):
    """Parts of molecules, as `ring_systems` and `surroundings` name them."""

    ring_systems: frozenset[str]
    surroundings: frozenset[str]


class StrangeShares(NamedTuple):
    """Shares of strange molecules, 0 to 1, NaN of no molecule.

    unseen_rings: those with a ring system (`ring_systems`) that no training molecule has; large_rings: those with a
    ring of eight atoms or more (`has_large_ring`); unseen_surroundings: those with an atom in `surroundings` that no
    atom of a training molecule has.
    """

    unseen_rings: float
    large_rings: float
    unseen_surroundings: float


def strange_shares(
    smiles: Sequence[str], prepared: PreparedSet, workers: int, progress: Progress = silent
) -> StrangeShares:
    """The shares among valid molecules, repeats included, beside the training part of `prepared`.

    smiles: canonical, as those of the prepared set are. A molecule without rings counts in the denominator.
    Raises InputError where the training molecules cannot be read.
    """
    known = training_parts(prepared, workers, progress)
    rings = large = around = count = 0
    for parts, has_large in _chunked(_parts_of_each, smiles, workers, progress, "parts"):
        count += 1
        rings += not known.ring_systems.issuperset(parts.ring_systems)
        around += not known.surroundings.issuperset(parts.surroundings)
        large += has_large
    if not count:
        return StrangeShares(math.nan, math.nan, math.nan)
    return StrangeShares(rings / count, large / count, around / count)


def training_parts(prepared: PreparedSet, workers: int, progress: Progress = silent) -> Parts:
    """All parts that a training molecule of a prepared set has, kept in its folder for the next time."""
    path = prepared.folder / "parts.json"
    made_by = {"definition": PARTS_DEFINITION, "rdkit": rdBase.rdkitVersion}  # canonical SMILES may change with RDKit
    with suppress(OSError, ValueError, KeyError, TypeError):  # not made yet, or damaged
        kept = json.loads(path.read_text(encoding="utf-8"))
        if {name: kept[name] for name in made_by} == made_by:
            return Parts(*(frozenset(kept[name]) for name in Parts._fields))
    found: tuple[set[str], set[str]] = set(), set()
    for parts in _chunked(_parts_of_all, prepared.smiles("train"), workers, progress, f"parts of {prepared.name}"):
        for all_of_them, some in zip(found, parts, strict=True):
            all_of_them.update(some)
    record = {name: sorted(texts) for name, texts in zip(Parts._fields, found, strict=True)}
    with suppress(OSError), atomic_write(path) as file:  # a folder that cannot be written to costs only time
        file.write(json.dumps({**made_by, **record}, indent=0) + "\n")
    return Parts(*map(frozenset, found))


def _chunked(
    function: Callable[[list[str]], list[T]], smiles: Sequence[str], workers: int, progress: Progress, stage: str
) -> Iterator[T]:
    """What the function gives for molecules in chunks; those that crash RDKit are left out."""
    if len(smiles) <= CHUNK:  # a process takes seconds to start
        yield from function(list(smiles))
        progress(stage, len(smiles), len(smiles))
        return
    done, workers = 0, min(workers, 1 + len(smiles) // CHUNK)
    for rows, results in isolated_chunks(function, smiles, lambda _: [], workers=workers, chunk=CHUNK):
        yield from results
        done += len(rows)
        progress(stage, done, len(smiles))


def _parts_of_each(smiles: list[str]) -> list[tuple[Parts, bool]]:
    """The parts of each molecule that can be read, and whether it has a large ring."""
    return [
        (Parts(frozenset(ring_systems(mol)), frozenset(surroundings(mol))), has_large_ring(mol))
        for mol in _read(smiles)
    ]


def _parts_of_all(smiles: list[str]) -> list[Parts]:
    """The parts of all molecules together, as the only result."""
    systems: set[str] = set()
    around: set[str] = set()
    for mol in _read(smiles):
        systems.update(ring_systems(mol))
        around.update(surroundings(mol))
    return [Parts(frozenset(systems), frozenset(around))]


def _read(smiles: list[str]) -> Iterator[Chem.Mol]:
    for text in smiles:
        # Canonical SMILES tell what is aromatic; to work it out again would take a quarter of the time.
        mol = Chem.MolFromSmiles(text, sanitize=False)
        if mol is not None:
            mol.UpdatePropertyCache(strict=False)
            Chem.GetSymmSSSR(mol)
            yield mol

"""The share of molecules with a ring system that no training molecule has: the surest sign of nonsense.

    unseen_rings(smiles, prepare("moses"), workers=2)

compares with all the training molecules; their ring systems are found once and stay in the folder of the set.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from rdkit import Chem, rdBase

from molgen.files import atomic_write
from molgen.molecules.substructures import RING_DEFINITION, has_large_ring, ring_systems
from molgen.parallel import isolated_chunks
from molgen.progress import Progress, silent

if TYPE_CHECKING:  # it brings torch, which would slow the start of every worker
    from molgen.data.prepared import PreparedSet

CHUNK = 1_000


class RingShares(NamedTuple):
    """Shares of molecules with strange rings, 0 to 1, NaN of no molecule.

    unseen_rings: those with a ring system (`ring_systems`) that no training molecule has; large_rings: those with a
    ring of eight atoms or more (`has_large_ring`).
    """

    unseen_rings: float
    large_rings: float


def unseen_rings(smiles: Sequence[str], prepared: PreparedSet, workers: int, progress: Progress = silent) -> RingShares:
    """The shares of strange rings among valid molecules, repeats included, beside the training part of `prepared`.

    smiles: canonical, as those of the prepared set are. A molecule without rings counts in the denominator.
    Raises InputError where the training molecules cannot be read.
    """
    known = training_systems(prepared, workers, progress)
    unseen = large = count = 0
    for systems, has_large in _ringed(smiles, workers, progress, "ring systems"):
        count += 1
        unseen += not known.issuperset(systems)
        large += has_large
    return RingShares(unseen / count, large / count) if count else RingShares(math.nan, math.nan)


def training_systems(prepared: PreparedSet, workers: int, progress: Progress = silent) -> frozenset[str]:
    """Every ring system that a training molecule of a prepared set has, kept in its folder for the next time."""
    path = prepared.folder / "ring-systems.json"
    made_by = {"definition": RING_DEFINITION, "rdkit": rdBase.rdkitVersion}  # canonical SMILES may change with RDKit
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


def _ringed(smiles: Sequence[str], workers: int, progress: Progress, stage: str) -> Iterator[tuple[list[str], bool]]:
    """The ring systems of each molecule and whether it has a large ring; a molecule that crashes RDKit is left out."""
    if len(smiles) <= CHUNK:  # a process takes seconds to start
        yield from _rings_of(list(smiles))
        progress(stage, len(smiles), len(smiles))
        return
    done, workers = 0, min(workers, 1 + len(smiles) // CHUNK)
    for rows, results in isolated_chunks(_rings_of, smiles, lambda _: [], workers=workers, chunk=CHUNK):
        yield from results
        done += len(rows)
        progress(stage, done, len(smiles))


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

"""Turn rows of untrusted files into graphs: every row is kept, or rejected with a reason.

RDKit works in other processes (molgen.parallel), since some molecules crash or hang it: only the row at fault is
rejected. Nothing here imports torch, which those processes would have to load too.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from molgen.data.readers import Row
from molgen.data.rejects import block_smiles
from molgen.errors import InputError
from molgen.molecules.encoding import GraphDecoder, atom_classes, mol_to_graph
from molgen.molecules.hashing import DistinctMolecules
from molgen.molecules.parsing import SEVERAL, Cleaned, Rejected, clean, parse_block, parse_smiles
from molgen.molecules.standardise import clean_standardised
from molgen.molecules.vocabulary import AtomClass, Vocabulary
from molgen.parallel import isolated_chunks
from molgen.progress import Progress
from molgen.workers import usual_workers

CHUNK = 2_000  # rows; about a second of work, and under a megabyte to send back
ROW_SECONDS = 10
MAX_CLASSES = 255  # a class index is one byte
# As of a metal whose charge RDKit does not know; what is generated is such a list of atoms, charges and bonds too.
LOST = "not the same molecule when built from its atoms, charges and bonds"
DUPLICATE = "duplicate"
# how a duplicate is one of an earlier row
STEREOISOMERS, REPEATS = "stereoisomers", "exact repeats"


class Criteria(NamedTuple):
    """How a row is judged; vocabulary None: every atom class is welcome."""

    vocabulary: Vocabulary | None
    max_atoms: int | None
    keep_largest: bool
    standardise: bool = False


class Converted(NamedTuple):
    """What one chunk of k rows became; atoms: the classes that its node codes mean.

    smiles: of the usable rows, in order; groups: size -> (which of them, nodes uint8 [m, n], pairs uint8 [m, p]).
    dropped: bool [usable, 3]: stereo, isotopes, fragments. rejected: position in the chunk -> reason. drawn: position
    of some of these -> SMILES, "" where RDKit cannot read a mol block at all. isomers: as smiles, with stereo.
    changes: of usable rows, by their number among these -> what standardisation changed.
    """

    smiles: list[str]
    groups: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]
    dropped: np.ndarray
    rejected: dict[int, str]
    atoms: list[AtomClass]
    drawn: dict[int, str]
    isomers: list[str]
    changes: dict[int, tuple[str, ...]]


@dataclass
class Imported:
    """The kept molecules and the account of all rows.

    smiles: canonical, in the order of the rows. by_size: n -> (positions in smiles int64 [k], ascending,
    nodes uint8 [k, n], pairs uint8 [k, n(n-1)/2]). rejected: number of rows by reason; rows = len(smiles) + their sum.
    stereo, isotopes, fragments: number of kept rows that lost them. values: Row.values of each kept row.
    duplicates: how many of these are STEREOISOMERS of an earlier row, and how many REPEATS of one.
    changed: kept rows that standardisation changed; changes: how many of them for each change.
    """

    vocabulary: Vocabulary
    smiles: list[str]
    by_size: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]
    rows: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    stereo: int = 0
    isotopes: int = 0
    fragments: int = 0
    values: list[tuple[float, ...]] = field(default_factory=list)
    duplicates: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    changes: Counter[str] = field(default_factory=Counter)


@dataclass
class _Seen:
    """What came before: canonical SMILES, and those with stereo."""

    graphs: set[str] = field(default_factory=set)
    isomers: DistinctMolecules = field(default_factory=DistinctMolecules)


def import_molecules(
    rows: Iterable[Row],
    *,
    vocabulary: Vocabulary | None = None,
    max_atoms: int | None = None,
    keep_largest: bool = False,
    standardise: bool = False,
    deduplicate: bool = True,
    workers: int | None = None,
    on_reject: Callable[[Row, str], None] | None = None,
    on_change: Callable[[Row, str, tuple[str, ...]], None] | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Graphs of all usable rows, on `workers` processes (None: one per core).

    A row is usable when it parses, is one molecule without radicals, has atoms of the vocabulary alone, at most
    max_atoms of them, and its graph decodes to the same canonical SMILES. Stereo and isotopes are dropped and counted.
    With vocabulary None it is measured: the classes of the kept molecules, most frequent first, then by element and
    charge, however rare, up to MAX_CLASSES. keep_largest: of several fragments, keep the largest. standardise:
    see `molgen.molecules.standardise`; on_change is called with each kept row that it changed, its SMILES and the
    changes. deduplicate: of equal canonical SMILES keep the first. on_reject is called with each rejected row and the
    reason, progress with the number of rows done. Raises InputError when no row is usable.
    """
    done = Imported(vocabulary or Vocabulary((AtomClass("C", 0),)), [], {})
    codes = {} if vocabulary is None else dict(vocabulary.index)
    parts: dict[int, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    seen = _Seen() if deduplicate else None
    criteria = Criteria(vocabulary, max_atoms, keep_largest, standardise)
    for chunk, converted in _converted(rows, criteria, workers or usual_workers()):
        kept = _take(chunk, converted, done, parts, codes, seen, on_reject)
        _count_changes(kept, converted, done, on_change)
        if progress is not None:
            progress("reading molecules", done.rows, None)
    if not done.smiles:
        reasons = ", ".join(f"{count} {reason}" for reason, count in done.rejected.most_common(3))
        found = f"none of the {done.rows} rows holds a usable molecule ({reasons})"
        if done.rejected[SEVERAL] and vocabulary is None and not standardise:
            raise InputError(f"{found}; salts and mixtures can be standardised", "standardise")
        raise InputError(found)
    for size in sorted(parts):
        positions, nodes, pairs = zip(*parts.pop(size), strict=True)
        done.by_size[size] = (np.concatenate(positions), np.concatenate(nodes), np.concatenate(pairs))
    if vocabulary is None:
        done.vocabulary = _measured(done, codes)
    return done


def convert(rows: list[Row], criteria: Criteria) -> Converted:
    """Judge rows and turn the usable ones into graphs; runs in a worker process."""
    index = {} if criteria.vocabulary is None else dict(criteria.vocabulary.index)
    found = []
    rejected = {}
    drawn = {}
    for position, row in enumerate(rows):
        try:
            mol = parse_block(row.text) if row.is_block else parse_smiles(row.text)
            changed: tuple[str, ...] = ()
            if criteria.standardise:
                cleaned, changed = clean_standardised(mol)
            else:
                cleaned = clean(mol, criteria.keep_largest)
            size = cleaned.mol.GetNumAtoms()
            if criteria.max_atoms is not None and size > criteria.max_atoms:
                raise Rejected(f"more than {criteria.max_atoms} heavy atoms")
            if criteria.vocabulary is None:
                new = dict.fromkeys(atom for atom in atom_classes(cleaned.mol) if atom not in index)
                if len(index) + len(new) > MAX_CLASSES:
                    raise Rejected(f"more than {MAX_CLASSES} atom types")
                index.update({atom: len(index) + k for k, atom in enumerate(new)})
            found.append((position, cleaned, changed, *mol_to_graph(cleaned.mol, index)))
        except Rejected as reason:
            rejected[position] = str(reason)
            if row.is_block:
                drawn[position] = block_smiles(row.text)
    if not found:
        return Converted([], {}, np.zeros((0, 3), bool), rejected, list(index), drawn, [], {})
    decoder = GraphDecoder(Vocabulary(tuple(index)))
    usable: list[Cleaned] = []
    members: dict[int, list[tuple[int, np.ndarray, np.ndarray]]] = {}
    changes: dict[int, tuple[str, ...]] = {}
    for position, cleaned, changed, nodes, pairs in found:
        if decoder.decode(nodes, pairs).smiles != cleaned.smiles:
            rejected[position], drawn[position] = LOST, cleaned.smiles
            continue
        members.setdefault(len(nodes), []).append((len(usable), nodes, pairs))
        if changed:
            changes[len(usable)] = changed
        usable.append(cleaned)
    groups = {}
    for size, graphs in members.items():
        which, all_nodes, all_pairs = zip(*graphs, strict=True)
        groups[size] = (np.array(which), np.stack(all_nodes), np.stack(all_pairs))
    dropped = [(item.stereo_dropped, item.isotopes_dropped, item.fragments_dropped) for item in usable]
    dropped_array = np.array(dropped, bool).reshape(-1, 3)
    smiles, isomers = [item.smiles for item in usable], [item.isomer for item in usable]
    return Converted(smiles, groups, dropped_array, rejected, list(index), drawn, isomers, changes)


def _converted(rows: Iterable[Row], criteria: Criteria, workers: int) -> Iterator[tuple[list[Row], Converted]]:
    """Chunks of rows with what they became, in order; a row that crashes RDKit or takes too long is rejected."""
    return isolated_chunks(
        partial(convert, criteria=criteria), rows, _failed, workers=workers, chunk=CHUNK, seconds=ROW_SECONDS
    )


def _failed(reason: str) -> Converted:
    return Converted([], {}, np.zeros((0, 3), bool), {0: reason}, [], {}, [], {})


def _take(
    chunk: list[Row],
    converted: Converted,
    done: Imported,
    parts: dict[int, list[tuple[np.ndarray, np.ndarray, np.ndarray]]],
    codes: dict[AtomClass, int],
    seen: _Seen | None,
    on_reject: Callable[[Row, str], None] | None,
) -> dict[int, Row]:
    """Add one chunk to what is done; codes and seen grow. The rows kept, by their number among the usable ones."""
    rejected, drawn = dict(converted.rejected), dict(converted.drawn)
    rows = [position for position in range(len(chunk)) if position not in rejected]  # of the usable ones
    for atom in converted.atoms:
        if len(codes) < MAX_CLASSES:
            codes.setdefault(atom, len(codes))
    translate = np.array([codes.get(atom, MAX_CLASSES) for atom in converted.atoms], np.uint8)
    keep = np.ones(len(rows), bool)
    for members, nodes, _ in converted.groups.values():
        for k in members[(translate[nodes] == MAX_CLASSES).any(1)].tolist():
            keep[k], rejected[rows[k]] = False, f"more than {MAX_CLASSES} atom types"
    if seen is not None:
        candidates = np.flatnonzero(keep).tolist()
        new = seen.isomers.add([converted.isomers[k] for k in candidates]).tolist()
        for k, new_isomer in zip(candidates, new, strict=True):
            smiles = converted.smiles[k]
            if smiles in seen.graphs:
                keep[k], rejected[rows[k]], drawn[rows[k]] = False, DUPLICATE, smiles
                done.duplicates[STEREOISOMERS if new_isomer else REPEATS] += 1
            seen.graphs.add(smiles)
    positions = len(done.smiles) + np.cumsum(keep) - 1
    for size, (members, nodes, pairs) in converted.groups.items():
        kept = keep[members]
        if kept.any():
            parts.setdefault(size, []).append((positions[members[kept]], translate[nodes[kept]], pairs[kept]))
    done.smiles += [smiles for k, smiles in enumerate(converted.smiles) if keep[k]]
    done.values += [chunk[row].values for k, row in enumerate(rows) if keep[k]]
    stereo, isotopes, fragments = converted.dropped[keep].sum(0).tolist()
    done.stereo += stereo
    done.isotopes += isotopes
    done.fragments += fragments
    done.rows += len(chunk)
    done.rejected.update(rejected.values())
    if on_reject is not None:
        for position in sorted(rejected):
            row = chunk[position]
            text = drawn.get(position, "")
            on_reject(row._replace(text=text, is_block=False) if row.is_block and text else row, rejected[position])
    return {k: chunk[row] for k, row in enumerate(rows) if keep[k]}


def _count_changes(
    kept: dict[int, Row],
    converted: Converted,
    done: Imported,
    on_change: Callable[[Row, str, tuple[str, ...]], None] | None,
) -> None:
    """Count what standardisation changed of the kept rows of a chunk, and tell of each."""
    for k, changes in converted.changes.items():
        if k in kept:
            done.changed += 1
            done.changes.update(changes)
            if on_change is not None:
                on_change(kept[k], converted.smiles[k], changes)


def _measured(done: Imported, codes: dict[AtomClass, int]) -> Vocabulary:
    """The vocabulary of the kept molecules; their node codes are rewritten to it in place."""
    counts = np.zeros(MAX_CLASSES + 1, np.int64)
    for _, nodes, _ in done.by_size.values():
        counts += np.bincount(nodes.ravel(), minlength=MAX_CLASSES + 1)
    present = [atom for atom, code in codes.items() if counts[code]]
    ordered = sorted(present, key=lambda atom: (-counts[codes[atom]], atom))
    translate = np.zeros(MAX_CLASSES + 1, np.uint8)
    translate[[codes[atom] for atom in ordered]] = np.arange(len(ordered))
    for size, (positions, nodes, pairs) in done.by_size.items():
        done.by_size[size] = (positions, translate[nodes], pairs)
    return Vocabulary(tuple(ordered))

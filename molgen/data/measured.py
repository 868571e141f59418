"""Target values of the molecules of a prepared set: measured once, kept beside the set, and resumed after a kill.

RDKit works in other processes (molgen.parallel), as in molgen.data.importing. Nothing here imports torch, which those
processes would have to load too.
"""

import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from molgen.data.public import QM9_WHEEL, qm9_records
from molgen.errors import DownloadError
from molgen.files import atomic_write
from molgen.molecules.parsing import Rejected, clean, parse_smiles
from molgen.molecules.properties import TARGETS, targets
from molgen.parallel import isolated_chunks
from molgen.progress import Progress
from molgen.workers import usual_workers

CHUNK = 2_000  # molecules; some seconds of work, and what a kill costs
MOLECULE_SECONDS = 10
# Molecules of a split whose properties are measured. A quarter of MOSES says as much of them as all of it, and takes
# minutes where all would take half an hour; a network is told nothing of the others.
MEASURED = 400_000
EV = 27.211386  # in one Hartree

# What QM9 (Ramakrishnan et al. 2014, B3LYP/6-31G(2df,p)) says of its molecules beyond TARGETS: the column in the
# package qm9pack and the factor to the unit here.
QUANTUM: dict[str, tuple[str, float]] = {
    "dipole": ("Dipole_debye", 1.0),  # Debye
    "homo": ("HOMO_au", EV),  # eV, energy of the highest occupied orbital
    "lumo": ("LUMO_au", EV),  # eV, energy of the lowest unoccupied orbital
    "gap": ("HOMO_LUMO_gap_au", EV),  # eV, lumo - homo
    "polarisability": ("Polarizability_bohr3", 1.0),  # cubic bohr, isotropic
    "spatial_extent": ("R2_bohr2", 1.0),  # square bohr, expectation of R^2 of the electrons
    "zero_point_energy": ("ZPVE_au", EV),  # eV, of the vibrations
    "heat_capacity": ("Heatcapacity_Cv_cal_mol_K", 1.0),  # cal/(mol K), constant volume, 298.15 K
}


@dataclass(frozen=True, eq=False)
class TargetTable:
    """Values of the molecules of one split: names of the k columns, values float32 [molecules, k], NaN where none."""

    names: tuple[str, ...]
    values: np.ndarray


def measure(smiles: list[str]) -> np.ndarray:
    """TARGETS of each SMILES, float32 [molecules, len(TARGETS)]; a row of NaN where it cannot be read."""
    rows = np.full((len(smiles), len(TARGETS)), math.nan, np.float32)
    for row, text in zip(rows, smiles, strict=True):
        try:
            row[:] = targets(parse_smiles(text))
        except Rejected:
            continue
    return rows


def target_names(quantum: bool, own: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of a table of targets; quantum: of QM9, own: the user's columns."""
    return (*TARGETS, *(QUANTUM if quantum else ()), *own)


def target_table(
    path: Path,
    smiles: list[str],
    own: TargetTable,
    downloads: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    stage: str = "measuring",
) -> TargetTable:
    """The targets of each SMILES, as `PreparedSet.targets` describes them: from the file `path`, or measured and kept.

    own: the user's columns. downloads: where the package of QM9 is or is fetched to, for QUANTUM; None: without them.
    """
    names = target_names(downloads is not None, own.names)
    with FileLock(path.with_suffix(".lock")):
        kept = read_table(path, names, len(smiles))  # another process may have been measuring
        if kept is not None:
            return kept
        part = path.with_suffix(".part")
        chosen = np.sort(np.random.default_rng(0).permutation(len(smiles))[:MEASURED])
        found = np.full((len(smiles), len(TARGETS)), math.nan, np.float32)
        found[chosen] = measured(part, [smiles[row] for row in chosen], workers, progress, stage)
        columns = [found]
        if downloads is not None:
            try:
                columns.append(_quantum_columns(smiles, downloads, progress))
            except DownloadError:  # nothing is kept but the part, so that the next call tries again
                return TargetTable(target_names(False, own.names), np.concatenate([found, own.values], 1))
        table = TargetTable(names, np.concatenate([*columns, own.values], 1))
        write_table(path, table)
        part.unlink()
        return table


def measured(
    part: Path,
    smiles: list[str],
    workers: int | None = None,
    progress: Progress | None = None,
    stage: str = "measuring",
) -> np.ndarray:
    """TARGETS of each SMILES, float32 [molecules, len(TARGETS)], on `workers` processes (None: one per core).

    part: a file that grows with every chunk and is left complete; what it holds when this is called, from a run that
    was killed, is not measured again. One line of JSON, the names of TARGETS, then rows of float32. A molecule that
    crashes RDKit or takes longer than MOLECULE_SECONDS is a row of NaN. progress is called with `stage`.
    """
    head = (json.dumps(list(TARGETS)) + "\n").encode()
    width = 4 * len(TARGETS)
    with part.open("a+b") as file:
        file.seek(0)
        if file.read(len(head)) != head:  # new, or of other targets
            file.truncate(0)
            file.write(head)
        done = min((file.seek(0, os.SEEK_END) - len(head)) // width, len(smiles))
        file.truncate(len(head) + done * width)  # a row that was half written when the process was killed
        if done < len(smiles):
            count = workers or usual_workers()
            todo = isolated_chunks(
                measure, smiles[done:], _failed, workers=count, chunk=CHUNK, seconds=MOLECULE_SECONDS
            )
            for chunk, rows in todo:
                file.write(rows.tobytes())
                file.flush()
                done += len(chunk)
                if progress is not None:
                    progress(stage, done, len(smiles))
        file.seek(len(head))
        return np.frombuffer(file.read(), np.float32).reshape(-1, len(TARGETS))


def quantum_properties(downloads: Path) -> dict[str, list[float]]:
    """QUANTUM of each canonical SMILES of QM9, in that order; of equal SMILES the first.

    They come from the pinned package qm9pack (104 MB), fetched into the folder `downloads` where it is not there
    already; reading it takes half a minute. Raises DownloadError when it cannot be fetched.
    """
    found: dict[str, list[float]] = {}
    for record in qm9_records(downloads):
        try:
            smiles = clean(parse_smiles(record["SMILES"])).smiles
        except Rejected:
            continue
        if smiles not in found:
            found[smiles] = [float(record[column]) * factor for column, factor in QUANTUM.values()]
    return found


def read_table(path: Path, names: tuple[str, ...], count: int) -> TargetTable | None:
    """The table that `write_table` kept; None where there is none with these columns and `count` rows, undamaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads(file.metadata()["table"])
            kept, digest = tuple(about["names"]), about["sha256"]
            values = file.get_tensor("values")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None
    if kept != names or values.shape != (count, len(names)) or values.dtype != np.float32:
        return None
    return TargetTable(names, values) if digest == _digest(values) else None


def write_table(path: Path, table: TargetTable) -> None:
    """Keep a table as safetensors: tensor "values", metadata "table" as JSON: the names, the SHA-256 of the values.

    One entry, since safetensors keeps several in no order, and equal tables are equal files.
    """
    about = {"names": table.names, "sha256": _digest(table.values)}
    with atomic_write(path, "wb") as file:
        file.write(save({"values": table.values}, metadata={"table": json.dumps(about)}))


def _digest(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def _failed(_reason: str) -> np.ndarray:
    return np.full((1, len(TARGETS)), math.nan, np.float32)


def _quantum_columns(smiles: list[str], downloads: Path, progress: Progress | None) -> np.ndarray:
    """QUANTUM of molecules of QM9, float32 [molecules, len(QUANTUM)]. Raises DownloadError."""
    if progress is not None:
        progress(f"reading {QM9_WHEEL.filename} (104 MB, fetched once)", 0, None)
    known = quantum_properties(downloads)
    unknown = [math.nan] * len(QUANTUM)
    return np.array([known.get(text, unknown) for text in smiles], np.float32).reshape(-1, len(QUANTUM))

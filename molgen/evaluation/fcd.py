"""The Frechet ChemNet Distance of two sets of molecules (FCD, Preuer et al. 2018), its floor, how far to trust it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from molgen.evaluation.draws import sample
from molgen.files import atomic_write
from molgen.parallel import chunks
from molgen.progress import Progress, silent

if TYPE_CHECKING:  # it brings torch, which is only needed for activations that were not kept
    from molgen.data.prepared import PreparedSet

CHEMNET_LENGTH = 350  # ChemNet sees SMILES padded to this length; another length would change every figure
CHEMNET_LETTERS = 35  # one for each that it knows
CHEMNET_WIDTH = 512  # activations per molecule
CHEMNET_BATCH = 128
FCD_SAMPLE = 10_000  # molecules that a FCD is measured on, where there are more
FCD_COMPARABLE = 5_000  # below this the FCD tells the sample's size more than its quality


@dataclass(frozen=True)
class Fcd:
    """The FCD of a set of molecules, and its floor: the FCD of as many real molecules.

    fcd, floor: None where there are too few molecules; molecules, reference_molecules: how many each side had;
    reference, floor_of: names of the real molecules that the set, and that those of the floor, come from.
    """

    fcd: float | None
    molecules: int
    reference: str
    reference_molecules: int
    floor: float | None
    floor_of: str

    def to_json(self) -> dict[str, object]:
        """The fields by name."""
        return asdict(self)


def chemnet_takes(smiles: str) -> bool:
    """Whether a SMILES is short enough for ChemNet."""
    return len(smiles) < CHEMNET_LENGTH


def chemnet_activations(smiles: Sequence[str], progress: Progress = silent, stage: str = "ChemNet") -> np.ndarray:
    """What ChemNet makes of molecules, float32 [m, 512] (weights of the `fcd` package).

    SMILES of CHEMNET_LENGTH characters or more are left out, so m may be smaller than their number.
    stage: what `progress` is told after each batch.
    """
    import torch
    from fcd import load_ref_model
    from fcd.utils import get_one_hot

    model = load_ref_model()
    short = [text for text in smiles if chemnet_takes(text)]
    parts = [np.zeros((0, CHEMNET_WIDTH), np.float32)]
    done = 0
    for batch in chunks(short, CHEMNET_BATCH):
        # As fcd.get_predictions does it, without its loader processes and its use of a function that numpy drops.
        letters = np.zeros((len(batch), CHEMNET_LENGTH, CHEMNET_LETTERS), np.float32)
        for row, text in zip(letters, batch, strict=True):
            row[: len(text) + 1] = get_one_hot(text) / CHEMNET_LETTERS
        with torch.inference_mode():
            # a copy: what comes out is a view of the states at all letters
            parts.append(model(torch.from_numpy(letters).transpose(1, 2)).numpy().copy())
        done += len(batch)
        progress(stage, done, len(short))
    return np.concatenate(parts)


def split_activations(prepared: PreparedSet, split: str, progress: Progress = silent) -> np.ndarray:
    """`chemnet_activations` of a fixed draw of FCD_SAMPLE molecules of a split, kept with the set for the next time."""
    path = prepared.folder / f"chemnet-{split}.npy"
    with suppress(OSError, ValueError, EOFError):  # not made yet, or damaged
        kept: np.ndarray = np.load(path, allow_pickle=False)
        if kept.ndim == 2 and kept.shape[1] == CHEMNET_WIDTH and kept.dtype == np.float32:
            return kept
    drawn = sample(prepared.smiles(split), FCD_SAMPLE)
    rows = chemnet_activations(drawn, progress, f"ChemNet, {prepared.name} {split}")
    with suppress(OSError), atomic_write(path, "wb") as file:  # a folder that cannot be written to costs only time
        np.save(file, rows)
    return rows


def fcd_distance(generated: Sequence[str] | np.ndarray, reference: Sequence[str] | np.ndarray) -> float | None:
    """FCD between two sets of molecules, given as canonical SMILES or as `chemnet_activations` [m, 512].

    It depends on both sample sizes: state them. None where a set has fewer than two molecules or the distance cannot
    be computed; `fcd_warnings` says in words when a figure is not to be trusted.
    """
    from fcd import calculate_frechet_distance

    moments = []
    for molecules in (generated, reference):
        rows = molecules if isinstance(molecules, np.ndarray) else chemnet_activations(molecules)
        if len(rows) < 2:
            return None
        moments += [rows.mean(axis=0, dtype=np.float64), np.cov(rows.T, dtype=np.float64)]
    try:
        with warnings.catch_warnings(action="ignore"):  # singular matrices are usual: `fcd_warnings` tells of them
            distance = float(calculate_frechet_distance(*moments))
    except (ValueError, ArithmeticError, np.linalg.LinAlgError):
        return None
    return max(distance, 0.0) if np.isfinite(distance) else None  # rounding makes identical sets about -1e-6


def fcd_warnings(fcd: Fcd) -> list[str]:
    """Why a FCD is missing or not comparable; empty where it is."""
    found = []
    beside = "samples of the same sizes" if fcd.floor is None else "the floor, or with samples of the same sizes"
    for name, count in (("generated", fcd.molecules), ("reference", fcd.reference_molecules)):
        if count < 2:
            found.append(f"no FCD: it needs 2 valid {name} molecules or more, there are {count}")
        elif count <= CHEMNET_WIDTH:
            found.append(
                f"{count:,} {name} molecules do not span ChemNet's {CHEMNET_WIDTH} dimensions: "
                "the FCD says little beyond the sample's size"
            )
        elif count < FCD_COMPARABLE:
            found.append(
                f"the FCD of {count:,} {name} molecules is higher than that of {FCD_SAMPLE:,} would be: "
                f"compare it with {beside}"
            )
    return found

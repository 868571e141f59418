"""Morgan fingerprints, packed into bytes, and Tanimoto similarities between large sets of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from molgen.errors import InputError
from molgen.molecules.parsing import Rejected, parse_smiles

if TYPE_CHECKING:  # a worker that only draws or measures should not load it
    import torch

ROWS, COLUMNS = 2_000, 500  # a block that stays in the processor's cache is several times as fast as a large one
GROUP = 2_000  # columns of a block of which only the largest number is wanted
EXACT = 256  # whole numbers up to this are exact in bfloat16
FINGERPRINT_BITS = 2_048


def fingerprint(mol: Chem.Mol, bits: int = FINGERPRINT_BITS) -> bytes:
    """The Morgan fingerprint of radius 2 of a sanitised molecule, packed, least significant bit first."""
    return np.packbits(_generator(bits).GetFingerprintAsNumPy(mol), bitorder="little").tobytes()


def stacked(fingerprints: Iterable[bytes]) -> np.ndarray:
    """Packed fingerprints as the rows of an array, uint8 [m, 256]."""
    return np.frombuffer(b"".join(fingerprints), np.uint8).reshape(-1, FINGERPRINT_BITS // 8)


def bit_vector(packed: bytes) -> DataStructs.ExplicitBitVect:
    """RDKit's form of a packed fingerprint."""
    return DataStructs.CreateFromFPSText(packed.hex())


def similarities(fingerprints: Sequence[bytes], smiles: str) -> np.ndarray:
    """Tanimoto similarity of each `fingerprint` to a molecule, float [m]. Raises InputError for no molecule."""
    try:
        other = fingerprint(parse_smiles(smiles))
    except Rejected as reason:
        raise InputError(f"{smiles!r} is not a molecule ({reason})") from None
    return np.array(DataStructs.BulkTanimotoSimilarity(bit_vector(other), [bit_vector(one) for one in fingerprints]))


def tanimoto_blocks(ours: np.ndarray, theirs: np.ndarray) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """Rows of ours, rows of theirs, and their Tanimoto similarities, float32 [rows, columns], block by block.

    ours uint8 [k, bytes], theirs [m, bytes]: packed, least significant bit first. Two without any bit have 1.
    """
    import torch

    columns = [slice(start, start + COLUMNS) for start in range(0, len(theirs), COLUMNS)]
    for start in range(0, len(ours), ROWS):
        rows = slice(start, start + ROWS)
        left, counts = _left(ours[rows])
        for part in columns:
            common = (left @ _bits(theirs[part], left.dtype).T).float()
            either = (counts[:, None] + torch.from_numpy(_counts(theirs[part]))).sub_(common)
            yield rows, part, common.div_(either).nan_to_num_(nan=1.0)


def nearest_of(packed: np.ndarray, others: np.ndarray, *, but_itself: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """For each fingerprint uint8 [k, bytes] the position of the most similar of others [m, bytes], and its Tanimoto.

    int64 [k] and float32 [k]; -1 and 0.0 where there is none. Of equally similar ones it is the first.
    but_itself: both are the same list, and each is compared with all but itself.
    """
    import torch

    where = torch.full((len(packed),), -1)
    best = torch.full((len(packed),), -1.0)
    counts = _counts(others)
    order = np.argsort(counts, kind="stable")
    starts = np.flatnonzero(np.diff(counts[order], prepend=-1.0))
    # of others with one number of bits the most similar shares the most bits: only these need be divided
    groups = [
        group[start : start + GROUP] for group in np.split(order, starts[1:]) for start in range(0, len(group), GROUP)
    ]
    for start in range(0, len(packed), ROWS):
        rows = slice(start, start + ROWS)
        left, ours = _left(packed[rows])
        for group in groups:
            common = left @ _bits(others[group], left.dtype).T
            if but_itself:
                own = np.flatnonzero((group >= start) & (group < start + ROWS))
                common[group[own] - start, own] = -1
            most = _largest(common)
            similarity = (most / (ours + float(counts[group[0]]) - most)).nan_to_num_(nan=1.0)
            rival = torch.nonzero((similarity >= best[rows]) & (most >= 0))[:, 0]
            if len(rival):
                position = torch.from_numpy(group)[common[rival].argmax(1)]
                at = rival + start
                won = (similarity[rival] > best[at]) | (position < where[at])
                best[at[won]], where[at[won]] = similarity[rival[won]], position[won]
    return where.numpy(), best.clamp_(min=0.0).numpy()


def map_points(sets: Sequence[np.ndarray], reference: np.ndarray) -> list[np.ndarray]:
    """Places on a map: the first two principal components of packed fingerprints, float [k, 2] for each set.

    sets: uint8 [k, bytes]; reference: uint8 [m, bytes], whose places come last.
    """
    every = [np.unpackbits(packed, axis=1).astype(np.float32) for packed in [*sets, reference]]
    rows = np.concatenate(every)
    centred = rows - rows.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    points = centred @ vectors[:, -2:][:, ::-1]
    return np.split(points, np.cumsum([len(part) for part in every])[:-1])


def _largest(common: torch.Tensor) -> torch.Tensor:
    """Largest number of each row, float32 [rows], of whole numbers from -1 on."""
    import torch

    if common.dtype != torch.bfloat16:
        return common.amax(1)
    # as whole numbers their bits are in the same order, and found five times as fast
    return common.view(torch.int16).amax(1).view(torch.bfloat16).float()


def _left(packed: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Bits [k, bits] in a type in which products of them are exact, and their numbers float32 [k]."""
    import torch

    from molgen.device import network_dtype

    counts = torch.from_numpy(_counts(packed))
    # sums are made in float32; only as a result would a large number of common bits be rounded
    dtype = network_dtype("cpu") if counts.max() <= EXACT else torch.float32
    return _bits(packed, dtype), counts


def _counts(packed: np.ndarray) -> np.ndarray:
    counts: np.ndarray = np.bitwise_count(packed).sum(1, dtype=np.float32)
    return counts


def _bits(packed: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.unpackbits(packed, axis=1, bitorder="little")).to(dtype)


@cache
def _generator(bits: int) -> rdFingerprintGenerator.FingerprintGenerator64:
    return rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=bits)

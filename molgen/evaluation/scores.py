"""Verdicts on SMILES of any origin, the counts made of them, and the Frechet ChemNet Distance (FCD).

Every share of validity has the number of molecules asked for as its denominator: a failed sample is a sample.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from rdkit import Chem

from molgen.data.readers import Row
from molgen.files import atomic_write
from molgen.molecules.encoding import Decoded
from molgen.molecules.hashing import DistinctMolecules, contains
from molgen.molecules.parsing import Rejected, clean, parse_block, parse_smiles
from molgen.parallel import chunks, isolated_map

if TYPE_CHECKING:  # it brings torch, which would slow the start of every worker
    from molgen.data.prepared import PreparedSet

CHUNK = 1_000  # verdicts counted at once
CHEMNET_LENGTH = 350  # ChemNet sees SMILES padded to this length; another length would change every figure
CHEMNET_LETTERS = 35  # one for each that it knows
CHEMNET_WIDTH = 512  # activations per molecule
CHEMNET_BATCH = 128
FCD_SAMPLE = 10_000  # molecules that a FCD is measured on, where there are more
FCD_COMPARABLE = 5_000  # below this the FCD tells the sample's size more than its quality


def judge_one(molecule: str | Row) -> Decoded:
    """The verdict on one SMILES or row: its canonical SMILES without stereo and isotopes, and why it is not valid."""
    row = Row(0, "", molecule) if isinstance(molecule, str) else molecule
    try:
        mol = parse_block(row.text) if row.is_block else parse_smiles(row.text)
        whole = len(Chem.GetMolFrags(mol)) == 1
        pieces = (mol,) if whole else Chem.GetMolFrags(mol, asMols=True, sanitizeFrags=False)
        smiles = [clean(piece).smiles for piece in pieces]
    except Rejected as reason:
        return Decoded("", str(reason))
    except (ValueError, RuntimeError):
        return Decoded("", "refused by RDKit")
    return Decoded(".".join(sorted(smiles)), "" if whole else "several fragments")


def judge(molecules: Iterable[str | Row], workers: int = 0) -> Iterator[Decoded]:
    """The verdicts on SMILES or rows of a file, in order, whatever their number: memory does not grow with it.

    workers: processes to judge in; 0 judges in this process, where a molecule that crashes RDKit ends it, while a
    worker's death costs that molecule alone. The verdicts do not depend on it.
    """
    if workers == 0:
        return map(judge_one, molecules)
    return isolated_map(judge_one, molecules, partial(Decoded, ""), workers=workers)


@dataclass(frozen=True)
class Share:
    """One line of a report: `count` molecules of the `total` that are named by `of`."""

    metric: str
    count: int
    total: int
    of: str

    @property
    def share(self) -> float | None:
        """0 to 1; None of nothing."""
        return self.count / self.total if self.total else None


@dataclass(frozen=True)
class Summary:
    """Counts of molecules. novel is None where no training set was given; reasons: why molecules are not valid."""

    requested: int  # N, asked for
    sanitised: int  # RDKit accepts them as they are, no radical; several fragments allowed
    valid: int  # sanitised, and one connected molecule
    unique: int  # distinct canonical SMILES among the valid ones
    novel: int | None  # of the distinct ones, those not in the training set
    reasons: dict[str, int]

    def shares(self) -> list[Share]:
        """Every share with its denominator; V.U.N. counts the valid, unique and novel ones of all asked for."""
        shares = [
            Share("sanitised", self.sanitised, self.requested, "requested"),
            Share("valid", self.valid, self.requested, "requested"),
            Share("unique", self.unique, self.valid, "valid"),
        ]
        if self.novel is not None:
            shares.append(Share("novel", self.novel, self.unique, "unique"))
            shares.append(Share("V.U.N.", self.novel, self.requested, "requested"))
        return shares

    def to_json(self) -> dict:
        """The counts by name, and `shares`: each metric's share, count and denominator."""
        shares = {
            share.metric: {"share": share.share, "count": share.count, "total": share.total, "of": share.of}
            for share in self.shares()
        }
        return {**asdict(self), "shares": shares}


def summarise(verdicts: Iterable[Decoded], requested: int | None = None, training: np.ndarray | None = None) -> Summary:
    """Count verdicts in one pass; memory grows only by a 64-bit hash for each distinct valid molecule.

    requested: N, where it is not the number of verdicts.
    training: sorted uint64 hashes (`molgen.molecules.hashing`) of the training set's canonical SMILES.
    """
    count = sanitised = valid = 0
    reasons: Counter[str] = Counter()
    distinct = DistinctMolecules()
    for chunk in chunks(verdicts, CHUNK):
        count += len(chunk)
        sanitised += sum(verdict.sanitised for verdict in chunk)
        kept = [verdict.smiles for verdict in chunk if verdict.valid]
        valid += len(kept)
        distinct.add(kept)
        reasons.update(verdict.reason for verdict in chunk if not verdict.valid)
    novel = None if training is None else int((~contains(training, distinct.hashes)).sum())
    count = count if requested is None else requested
    return Summary(count, sanitised, valid, len(distinct.hashes), novel, dict(reasons.most_common()))


def chemnet_activations(smiles: Sequence[str], progress: Callable[[int], object] | None = None) -> np.ndarray:
    """What ChemNet makes of molecules, float32 [m, 512] (Preuer et al. 2018, weights of the `fcd` package).

    SMILES of CHEMNET_LENGTH characters or more are left out, so m may be smaller than their number.
    progress: called after each batch with the number of molecules in it.
    """
    import torch
    from fcd import load_ref_model
    from fcd.utils import get_one_hot

    model = load_ref_model()
    short = [text for text in smiles if len(text) < CHEMNET_LENGTH]
    parts = [np.zeros((0, CHEMNET_WIDTH), np.float32)]
    for batch in chunks(short, CHEMNET_BATCH):
        # As fcd.get_predictions does it, without its loader processes and its use of a function that numpy drops.
        letters = np.zeros((len(batch), CHEMNET_LENGTH, CHEMNET_LETTERS), np.float32)
        for row, text in zip(letters, batch, strict=True):
            row[: len(text) + 1] = get_one_hot(text) / CHEMNET_LETTERS
        with torch.inference_mode():
            # a copy: what comes out is a view of the states at all letters
            parts.append(model(torch.from_numpy(letters).transpose(1, 2)).numpy().copy())
        if progress:
            progress(len(batch))
    return np.concatenate(parts)


def split_activations(
    prepared: "PreparedSet", split: str, progress: Callable[[int], object] | None = None
) -> np.ndarray:
    """`chemnet_activations` of the `sample` of a split, kept in the prepared set for the next time."""
    path = prepared.folder / f"chemnet-{split}.npy"
    try:
        kept = np.load(path, allow_pickle=False)
        if kept.ndim == 2 and kept.shape[1] == CHEMNET_WIDTH and kept.dtype == np.float32:
            return kept
    except (OSError, ValueError, EOFError):
        pass  # not made yet, or damaged: made again below
    rows = chemnet_activations(sample(prepared.smiles(split), FCD_SAMPLE), progress)
    with suppress(OSError), atomic_write(path, "wb") as file:  # a folder that cannot be written to costs only time
        np.save(file, rows)
    return rows


def sample(smiles: Sequence[str], count: int = FCD_SAMPLE) -> list[str]:
    """`count` of the molecules in a random order that is always the same (all of them, where they are fewer)."""
    order = np.random.default_rng(0).permutation(len(smiles))
    return [smiles[position] for position in order[:count]]


class EvenDraw:
    """`size` of the items it is given, or all of fewer, each as likely as any other; in order, the same every time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.items: list[Any] = []
        self._places = np.zeros(0)
        self._random = np.random.default_rng(0)

    def add(self, items: Sequence[Any]) -> None:
        """Draw from these too."""
        self.items += items
        self._places = np.concatenate([self._places, self._random.random(len(items))])
        if len(self.items) > self.size:
            kept = np.sort(np.argpartition(self._places, self.size)[: self.size])
            self.items = [self.items[k] for k in kept]
            self._places = self._places[kept]


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


def fcd_warnings(generated: int, reference: int) -> list[str]:
    """Why the FCD of samples of these sizes is missing or not comparable; empty where it is."""
    found = []
    for name, count in (("generated", generated), ("reference", reference)):
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
                "compare it with the floor, or with samples of the same sizes"
            )
    return found

"""Verdicts on SMILES of any origin, and the counts made of them.

Every share of validity has the number of molecules asked for as its denominator: a failed sample is a sample.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from rdkit import Chem

from molgen.data.readers import Row
from molgen.molecules.encoding import Decoded
from molgen.molecules.hashing import DistinctMolecules, contains
from molgen.molecules.parsing import SEVERAL, Rejected, clean, parse_block, parse_smiles
from molgen.molecules.standardise import NO_ORGANIC, clean_standardised
from molgen.parallel import chunks, isolated_map

CHUNK = 1_000  # verdicts counted at once


class Examined(NamedTuple):
    """A verdict, and the molecule where it is valid: kekulized, without stereo, isotopes or explicit hydrogens."""

    verdict: Decoded
    mol: Chem.Mol | None
    isomer: str = ""  # canonical SMILES with stereo
    changes: tuple[str, ...] = ()  # by standardisation


class Judgement(NamedTuple):
    """What an Examined says, without the molecule."""

    verdict: Decoded
    isomer: str
    changes: tuple[str, ...]


def examine(row: Row, standardise: bool = False) -> Examined:
    """The verdict on one row of a file, with its molecule.

    Valid is what RDKit sanitises, without radicals, and is one connected molecule. Of several fragments each is looked
    at: all of them fine is "several fragments", and sanitised; otherwise the reason is that of the first bad one.
    standardise: judge the molecule's parent (`molgen.molecules.standardise`).
    """
    try:
        mol = parse_block(row.text) if row.is_block else parse_smiles(row.text)
        if standardise:
            parent, changes = clean_standardised(mol)
            return Examined(Decoded(parent.smiles, ""), parent.mol, parent.isomer, changes)
        whole = len(Chem.GetMolFrags(mol)) == 1
        pieces = (mol,) if whole else Chem.GetMolFrags(mol, asMols=True, sanitizeFrags=False)
        cleaned = [clean(piece) for piece in pieces]
    except Rejected as reason:
        # what has no parent may be sanitised all the same
        smiles = examine(row).verdict.smiles if str(reason) == NO_ORGANIC else ""
        return Examined(Decoded(smiles, str(reason)), None)
    except (ValueError, RuntimeError):
        return Examined(Decoded("", "refused by RDKit"), None)
    if not whole:
        return Examined(Decoded(".".join(sorted(piece.smiles for piece in cleaned)), SEVERAL), None)
    return Examined(Decoded(cleaned[0].smiles, ""), cleaned[0].mol, cleaned[0].isomer)


def judge_one(molecule: str | Row) -> Decoded:
    """The verdict on one SMILES or row: its canonical SMILES without stereo and isotopes, and why it is not valid."""
    return _judgement(molecule).verdict


def judge(molecules: Iterable[str | Row], workers: int = 0, standardise: bool = False) -> Iterator[Decoded]:
    """The verdicts on SMILES or rows of a file, in order, whatever their number: memory does not grow with it.

    workers: processes to judge in; 0 judges in this process, where a molecule that crashes RDKit ends it, while a
    worker's death costs that molecule alone. The verdicts do not depend on it. standardise: see `examine`.
    """
    return (found.verdict for found in judgements(molecules, workers, standardise))


def judgements(molecules: Iterable[str | Row], workers: int = 0, standardise: bool = False) -> Iterator[Judgement]:
    """`judge`, with what else was found."""
    function = partial(_judgement, standardise=standardise)
    if workers == 0:
        return map(function, molecules)
    return isolated_map(function, molecules, _failed, workers=workers)


def _judgement(molecule: str | Row, standardise: bool = False) -> Judgement:
    found = examine(Row(0, "", molecule) if isinstance(molecule, str) else molecule, standardise)
    return Judgement(found.verdict, found.isomer, found.changes)


def _failed(reason: str) -> Judgement:
    return Judgement(Decoded("", reason), "", ())


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

    def to_json(self) -> dict[str, object]:
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
    return Summary(count, sanitised, valid, len(distinct), novel, dict(reasons.most_common()))

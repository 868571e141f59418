"""The published benchmarks of sets of molecules against the parts of a prepared data set: MOSES, and GuacaMol's KL."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import pandas as pd

from molgen.data.prepared import PreparedSet
from molgen.evaluation.descriptors import sketches
from molgen.evaluation.draws import sample
from molgen.evaluation.set_metrics import kl_score, moses_suite
from molgen.evaluation.strange import StrangeShares, strange_shares
from molgen.files import atomic_write
from molgen.progress import Progress, counted, silent

SUITE_SAMPLE = 30_000  # generated molecules, as in MOSES; the first valid ones
KL_SAMPLE = 10_000  # of each side, as in GuacaMol
PARTS = ("test", "test_scaffolds")


@dataclass(frozen=True)
class Suite:
    """Figures of the first SUITE_SAMPLE valid molecules. parts: those of `suite_figures`, by part and name.

    training: molecules that their ring systems and surroundings are compared with.
    """

    molecules: int
    strange: StrangeShares
    parts: dict[str, dict[str, float]]
    training: int

    def to_json(self) -> dict[str, object]:
        """All figures by name, those of parts in an object for each part."""
        counts = {"molecules": self.molecules, "training_molecules": self.training}
        return {**counts, **self.strange._asdict(), **self.parts}


def measure_suite(smiles: Sequence[str], prepared: PreparedSet, workers: int, progress: Progress = silent) -> Suite:
    """All figures of valid canonical SMILES, repeats included; what is computed of the set stays in its folder."""
    first = smiles[:SUITE_SAMPLE]
    strange = strange_shares(first, prepared, workers, progress)
    return Suite(len(first), strange, suite_figures(first, prepared, workers, progress), prepared.splits["train"])


def suite_figures(
    smiles: Sequence[str], prepared: PreparedSet, workers: int, progress: Progress = silent
) -> dict[str, dict[str, float]]:
    """For each part of PARTS that the set has, the figures of `moses_suite` and, of the test part, the KL score.

    smiles: valid canonical ones, repeats included, of which the first SUITE_SAMPLE count. The sketches of the parts
    stay in the prepared set for the next time.
    """
    generated = _sketched(smiles[:SUITE_SAMPLE], "moses", workers, progress, "sketching")
    figures = {}
    for part in PARTS:
        if part in prepared.splits:
            figures[part] = moses_suite(generated, kept_sketches(prepared, part, "moses", workers, progress))
    distinct = list(dict.fromkeys(smiles))[:KL_SAMPLE]
    table = _sketched(distinct, "kl", workers, progress, "descriptors")
    figures["test"]["KL"] = kl_score(table, kept_sketches(prepared, "test", "kl", workers, progress))
    return figures


def kept_sketches(
    prepared: PreparedSet, part: str, kind: str, workers: int, progress: Progress = silent
) -> pd.DataFrame:
    """`sketches` of a part of a prepared set, without SMILES, kept with the set for the next time.

    Of kind "kl" those of KL_SAMPLE of its molecules.
    """
    path = prepared.folder / f"{kind}-{part}.parquet"
    with suppress(OSError, ValueError):  # not made yet, or damaged
        return pd.read_parquet(path)
    smiles = prepared.smiles(part)
    if kind == "kl":
        smiles = sample(smiles, KL_SAMPLE)
    table = _sketched(smiles, kind, workers, progress, f"{kind} of {prepared.name} {part}")
    with suppress(OSError), atomic_write(path, "wb") as file:
        table.drop(columns="smiles").to_parquet(file, index=False)
    return table


def _sketched(smiles: Sequence[str], kind: str, workers: int, progress: Progress, stage: str) -> pd.DataFrame:
    return pd.concat(counted(sketches(smiles, kind, workers), progress, stage, len(smiles)), ignore_index=True)

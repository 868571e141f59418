"""The published benchmarks of sets of molecules against the parts of a prepared data set: MOSES, and GuacaMol's KL."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import pandas as pd

from molgen.data.prepared import PreparedSet
from molgen.evaluation.descriptors import sketches
from molgen.evaluation.scores import sample
from molgen.evaluation.set_metrics import kl_score, moses_suite
from molgen.files import atomic_write

SUITE_SAMPLE = 30_000  # generated molecules, as in MOSES; the first valid ones
KL_SAMPLE = 10_000  # of each side, as in GuacaMol
PARTS = ("test", "test_scaffolds")
Progress = Callable[[str, int, int], object]


def suite_figures(
    smiles: Sequence[str], prepared: PreparedSet, workers: int, progress: Progress | None = None
) -> dict[str, dict[str, float]]:
    """For each part of PARTS that the set has, the figures of `moses_suite` and, of the test part, the KL score.

    smiles: valid canonical ones, repeats included, of which the first SUITE_SAMPLE count. The sketches of the parts
    stay in the prepared set for the next time.
    """
    generated = _sketched(smiles[:SUITE_SAMPLE], "moses", workers, progress, "sketching FILE")
    figures = {}
    for part in PARTS:
        if part in prepared.splits:
            figures[part] = moses_suite(generated, kept_sketches(prepared, part, "moses", workers, progress))
    distinct = list(dict.fromkeys(smiles))[:KL_SAMPLE]
    table = _sketched(distinct, "kl", workers, progress, "descriptors of FILE")
    figures["test"]["KL"] = kl_score(table, kept_sketches(prepared, "test", "kl", workers, progress))
    return figures


def kept_sketches(
    prepared: PreparedSet, part: str, kind: str, workers: int, progress: Progress | None = None
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


def _sketched(smiles: Sequence[str], kind: str, workers: int, progress: Progress | None, what: str) -> pd.DataFrame:
    frames, done = [], 0
    for frame in sketches(smiles, kind, workers):
        frames.append(frame)
        done += len(frame)
        if progress is not None:
            progress(what, done, len(smiles))
    return pd.concat(frames, ignore_index=True)

"""Trained model -> sizes -> graphs -> molecules or a reason, in shards that depend on (seed, shard number) alone."""

from collections.abc import Callable, Iterator
from functools import partial
from math import ceil
from typing import NamedTuple

import numpy as np
import pandas as pd
from rdkit import Chem

from molgen.data.dataset import Statistics
from molgen.device import place
from molgen.generation.filters import Filter
from molgen.generation.judge import Judge
from molgen.generation.leads import Lead
from molgen.generation.likelihood import likelihood_columns
from molgen.generation.settings import Settings, columns, drafts_of, filter_of, judge_of, measured_targets, wanted_of
from molgen.generation.stereo import stereo_texts
from molgen.generation.streams import stream, torch_generator
from molgen.generation.wanted import Wanted
from molgen.models.base import Backend
from molgen.models.checkpoints import Model
from molgen.models.drafts import Drafts
from molgen.molecules.encoding import Decoded, GraphDecoder
from molgen.molecules.graph import GraphBatch, pair_count
from molgen.molecules.hashing import contains, smiles_hashes
from molgen.molecules.properties import PROPERTIES, TARGETS, properties
from molgen.molecules.vocabulary import Vocabulary
from molgen.progress import Progress, count_from, silent

ENTRIES_PER_BATCH = 24_576  # pairs and nodes of a batch together, which bounds its memory whatever the molecules' size
PER_EXCERPT = 8  # graphs that are shown the same part of a large molecule
DECIMALS = 4

# called after each network evaluation with the positions of some graphs, whether it was their first (after they were
# refused once more the first), and what they are so far
EachStep = Callable[[np.ndarray, bool, GraphBatch], object]


class Sample(NamedTuple):
    """A graph that was drawn. mol: sanitised; None where it is not valid."""

    verdict: Decoded
    mol: Chem.Mol | None


class Shards:
    """The shards of a run, whose settings have a seed: each depends on the settings and its number alone.

    The backend is moved to the device of the settings. Raises InputError as `make_settings`.
    """

    def __init__(self, model: Model, settings: Settings) -> None:
        self.model, self.settings = model, settings
        self.wanted = wanted_of(model, settings)
        self.filter = filter_of(model, settings)
        self.drafts = drafts_of(model, settings)
        self.judge = judge_of(model, settings)
        self.decoder = GraphDecoder(model.vocabulary)
        self.numbers = [*PROPERTIES, *measured_targets(settings)]
        place(model.backend, settings.device)

    def draw(
        self,
        shard: int,
        progress: Progress = silent,
        each_batch: Callable[[pd.DataFrame], object] | None = None,
    ) -> pd.DataFrame:
        """One row for every sample of a shard, valid or not, in order: `columns(settings)`, `reason`, and where there
        is a filter `stopped_by`, the first of its rules that a valid molecule fails, -1 for none; with stereo,
        `stereo`, which `Spread` makes rows of.

        Without nll_percentile, which is added to the rows that are taken: it needs the training set, not the model.
        sample counts from 1 over the whole run; reason is "" for a valid molecule, and only these have numbers. A
        molecule that is not what is wanted is not valid. each_batch: gets the rows as they are drawn, small molecules
        first.
        """
        batches = []
        for batch in self._batches(shard, progress):
            batches.append(batch)
            if each_batch is not None:
                each_batch(batch)
        return in_order(batches)

    def draw_all(
        self, progress: Progress = silent, each_batch: Callable[[pd.DataFrame], object] | None = None
    ) -> Iterator[pd.DataFrame]:
        """The rows of one shard after the other. progress: of the samples of all of them."""
        for shard in range(self.settings.shards):
            before = shard * self.settings.shard_size
            yield self.draw(shard, partial(count_from, progress, before, self.settings.samples), each_batch)

    def _batches(self, shard: int, progress: Progress) -> Iterator[pd.DataFrame]:
        model, settings = self.model, self.settings
        assert settings.seed is not None
        for_likelihood = torch_generator(settings.seed, shard, "likelihood")
        for positions, batch in draw_graphs(
            model.backend,
            model.statistics,
            settings.shard_samples(shard),
            sampler=settings.sampler,
            steps=settings.steps,
            seed=settings.seed,
            shard=shard,
            wanted=self.wanted,
            drafts=self.drafts,
            judge=self.judge,
            progress=progress,
        ):
            samples = self._samples(batch)
            smiles = [sample.verdict.smiles for sample in samples]
            table = {
                "smiles": pd.Series(smiles, dtype="str"),
                "reason": pd.Series([sample.verdict.reason for sample in samples], dtype="str"),
                "novel": ~contains(model.known, smiles_hashes(smiles)),
                "sample": positions + shard * settings.shard_size + 1,
                **self._numbers(samples),
            }
            if self.wanted.lead is not None:
                table["similarity"] = self._similarity(self.wanted.lead, samples)
            if settings.likelihood:
                valid = [row for row, sample in enumerate(samples) if sample.mol is not None]
                likelihoods = likelihood_columns(model.backend, batch, valid, for_likelihood)
                table |= {name: values.round(DECIMALS) for name, values in likelihoods.items()}
            if self.filter is not None:
                table["stopped_by"] = self._stopped_by(self.filter, samples)
            if settings.stereo is not None:
                table["stereo"] = pd.Series(self._stereo(samples, table.get("stopped_by")), dtype="str")
            there = [name for name in columns(settings) if name in table]
            more = [name for name in ("reason", "stopped_by", "stereo") if name in table]
            yield pd.DataFrame(table)[[*there, *more]]

    @staticmethod
    def _similarity(lead: Lead, samples: list[Sample]) -> np.ndarray:
        """That of the valid molecules to the lead, NaN of the others."""
        values = np.full(len(samples), np.nan)
        valid = [row for row, sample in enumerate(samples) if sample.mol is not None]
        values[valid] = lead.similarity([mol for _, mol in samples if mol is not None])
        return values.round(DECIMALS)

    @staticmethod
    def _stopped_by(kept: Filter, samples: list[Sample]) -> np.ndarray:
        """The first rule of the filter that each valid molecule fails, -1 for none and for what is not valid."""
        stopped = np.full(len(samples), -1)
        valid = [row for row, sample in enumerate(samples) if sample.mol is not None]
        stopped[valid] = kept.first_failed([samples[row].verdict.smiles for row in valid])
        return stopped

    def _stereo(self, samples: list[Sample], stopped_by: object) -> list[str]:
        """The stereoisomers of the valid molecules that the filter lets through, as text."""
        assert self.settings.stereo is not None
        through = np.full(len(samples), True) if stopped_by is None else np.asarray(stopped_by) < 0
        mols = (sample.mol if taken else None for sample, taken in zip(samples, through, strict=True))
        return stereo_texts(mols, self.settings.stereo, bool(self.settings.three_d))

    def _samples(self, batch: GraphBatch) -> list[Sample]:
        """What each graph is; a molecule that is not what is wanted has that as its reason."""
        samples = [Sample(*self.decoder.decode_mol(*graph)) for graph in _arrays(batch)]
        core, request, backend = self.wanted.core, self.wanted.request, self.model.backend
        if core is not None and not backend.keeps_parts:
            condition = self.wanted.condition(backend, batch.size, len(batch))
            assert condition is not None
            kept = condition.held_by(batch).tolist()
            samples = [
                sample if has else _refused(sample, "core not kept") for sample, has in zip(samples, kept, strict=True)
            ]
        if request is not None:
            reason = "other atoms than asked for" if request.degrees else "another formula"
            samples = [
                sample if sample.mol is None or request.matched_by(sample.mol) else _refused(sample, reason)
                for sample in samples
            ]
        return samples

    def _numbers(self, samples: list[Sample]) -> dict[str, pd.Series]:
        """Properties of the valid molecules and what the targets are measured by; missing for the others."""
        more = self.numbers[len(PROPERTIES) :]
        rows = [
            dict.fromkeys(self.numbers, np.nan)
            if sample.mol is None
            else properties(sample.mol) | {name: TARGETS[name](sample.mol) for name in more}
            for sample in samples
        ]
        table = pd.DataFrame(rows, columns=self.numbers, dtype="float64").round(DECIMALS)
        whole = [name for name, entry in PROPERTIES.items() if not entry.decimals]
        return {name: table[name].astype("Int64") if name in whole else table[name] for name in self.numbers}


def in_order(batches: list[pd.DataFrame]) -> pd.DataFrame:
    """The rows of batches in the order of their samples."""
    return pd.concat(batches, ignore_index=True).sort_values("sample", ignore_index=True)


def draw_graphs(
    backend: Backend,
    statistics: Statistics,
    count: int,
    *,
    sampler: str,
    steps: int,
    seed: int,
    shard: int = 0,
    wanted: Wanted | None = None,
    drafts: Drafts | None = None,
    judge: Judge | None = None,
    progress: Progress = silent,
    each_step: EachStep | None = None,
) -> Iterator[tuple[np.ndarray, GraphBatch]]:
    """`count` new graphs, batch by batch, each with the positions of its graphs among the `count`, int64 [b].

    Every position comes once; sizes are distributed as in the training data, under what is wanted. What the judge
    refuses is drawn anew. The graphs depend on all arguments but `progress` and `each_step`.
    """
    wanted = wanted or Wanted()
    weights = wanted.size_weights(statistics)
    random = np.random.default_rng(stream(seed, shard, "sizes"))
    sizes = random.choice(len(weights), size=count, p=weights / weights.sum())
    generator = torch_generator(seed, shard, "graphs")
    for_targets, for_excerpts, for_judge = (
        np.random.default_rng(stream(seed, shard, name)) for name in ("targets", "excerpts", "judge")
    )

    def batch_of(positions: np.ndarray, before: int) -> GraphBatch:
        size, samples = int(sizes[positions[0]]), len(positions)
        shown, excerpt = wanted.shown(statistics, size, for_excerpts)
        size -= excerpt.hidden if excerpt else 0
        restored = excerpt.restored if excerpt else _as_it_is

        def drawn(rows: np.ndarray, count_up: bool = False) -> GraphBatch:
            begins = True

            def callback(done: int, total: int, graphs: Callable[[], GraphBatch]) -> None:
                nonlocal begins
                # the samples of a batch are spread evenly over its steps
                now = samples * done // total if count_up else samples
                if not count_up or now > samples * (done - 1) // total:
                    progress("drawing molecules", before + now, count)
                if each_step is not None:
                    each_step(positions[rows], begins, restored(graphs()))
                begins = False

            return backend.sample(
                size,
                len(rows),
                steps=steps,
                sampler=sampler,
                generator=generator,
                callback=callback,
                request=shown.request,
                condition=shown.condition(backend, size, len(rows), for_targets),
                guidance=shown.guidance,
                start=None if shown.lead is None else shown.lead.start(len(rows)),
                drafts=drafts,
            )

        batch = drawn(np.arange(samples), count_up=True)
        return restored(batch if judge is None else judge.kept(batch, drawn, for_judge))

    done = 0
    for positions in _batches(sizes, PER_EXCERPT if wanted.is_large(statistics) else None):
        yield positions, batch_of(positions, done)
        done += len(positions)


def sample_smiles(
    backend: Backend, vocabulary: Vocabulary, statistics: Statistics, count: int, *, seed: int
) -> list[Decoded]:
    """`count` samples, in order, with the backend's default sampler and steps."""
    decoder = GraphDecoder(vocabulary)
    decoded = [Decoded("", "")] * count
    sampler, steps = backend.samplers[0], backend.default_steps
    for positions, batch in draw_graphs(backend, statistics, count, seed=seed, sampler=sampler, steps=steps):
        for position, graph in zip(positions, _arrays(batch), strict=True):
            decoded[position] = decoder.decode(*graph)
    return decoded


def _arrays(batch: GraphBatch) -> list[tuple[np.ndarray, np.ndarray]]:
    """Nodes and pairs of each graph."""
    return list(zip(batch.nodes.cpu().numpy(), batch.pairs.cpu().numpy(), strict=True))


def _as_it_is(batch: GraphBatch) -> GraphBatch:
    return batch


def _refused(sample: Sample, reason: str) -> Sample:
    return Sample(Decoded(sample.verdict.smiles, reason), None) if sample.mol is not None else sample


def _batches(sizes: np.ndarray, most: int | None) -> Iterator[np.ndarray]:
    """Positions of samples of one size that fit in one batch, or `most` of them, int64, size by size."""
    for size in np.unique(sizes):
        positions = np.flatnonzero(sizes == size)
        limit = most or max(1, ENTRIES_PER_BATCH // (pair_count(int(size)) + int(size)))
        yield from np.array_split(positions, ceil(len(positions) / limit))

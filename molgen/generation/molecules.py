"""Molecules drawn in this process, for notebooks and programs: what `molgen.load_model(...).sample(...)` gives."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypedDict

import pandas as pd
from rdkit import Chem

from molgen.data.writers import open_writer
from molgen.evaluation.verdicts import Summary
from molgen.generation.analogues import with_noise
from molgen.generation.given import smiles_of
from molgen.generation.likelihood import likelihood_of, molecule_graph
from molgen.generation.runs import Tally
from molgen.generation.sampling import Shards
from molgen.generation.settings import Settings, filter_of, make_settings, wanted_of
from molgen.generation.typical import TypicalBounds
from molgen.models.checkpoints import Model
from molgen.progress import Progress, silent


@dataclass(frozen=True, eq=False)
class Molecules:
    """What was drawn from a model.

    samples: a row for every sample, valid or not, in order: the columns of `molgen generate` and `reason`, which is ""
    for a valid molecule. rows: those of the molecules that were asked for: the valid ones, or the distinct ones.
    settings: what they depend on, the seed among it. summary: the counts, with the reasons of the failures. funnel: the
    rules of the filter in order, with how many distinct valid molecules came through each; empty without a filter.
    """

    samples: pd.DataFrame
    rows: pd.DataFrame
    settings: Settings
    summary: Summary
    funnel: pd.DataFrame

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.smiles)

    @property
    def smiles(self) -> list[str]:
        """Canonical SMILES of the molecules, in the order of the samples."""
        return self.rows["smiles"].tolist()

    @property
    def mols(self) -> list[Chem.Mol]:
        """The molecules as RDKit has them, sanitised."""
        return [Chem.MolFromSmiles(smiles) for smiles in self.smiles]

    @property
    def reasons(self) -> dict[str, int]:
        """Why the other samples are not valid, and how many each."""
        return self.summary.reasons

    def frame(self) -> pd.DataFrame:
        """A table of the molecules: SMILES, properties, novel, and the number of the sample."""
        return self.rows.copy()

    def save(self, path: Path | str) -> None:
        """Write the molecules to a .csv, .smi, .sdf or .parquet file. Raises InputError for another extension."""
        with open_writer(path) as writer:
            writer.write(self.rows)


class Texts(TypedDict):
    """Arguments of `make_settings` that people give in other forms, too."""

    core: str | None
    like: str | None
    targets: Sequence[str]
    size: str | None
    similarity: str | None


def as_text(
    *,
    core: Path | str | None,
    like: Path | str | None,
    targets: Sequence[str],
    size: str | int | None,
    similarity: object,
) -> Texts:
    """What people write in Python: files of one molecule, a single target, a number of atoms. Raises InputError."""
    return {
        "core": smiles_of("core", core),
        "like": smiles_of("like", like),
        "targets": [targets] if isinstance(targets, str) else targets,
        "size": None if size is None else str(size),
        "similarity": None if similarity is None else str(similarity),
    }


@dataclass(frozen=True)
class LoadedModel:
    """A trained model that draws molecules."""

    model: Model

    @property
    def name(self) -> str:
        """What it is called, for a shipped model the name it is loaded by."""
        return self.model.name

    @property
    def card(self) -> dict[str, object]:
        """What is to be known of it: data, licence, training, figures, limits."""
        return self.model.card

    @property
    def targets(self) -> tuple[str, ...]:
        """The properties that it can be asked for."""
        return self.model.backend.targets

    def sample(
        self,
        num: int | None = None,
        *,
        unique: int | None = None,
        max_samples: int | None = None,
        seed: int | None = None,
        sampler: str | None = None,
        steps: int | None = None,
        effort: str | None = None,
        drafts: int | None = None,
        formula: str | None = None,
        atoms: str | None = None,
        core: Path | str | None = None,
        targets: Sequence[str] = (),
        guidance: float = 0.0,
        size: str | int | None = None,
        profile: str | None = None,
        known_rings: bool = False,
        like: Path | str | None = None,
        standardise: bool = False,
        similarity: str | None = None,
        likelihood: bool = False,
        device: str = "auto",
        progress: Progress = silent,
    ) -> Molecules:
        """Draw `num` samples (100 if omitted), or until `unique` distinct valid molecules are found.

        The molecules are those of `molgen generate` with the same options. seed: drawn if omitted, and kept in
        `Molecules.settings`; equal seeds give equal molecules on the same kind of machine. effort: fast, balanced or
        best, in place of steps; drafts: how often a molecule with a fault, or one that is too common, may be drawn
        (8 if omitted). core: what every molecule contains, SMILES or a file of one molecule;
        targets: such as "logp=2.5" or "mw=250:350"; size: heavy atoms, such as "20:27". profile: keep only what passes
        a screening profile; known_rings: only what has no ring system that the training molecules, the core and the
        lead lack. like: a molecule to make analogues of, SMILES or a file, with standardise of its parent, whose
        similarity to it is in a range such as "0.5:0.8". progress: of the samples.
        Raises InputError for what the model or this machine cannot do.

        >>> import molgen
        >>> molecules = molgen.load_model("qm9-digress").sample(4, seed=7, steps=10)
        >>> molecules.summary.requested, len(molecules) == molecules.summary.valid
        (4, True)
        """
        settings = make_settings(
            self.model,
            num=100 if num is None and unique is None else num,
            unique=unique,
            max_samples=max_samples,
            seed=secrets.randbits(32) if seed is None else seed,
            sampler=sampler,
            steps=steps,
            effort=effort,
            drafts=drafts,
            likelihood=likelihood,
            device=device,
            formula=formula,
            atoms=atoms,
            guidance=guidance,
            profile=profile,
            known_rings=known_rings,
            standardise=standardise,
            **as_text(core=core, like=like, targets=targets, size=size, similarity=similarity),
        )
        settings = with_noise(self.model, settings, progress)
        tally = Tally(settings.unique, wanted_of(self.model, settings).targets, filter_of(self.model, settings))
        samples, rows = [], []
        for frame in Shards(self.model, settings).draw_all(progress):
            before = tally.requested
            rows.append(tally.add(frame))
            samples.append(frame[: tally.requested - before])
            if tally.finished:
                break
        every, taken = (pd.concat(frames, ignore_index=True) for frames in (samples, rows))
        if likelihood:
            every, taken = self._typical.added(every), self._typical.added(taken)
        return Molecules(every, taken, settings, tally.summary(), pd.DataFrame(tally.funnel()))

    def likelihood(self, smiles: str) -> tuple[float, float]:
        """An upper bound on -log p(molecule | its size) in nats, and its standard error.

        Raises InputError for a molecule that the model cannot hold.
        """
        return likelihood_of(self.model, smiles)

    def percentile(self, smiles: str, nats: float) -> float:
        """How typical the bound of a molecule, `nats`, is: the percentage of training molecules of the same size with a
        lower one, of up to 100. NaN where there are fewer than 20, or the training set is not in molgen's cache.

        Raises InputError for a molecule that the model cannot hold.
        """
        return self._typical.percentile(molecule_graph(self.model, smiles).size, nats)

    @cached_property
    def _typical(self) -> TypicalBounds:
        return TypicalBounds(self.model)

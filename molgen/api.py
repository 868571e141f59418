"""The public Python interface, `import molgen`: every function here is also a name of the package, loaded when used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from molgen.cluster import on_cluster
from molgen.data.prepared import prepare
from molgen.data.readers import Row
from molgen.errors import InputError
from molgen.evaluation import score as scoring
from molgen.evaluation.open_reference import open_reference
from molgen.evaluation.report_files import Unjudged, read_set, write_report
from molgen.evaluation.tally import Judged
from molgen.generation.given import smiles_of
from molgen.generation.molecules import LoadedModel, Molecules, as_text
from molgen.generation.runs import Result, run
from molgen.generation.settings import make_settings
from molgen.models.checkpoints import list_models, load_checkpoint
from molgen.optimisation.run import Optimised, optimise
from molgen.progress import Progress, silent
from molgen.training.recipe import train
from molgen.workers import current_engine, usual_workers

__all__ = ["generate", "list_models", "load_model", "on_cluster", "optimize", "prepare", "report", "score", "train"]

# molecules drawn in this process, SMILES, or a file of any format that `molgen score` reads
Source = Molecules | Sequence[str] | Path | str


def load_model(model: str = "qm9-digress") -> LoadedModel:
    """A shipped model by its name, or one that was trained here by its folder.

    Raises CheckpointError where there is none, or it is damaged.

    >>> import molgen
    >>> molgen.load_model("qm9-digress").name
    'qm9-digress'
    """
    return LoadedModel(load_checkpoint(model))


def generate(
    output: Path | str,
    *,
    model: str = "qm9-digress",
    num: int | None = None,
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
    stereo: int | None = None,
    three_d: bool = False,
    likelihood: bool = False,
    device: str = "auto",
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Result:
    """Molecules into a file of any size, with its run record: as `molgen generate`; `LoadedModel.sample` has no file.

    num: samples, 1,000 if omitted; effort: fast, balanced or best, in place of steps; drafts: how often a molecule with
    a fault, or one that is too common, may be drawn (8 if omitted); core, like: SMILES, or a
    file of one molecule; standardise: analogues are of the parent of `like`; stereo, three_d: write so many
    stereoisomers of each molecule, in space; workers: if omitted this process alone, on a cluster one for each CPU, or
    GPU. A run that was stopped is resumed by the same call.
    Raises InputError for what the model or this machine cannot do, and where the output exists.
    """
    loaded = load_checkpoint(model)
    settings = make_settings(
        loaded,
        num=1000 if num is None and unique is None else num,
        unique=unique,
        max_samples=max_samples,
        seed=seed,
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
        stereo=stereo,
        three_d=three_d,
        by_workers=True,
        **as_text(core=core, like=like, targets=targets, size=size, similarity=similarity),
    )
    if workers is None:
        workers = usual_workers(gpu=settings.device != "cpu") if current_engine().remote else 1
    return run(loaded, settings, output, workers=workers, overwrite=overwrite, progress=progress)


def optimize(
    objective: Path | str,
    output: Path | str,
    *,
    model: str = "moses-digress",
    budget: int = 1_000,
    core: Path | str | None = None,
    seed: int | None = None,
    batch: int | None = None,
    candidates: int | None = None,
    population: int | None = None,
    per_scaffold: int | None = None,
    any_rings: bool = False,
    sampler: str | None = None,
    steps: int | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> Optimised:
    """Search for molecules with a high score under an objective, a TOML file: as `molgen optimize`; writes a folder.

    budget: different molecules whose score may be asked for; core: SMILES, or a file of one molecule. A search that was
    stopped is resumed by the same call.
    Raises InputError for what the model or this machine cannot do, and where the folder holds another search.
    """
    return optimise(
        load_checkpoint(model),
        objective,
        output,
        budget=budget,
        core=smiles_of("core", core),
        seed=seed,
        batch=batch,
        candidates=candidates,
        population=population,
        per_scaffold=per_scaffold,
        any_rings=any_rings,
        sampler=sampler,
        steps=steps,
        device=device,
        progress=progress,
    )


def score(
    molecules: Source,
    reference: str | None = None,
    *,
    split: str | None = None,
    num: int | None = None,
    suite: bool = False,
    standardise: bool = False,
    workers: int | None = None,
    progress: Progress = silent,
) -> scoring.Scores:
    """Validity and uniqueness of molecules, and their novelty and FCD against a reference: as `molgen score`.

    reference: qm9, moses, a file, a prepared folder, or a model, which knows what is novel but has no FCD. molecules:
    what `LoadedModel.sample` gave (its failures count), SMILES, or a file. num: molecules asked for, where
    failures are left out. suite: also the MOSES suite and GuacaMol's KL score. standardise: judge the parents of the
    molecules, without metals, salts, charges and isotopes where that can be; of a reference file, too. workers: one for
    each core if omitted.
    Raises InputError where the molecules or the reference cannot be used.

    >>> import molgen
    >>> scores = molgen.score(["CCO", "OCC", "C1CC", "CN"], reference="qm9-digress", workers=1)
    >>> scores.summary.valid, scores.summary.unique
    (3, 2)
    """
    workers = workers or usual_workers()
    if isinstance(molecules, str | Path):
        return scoring.score_file(
            str(molecules),
            reference,
            split=split,
            num=num,
            suite=suite,
            standardise=standardise,
            workers=workers,
            progress=progress,
        )
    if not isinstance(molecules, str | Path):
        _check_smiles(molecules)
    if split and reference is None:
        raise InputError(f"without a reference there is no part {split!r}", "split")
    compared = None
    if reference is not None:
        compared = open_reference(reference, split=split, standardise=standardise, workers=workers, progress=progress)

    def judged(smiles: Sequence[str]) -> scoring.Scores:
        return scoring.score(
            smiles, compared, num=num, suite=suite, standardise=standardise, workers=workers, progress=progress
        )

    if not isinstance(molecules, Molecules):
        return judged(molecules)
    if num is not None:
        raise InputError("what was drawn from a model knows how many samples were asked for: leave num out")
    found = judged(molecules.smiles)
    drawn = molecules.summary
    counts = replace(found.summary, requested=drawn.requested, sanitised=drawn.sanitised, reasons=drawn.reasons)
    return replace(found, summary=replace(counts, valid=drawn.valid), requested_from="the samples drawn")


def report(
    molecules: Source | dict[str, Source],
    output: Path | str,
    *,
    reference: str = "qm9",
    profile: str = "lead-like",
    overwrite: bool = False,
    standardise: bool = False,
    include: Sequence[str] = (),
    workers: int | None = None,
    progress: Progress = silent,
) -> list[Judged]:
    """Judge one set of molecules, or several side by side ({name: set}): as `molgen report`; writes a folder.

    profile: a name or a TOML file. standardise: as `score`. include: "admet", "buyable", as `molgen report` has them.
    Returns what was counted of each set.
    Raises InputError where molecules, reference or profile cannot be used, an optional package is not installed, or the
    folder holds a report already.
    """
    sets = molecules if isinstance(molecules, dict) else {_name(molecules): molecules}
    made = write_report(
        [_unjudged(name, each) for name, each in sets.items()],
        Path(output),
        reference=reference,
        profile=profile,
        overwrite=overwrite,
        standardise=standardise,
        include=include,
        workers=workers or usual_workers(),
        progress=progress,
    )
    return made.sets


def _name(molecules: Source) -> str:
    return str(molecules) if isinstance(molecules, str | Path) else "molecules"


def _check_smiles(molecules: Sequence[str] | Molecules) -> None:
    for number, smiles in enumerate(molecules, 1):
        if not isinstance(smiles, str):
            raise InputError(f"molecule {number} should be SMILES, got {smiles!r}")


def _unjudged(label: str, molecules: Source) -> Unjudged:
    """A set with how many molecules were asked for and why some failed, where that is known."""
    if isinstance(molecules, str | Path):
        return read_set(str(molecules))._replace(label=label)
    _check_smiles(molecules)
    rows = (Row(line, "", smiles) for line, smiles in enumerate(molecules, 1))
    if isinstance(molecules, Molecules):
        return Unjudged(label, rows, molecules.summary.requested, molecules.reasons, len(molecules))
    return Unjudged(label, rows, expected=len(molecules))

"""A training from data to model folder."""

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from molgen.data.prepared import PreparedSet
from molgen.errors import InputError, TrainingError
from molgen.evaluation.fcd import fcd_distance, split_activations
from molgen.evaluation.plots import loss_curve
from molgen.evaluation.strange import training_parts
from molgen.generation.sampling import sample_smiles
from molgen.generation.typical import keep_bounds
from molgen.models.base import Backend
from molgen.models.checkpoints import Model
from molgen.models.config import Value
from molgen.molecules.hashing import contains, smiles_hashes
from molgen.progress import Progress, silent
from molgen.training.critic import keep_critic, number_to_draw
from molgen.training.export import MODEL, keep_calibration, save_model
from molgen.training.log import LOG, read_log
from molgen.training.setup import Setup, set_up
from molgen.training.share import joined
from molgen.training.state import STATE
from molgen.training.trainer import Evaluate, Trainer, TrainProgress
from molgen.workers import usual_workers

SAMPLES = 500  # molecules drawn for a measurement

Report = Callable[[TrainProgress], object]


@dataclass(frozen=True)
class TrainResult:
    """model: folder of the checkpoint; finished: whether all steps were done, or the training ended by its patience.

    measured: the last line of the log, such as {"valid_loss": 2.1, "valid": 0.98}. first_valid: the share of valid
    molecules that the model drew which the training started from, NaN if it started from none or none were drawn.
    """

    model: Path
    finished: bool
    step: int
    steps: int
    measured: Mapping[str, float]
    first_valid: float = math.nan


def train(
    data: str | PreparedSet,
    output: Path | str,
    *,
    backend: str | None = None,
    init: str | Model | None = None,
    properties: Sequence[str] = (),
    smiles_column: str | None = None,
    standardise: bool = False,
    options: Mapping[str, Value] | None = None,
    resume: bool = False,
    device: str = "auto",
    samples: int = SAMPLES,
    max_minutes: float | None = None,
    progress: Progress = silent,
    report: Report | None = None,
) -> TrainResult:
    """Train a model, as `molgen train`: `set_up`, whose warnings go to Python's, then `run`.

    data: a public set ("qm9"), a file of molecules, or what `prepare` gave. output: folder of the run, which gets the
    model, log.csv, curve.png, and the state that a stopped training resumes from. backend: the model family, digress if
    omitted. init: a model to start from. standardise: the molecules, as `prepare`. options: settings of the training
    and of the network, such as {"epochs": 20, "layers": 4}. samples: molecules drawn for each measurement. report:
    called every few seconds. In a script that torchrun starts several times, each process does a part of the training.
    Raises InputError for what cannot be used, TrainingError for a training that cannot start, resume or go on.
    """
    with joined() as share:
        with share.first_alone():
            setup = set_up(
                data,
                output,
                backend=backend,
                init=init,
                properties=properties,
                smiles_column=smiles_column,
                standardise=standardise,
                options=options,
                resume=resume,
                device=device,
                progress=progress,
                share=share,
            )
        for text in setup.warnings if share.leads else ():
            warnings.warn(text, stacklevel=2)
        return run(setup, samples=samples, max_minutes=max_minutes, progress=progress, report=report)


def run(
    setup: Setup,
    *,
    samples: int = SAMPLES,
    max_minutes: float | None = None,
    progress: Progress = silent,
    report: Report | None = None,
) -> TrainResult:
    """Train until the last step or for max_minutes; the folder gets a model, log.csv, curve.png, and the state.

    max_minutes: of the whole run, what a resumed one has taken before included; the learning rates fall by then.
    samples: molecules drawn for each measurement; 0: only the loss. progress: of work on the data. report: told at once
    where the training begins (the loss is NaN), then every few seconds. Of several processes the first calls both.
    Raises TrainingError where the folder holds a training already, another one writes to it, what is resumed does not
    fit or is damaged, or the loss is no longer a number.
    """
    if max_minutes is not None and max_minutes <= 0:
        raise InputError(f"max_minutes should be above 0, got {max_minutes}")
    prepared, share = setup.prepared, setup.share
    known = np.empty(0, np.uint64)
    parts = [known, known]
    with ExitStack() as held:
        with share.agreed():
            if share.leads:
                found = training_parts(prepared, usual_workers(), progress)
                parts = [np.unique(smiles_hashes(texts)) for texts in found]
                held.enter_context(_held(setup.folder))
                if not setup.resumed and (setup.folder / STATE).exists():
                    raise TrainingError(f"{setup.folder} already holds a training: resume it, or choose another folder")
        trainer = setup.trainer(setup.folder)
        if setup.resumed:
            trainer.resume()
            if max_minutes is not None and trainer.seconds >= 60 * max_minutes:
                raise InputError(
                    f"max_minutes counts the whole run, which has taken {trainer.seconds / 60:.1f} minutes already; "
                    f"to continue, it should be above that, got {max_minutes:g}"
                )
        if report is not None and share.leads:
            report(TrainProgress(trainer.step, trainer.steps, math.nan, 0.0))
        with share.agreed():
            if share.leads:
                known = np.unique(smiles_hashes(prepared.smiles("train")))

        def export(trainer: Trainer) -> None:
            save_model(trainer, prepared, known, *parts)
            if (setup.folder / LOG).exists():
                loss_curve(setup.folder / LOG, setup.folder / "curve.png")

        evaluate = evaluator(prepared, samples, setup.settings.seed, known) if samples else None
        if setup.first and trainer.step == 0 and evaluate is not None:
            _measure_first(trainer, evaluate)
        finished = trainer.run(
            max_minutes=max_minutes,
            evaluate=evaluate,
            report=report if share.leads else None,
            export=export,
        )
        if finished and share.leads:
            keep_bounds(setup.folder / MODEL, prepared, progress)
            keep_calibration(setup.folder / MODEL, progress)
            drawn = number_to_draw(trainer.graphs, trainer.backend.default_steps)
            keep_critic(setup.folder / MODEL, prepared, drawn, trainer.device.type, progress)
    log = share.once(lambda: read_log(setup.folder))
    measured = {column: float(entry) for column, entry in log[-1].items() if entry} if log else {}
    return TrainResult(setup.folder / MODEL, finished, trainer.step, trainer.steps, measured, trainer.first_valid)


def evaluator(prepared: PreparedSet, samples: int, seed: int, known: np.ndarray) -> Evaluate:
    """Measures a model by `samples` drawn molecules: the shares of valid, unique and novel ones, and their FCD.

    The FCD is that to the validation molecules. known: sorted hashes of the training molecules.
    """

    def evaluate(backend: Backend) -> dict[str, float]:
        drawn = sample_smiles(backend, prepared.vocabulary, prepared.statistics, samples, seed=seed)
        valid = [molecule.smiles for molecule in drawn if molecule.valid]
        distinct = list(set(valid))
        measured = {"valid": len(valid) / samples}
        if valid:  # of none there are no shares
            measured["unique"] = len(distinct) / len(valid)
            measured["novel"] = float((~contains(known, smiles_hashes(distinct))).mean())
        distance = fcd_distance(valid, split_activations(prepared, "valid")) if len(valid) > 1 else None
        return measured if distance is None else measured | {"fcd": distance}

    return evaluate


def _measure_first(trainer: Trainer, evaluate: Evaluate) -> None:
    """Draw from the model that a training starts from, as it draws sizes and atoms of the new data; its time counts."""

    def measure() -> tuple[float, float]:
        started = time.monotonic()
        trainer.backend.eval()
        valid = evaluate(trainer.backend)["valid"]
        trainer.backend.train()
        return valid, time.monotonic() - started

    trainer.first_valid, trainer.seconds = trainer.share.once(measure)
    trainer.measuring = trainer.seconds


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep the folder of a run, which is made, from other trainings. Raises TrainingError where one writes to it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise TrainingError(f"another training is writing to {folder}") from None
    try:
        yield
    finally:
        lock.release()

"""molgen train: a model from a data set or from a file of molecules."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from molgen.cli.log import current_log, log_option
from molgen.cli.output import say
from molgen.cli.settings import STANDARDISE, config_option, settings_options
from molgen.models.config import Value
from molgen.models.registry import BACKENDS
from molgen.training.finetune import TUNING
from molgen.training.settings import TrainSettings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from molgen.training.check import Check
    from molgen.training.recipe import Report, TrainResult
    from molgen.training.setup import Setup
    from molgen.training.trainer import TrainProgress

SETTINGS: dict[str, type[DataclassInstance]] = {
    "": TrainSettings,
    **{name: backend.Config for name, backend in BACKENDS.items()},
}


@click.command("train")
@click.option("--data", required=True, help="qm9, moses, chembl, or a file (.smi .csv .tsv .sdf .mol .parquet, .gz).")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option(
    "--property",
    "properties",
    multiple=True,
    help="A column of numbers in --data, such as pIC50, that the model learns to be asked for; may be given several "
    "times. Molecular weight, logP and the like are computed anyway.",
)
@click.option(
    "--smiles-column",
    help="Column of the SMILES in --data; found by its name or content if omitted. Needed again with --resume.",
)
@click.option("--standardise", is_flag=True, help=f"{STANDARDISE} Needed again with --resume.")
@click.option(
    "--backend", type=click.Choice(list(BACKENDS)), help="Model family.  [default: digress, or that of --init]"
)
@config_option
@log_option
@click.option(
    "--init",
    help="Start from the weights of this model, shipped or a folder, instead of random ones; EDGE also from a DiGress.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Train nothing: tell what is left out of the data and why, whether the molecules are enough, which model to "
    "start from, and how long the training would take on this machine.",
)
@click.option("--resume", is_flag=True, help="Continue from the state saved in the folder.")
@click.option(
    "--max-minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Minutes that the run may take in all, measurements and what it took before --resume counted: the learning "
    "rates fall by the clock, and it ends, measured and saved, when they are up.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=0),
    default=500,
    show_default=True,
    help="Molecules drawn for each measurement; 0: only the loss.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@settings_options(SETTINGS, TUNING)
def command(
    data: str,
    output: Path,
    properties: tuple[str, ...],
    smiles_column: str | None,
    standardise: bool,
    backend: str | None,
    init: str | None,
    check: bool,
    resume: bool,
    max_minutes: float | None,
    samples: int,
    device: str,
    **flags: Value | None,
) -> None:
    """Train a model.

    \b
    molgen train --data qm9 --output runs/qm9 --max-minutes 60
    molgen train --data qm9 --output runs/qm9 --resume

    The folder gets: model/ (what `molgen generate --model runs/qm9/model` takes), log.csv, curve.png, and the
    state that --resume continues from, after a stop or a crash.
    """
    from molgen.cli.bars import tell_column, tell_salts
    from molgen.cli.data import shown
    from molgen.training.recipe import run
    from molgen.training.setup import set_up
    from molgen.training.share import joined

    with joined() as share:
        with share.first_alone(), shown() as progress:
            setup = set_up(
                data,
                output,
                backend=backend,
                init=init,
                properties=properties,
                smiles_column=smiles_column,
                standardise=standardise,
                options={name: value for name, value in flags.items() if value is not None},
                resume=resume,
                device=device,
                progress=progress,
                share=share,
            )
        tell_column(setup.prepared.column)
        tell_salts(setup.prepared.record["rejected"], setup.prepared.record["rows"])
        for text in setup.warnings:
            say(f"Warning: {text}", err=True)
        if check:
            say("\n".join(_account(setup)))
            return
        with shown() as progress, _bar(setup) as report:
            done = run(setup, samples=samples, max_minutes=max_minutes, progress=progress, report=report)
    _tell(done, samples, max_minutes)


def _tell(done: TrainResult, samples: int, max_minutes: float | None) -> None:
    """Say what came out, and where the model is."""
    if samples and done.measured:
        valid, unique, novel = (done.measured.get(name, math.nan) for name in ("valid", "unique", "novel"))
        before = done.first_valid
        beside = "" if math.isnan(before) else f" (of the model it started from {before:.1%})"
        of_these = f", of these {unique:.1%} distinct, of these {1 - novel:.1%} are training molecules" if valid else ""
        say(f"of the last {samples} molecules drawn: {valid:.1%} valid{beside}{of_these}", err=True)
    say(f"model: {done.model}")
    if not done.finished:
        say(
            f"the {max_minutes:g} minutes are up, at step {done.step:,} of {done.steps:,}; the same command with "
            "--resume and more of them, or without --max-minutes, goes on",
            err=True,
        )


@contextmanager
def _bar(setup: Setup) -> Iterator[Report]:
    """Say what is trained, then show a bar of the steps, on standard error."""
    from tqdm import tqdm

    bar: tqdm[NoReturn] | None = None
    log = current_log()
    device = setup.backend.device.type + (f", {setup.share.processes} processes" if setup.share.talks else "")

    def report(progress: TrainProgress) -> None:
        nonlocal bar
        if bar is None:
            say(
                f"{setup.backend_name} on {setup.prepared.name}: {len(setup.train):,} training molecules, "
                f"{setup.parameters:,} parameters, {progress.steps:,} steps, device {device}, "
                f"from step {progress.step:,}",
                err=True,
            )
            bar = tqdm(total=progress.steps, initial=progress.step, unit="step", dynamic_ncols=True)
        else:
            bar.set_postfix_str(f"loss {progress.loss:.4f}, {progress.rate:,.0f} molecules/s")
            bar.update(progress.step - bar.n)
        if log is not None:
            log.progress("training", progress.step, progress.steps)

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()


def _account(setup: Setup) -> list[str]:
    """What to know before a training: the data's account, the size of the model, the time on this machine."""
    from molgen.cli.data import summary
    from molgen.training.check import check

    found = check(setup)
    lines = [
        *summary(setup.prepared),
        "",
        f"model: {setup.backend_name}, {found.parameters:,} parameters, "
        f"{found.parameters / found.molecules:,.0f} for each training molecule",
    ]
    if found.too_large:
        lines.append(
            "  that is much (the shipped models have 20 to 35): start from another model with --init, or make it "
            "smaller, for example --layers 3 --width 64"
        )
    lines.append(
        f"time: {found.rate:,.0f} molecules/s here, so {setup.settings.epochs:g} epochs ({found.steps:,} steps) take "
        f"some {found.minutes:,.0f} minutes, measuring not counted"
    )
    return [*lines, "", *_verdict(found)]


def _verdict(found: Check) -> list[str]:
    """What the data suggest, as sentences."""
    told = found.verdict
    enough = "enough" if told.enough else "too few"
    purpose = "to tune a model with" if told.tuning else "for this model with random weights"
    lines = [f"verdict: {found.molecules:,} training molecules are {enough} {purpose}"]
    if told.tuning and not told.enough:
        lines.append("  rather tell a model what to make: molgen generate --core, --like, --target, or molgen optimize")
    if told.start is not None:
        advice = "start from it with" if not told.enough else "starting from it may save time:"
        lines.append(
            f"  {told.start.name} knows the atom types and sizes of {told.start.held:.0%} of them: {advice} "
            f"--init {told.start.name}"
        )
    if told.sizes is not None:
        lines.append(
            f"  the {told.sizes.molecules:.1%} with more than {told.sizes.largest} heavy atoms take some "
            f"{told.sizes.cost:.0%} of the time: leave them out, unless you need such molecules"
        )
    lines.append(
        f"  a fair beginning, by rule of thumb: --epochs {told.epochs} --batch-size {told.batch_size}, some "
        f"{found.suggested_minutes:,.0f} minutes here"
    )
    return lines

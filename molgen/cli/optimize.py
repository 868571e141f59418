"""molgen optimize: search for molecules with a high score."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from molgen.cli.output import say
from molgen.cli.settings import config_option

if TYPE_CHECKING:
    from molgen.progress import Progress


@click.command("optimize", short_help="Search for molecules with a high score.")
@click.argument("objective", type=click.Path(path_type=Path))
@click.option(
    "--budget", type=int, default=1_000, show_default=True, help="Different molecules whose score may be asked for."
)
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Folder of the search.")
@click.option(
    "--model",
    "model_name",
    default="moses-digress",
    show_default=True,
    help="A name from `molgen models`, or a folder. It should take known parts or start from molecules.",
)
@click.option("--core", help="Only molecules that contain this part, as for `molgen generate`.")
@click.option(
    "--seed",
    type=int,
    help="0 or more; equal seeds give equal searches on the same kind of machine. If omitted, drawn and written down.",
)
@click.option("--batch", type=int, help="Molecules asked for between two choices of whom to change.  [default: 50]")
@click.option(
    "--candidates",
    type=int,
    help="Molecules drawn for each that is asked; a model fitted to the scores so far chooses the most promising. "
    "1, the least, is faster and asks whatever is drawn; 100 is the most.  [default: 3]",
)
@click.option("--population", type=int, help="How many of the best are changed.  [default: 100]")
@click.option(
    "--per-scaffold",
    type=int,
    help="How many of these may have one Murcko scaffold; molecules without rings are not limited.  [default: 10]",
)
@click.option(
    "--any-rings",
    is_flag=True,
    help="Also ask for molecules with ring systems, or surroundings of atoms, that no training molecule has.",
)
@click.option("--sampler", help="How noise is turned into molecules; if omitted, the model's first.")
@click.option(
    "--steps",
    type=int,
    help="Network evaluations per molecule.  [default: 20, or the model's own if that is less]",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the network runs; auto takes the GPU if there is one.",
)
@config_option
def command(
    objective: Path,
    budget: int,
    output: Path,
    model_name: str,
    core: str | None,
    seed: int | None,
    batch: int | None,
    candidates: int | None,
    population: int | None,
    per_scaffold: int | None,
    any_rings: bool,
    sampler: str | None,
    steps: int | None,
    device: str,
) -> None:
    """Search for molecules with a high score under OBJECTIVE, a TOML file of components with weights and curves.

    \b
    molgen optimize objective.toml --budget 10000 --output run

    The best molecules so far are changed by the model (pieces drawn anew, atoms added or taken away, molecules
    combined, noise); of what is new the most promising is scored, each molecule once. A score that fails is missing,
    not 0. The folder gets molecules.csv (every molecule in the order asked, with its values, parents and how it was
    made), best.csv, the curve of the best 10, report.html and record.json.

    A stopped or killed search is resumed when the same command is given again; a larger --budget continues it.
    """
    from molgen.generation.given import smiles_of
    from molgen.models.checkpoints import load_checkpoint
    from molgen.optimisation.run import optimise

    model = load_checkpoint(model_name)
    with _bar() as progress:
        done = optimise(
            model,
            objective,
            output,
            budget=budget,
            seed=seed,
            core=smiles_of("--core", core),
            sampler=sampler,
            steps=steps,
            batch=batch,
            candidates=candidates,
            population=population,
            per_scaffold=per_scaffold,
            any_rings=any_rings,
            device=device,
            progress=progress,
        )
    record = done.record
    say(f"asked     {record['asked']:,} molecules, {record['without_score']:,} without a score")
    for name, label in (("best", "best"), ("best_10", "best 10"), ("best_100", "best 100")):
        say(f"{label:<8}  {'-' if record[name] is None else f'{record[name]:.4f}'}")
    say(f"AUC       {record['auc_top10']:.4f}  under the mean of the best 10, of {record['budget']:,} molecules")
    for text in done.warnings:
        say(f"Warning: {text}", err=True)
    for row in done.results.best.head(3).itertuples():
        say(f"{row.score:.4f}  {row.smiles}")
    say(
        f"Wrote {output}: molecules.csv, best.csv, curve.png, report.html; model {model.name}, seed {record['seed']}, "
        f"{record['device']}, {record['seconds']:,.1f} s"
    )


@contextmanager
def _bar() -> Iterator[Progress]:
    """Bars of the molecules scored and of what follows, on standard error; earlier starts do not count for the rate."""
    from tqdm import tqdm

    bar: tqdm[NoReturn] | None = None

    def progress(stage: str, done: int, total: int | None) -> None:
        nonlocal bar
        if bar is not None and total != bar.total:  # other work than the scores
            bar.close()
            bar = None
        if bar is None:
            bar = tqdm(total=total, initial=done, unit=" molecules", dynamic_ncols=True)
        bar.set_description(stage, refresh=False)
        bar.update(done - bar.n)

    try:
        yield progress
    finally:
        if bar is not None:
            bar.close()

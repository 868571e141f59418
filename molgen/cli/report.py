"""molgen report: what a project team passes around of one or several sets of molecules."""

from __future__ import annotations

from pathlib import Path

import click

from molgen.cli.log import log_option
from molgen.cli.output import say
from molgen.cli.settings import STANDARDISE, config_option, engine_options, use_engine
from molgen.evaluation.extras import EXTRAS


@click.command("report", short_help="Write a report: tables, charts, alerts, a screen and its picks.")
@click.argument("files", nargs=-1, required=True)
@click.option("--reference", default="qm9", show_default=True, help="qm9, moses, chembl, or a file of real molecules.")
@click.option("--profile", default="lead-like", show_default=True, help="A screening profile: a name, or a TOML file.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("report"),
    show_default=True,
    help="Folder of the report.",
)
@click.option("--smiles-column", help="Column of the SMILES in a table; found by its name or content if omitted.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier report in the folder.")
@click.option("--standardise", is_flag=True, help=f"{STANDARDISE} Of a reference that is a file, too.")
@click.option(
    "--include",
    type=click.Choice(list(EXTRAS)),
    multiple=True,
    help="Also judge by an optional package; may be given twice. admet: 41 predictions of ADMET-AI; buyable: in stock, "
    "by molbloom.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes that judge molecules; every core's if omitted.")
@engine_options
@config_option
@log_option
def command(
    files: tuple[str, ...],
    reference: str,
    profile: str,
    output: Path,
    smiles_column: str | None,
    overwrite: bool,
    standardise: bool,
    include: tuple[str, ...],
    workers: int | None,
    engine: str,
    address: str | None,
) -> None:
    """Judge each of FILES against real molecules and a screening profile, side by side.

    FILES are .smi, .csv, .tsv, .sdf, .mol or .parquet, also gzipped, from any program. The folder gets

    \b
    report.html    summary, funnel, charts, map, picked structures, alerts, rare rings; opens offline, prints well
    molecules.csv  a row for each row of FILES: why it is not valid, properties, rules, alerts, nearest known molecule
    picked.sdf     a diverse pick among the molecules that pass
    summary.json   all figures, summary.md the same as a table

    Shipped profiles: cns, fragment, lead-like, oral. One of your own is a TOML file with the keys description, pick,
    [ranges], [alerts], [substructures] and [similarity].

    Example: molgen report molecules.csv --reference qm9 --profile lead-like --output report
    """
    from molgen.cli.bars import progress_bar, tell_column, tell_salts
    from molgen.evaluation.account import told
    from molgen.evaluation.report_files import read_set, write_report
    from molgen.workers import usual_workers

    sets = [read_set(file, smiles_column, tell_column) for file in files]
    use_engine(engine, address)
    with progress_bar() as progress:
        report = write_report(
            sets,
            output,
            reference=reference,
            profile=profile,
            overwrite=overwrite,
            standardise=standardise,
            include=include,
            workers=workers or usual_workers(),
            progress=progress,
        )
    for done in report.sets:
        say(
            f"{done.label}: {done.rows:,} rows, {done.valid:,} valid, {done.passed:,} pass {report.profile.name}, "
            f"{len(done.picked):,} picked"
        )
        for line in told(done.duplicates, done.account.standardised() if standardise else None):
            say(f"{done.label}: {line}")
        if done.requested is None:  # otherwise the reasons are those of failed samples
            tell_salts(done.reasons, done.rows)
    for warning in report.warnings:
        say(f"Warning: {warning}", err=True)
    say(f"Wrote {output / 'report.html'}, molecules.csv, picked.sdf, summary.json and summary.md")

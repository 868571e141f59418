"""molgen report: what a project team passes around of one or several sets of molecules."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import click

from molgen.cli.output import say
from molgen.errors import InputError


@click.command("report", short_help="Write a report: tables, charts, alerts, a screen and its picks.")
@click.argument("files", nargs=-1, required=True)
@click.option("--reference", default="qm9", show_default=True, help="qm9, moses, or a file of real molecules.")
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
@click.option("--workers", type=click.IntRange(min=1), help="Processes that judge molecules; every core's if omitted.")
def command(
    files: tuple[str, ...],
    reference: str,
    profile: str,
    output: Path,
    smiles_column: str | None,
    overwrite: bool,
    workers: int | None,
) -> None:
    """Judge each of FILES against real molecules and a screening profile, side by side.

    FILES are .smi, .csv, .tsv, .sdf or .parquet, also gzipped, from any program. The folder gets

    \b
    report.html    summary, funnel, charts, map, picked structures, alerts, rare rings; opens offline, prints well
    molecules.csv  a row for each row of FILES: why it is not valid, properties, rules, alerts, nearest known molecule
    picked.sdf     a diverse pick among the molecules that pass
    summary.json   all figures, summary.md the same as a table

    Shipped profiles: cns, fragment, lead-like, oral. One of your own is a TOML file with the keys description, pick,
    [ranges], [alerts], [substructures] and [similarity].

    Example: molgen report molecules.csv --reference qm9 --profile lead-like --output report
    """
    from molgen.cli.bars import progress_bar, tell_column
    from molgen.data.readers import expected_rows, read_molecules
    from molgen.evaluation.open_reference import open_reference
    from molgen.evaluation.report import Report
    from molgen.evaluation.run_record import run_record
    from molgen.evaluation.screening import load_profile
    from molgen.parallel import available_cores

    workers = workers or available_cores()
    wanted = load_profile(profile)
    if (output / "report.html").exists() and not overwrite:
        raise InputError(f"{output} holds a report already; give --overwrite to replace it, or another folder")
    if not output.resolve().parent.is_dir():
        raise InputError(f"the folder {output.resolve().parent} does not exist")
    rows = [read_molecules(file, smiles_column, on_column=tell_column) for file in files]
    firsts = [next(each) for each in rows]  # a file that cannot be read is told before anything is computed
    with progress_bar() as progress:
        compared = open_reference(reference, workers=workers, progress=progress)
        with Report(compared, wanted, output, progress) as report:
            for file, first, others in zip(files, firsts, rows, strict=True):
                record = run_record(file)
                asked, failed = (record.requested, record.reasons) if record and record.fits else (None, None)
                report.add(file, chain([first], others), workers, asked, failed, expected_rows(file))
            report.write()
    for done in report.sets:
        say(
            f"{done.label}: {done.rows:,} rows, {done.valid:,} valid, {done.passed:,} pass {wanted.name}, "
            f"{len(done.picked):,} picked"
        )
    for warning in report.warnings:
        say(f"Warning: {warning}", err=True)
    say(f"Wrote {output / 'report.html'}, molecules.csv, picked.sdf, summary.json and summary.md")

"""molgen score: judge a file of molecules against a reference."""

from __future__ import annotations

import json
from pathlib import Path

import click

from molgen.cli.log import log_option
from molgen.cli.output import say
from molgen.cli.settings import STANDARDISE, config_option, engine_options, use_engine
from molgen.errors import InputError


@click.command(short_help="Judge a file of molecules: validity, uniqueness, novelty, FCD.")
@click.argument("file")
@click.option(
    "--reference",
    help="What to compare with; if omitted, novelty and distances are left out. qm9, moses, chembl, a file of "
    "molecules, a folder of `molgen data`, or a model (a name of "
    "`molgen models`, or a folder). Novel are molecules outside its training part (of a file: outside the file; of a "
    "model: not trained on); the FCD is measured against its test part (of a file: against the file; of a model: no "
    "FCD, as it keeps no molecules).",
)
@click.option("--split", help="Part of the reference to measure the FCD against; test if omitted.")
@click.option(
    "--suite",
    is_flag=True,
    help="Also the MOSES suite (SNN, Frag, Scaf, IntDiv, Filters, distances of properties) and GuacaMol's KL score, "
    "against the test parts of a data set, and the shares of molecules with a ring system that no training molecule "
    "has and with a ring of 8 atoms or more. The first time takes minutes for MOSES.",
)
@click.option("--smiles-column", help="Column of the SMILES in a table; found by its name or content if omitted.")
@click.option(
    "--num",
    type=click.IntRange(min=1),
    help="Molecules asked for, where the file leaves out those that failed: the denominator of validity.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON file for the scores.  [default: molecules.scores.json beside molecules.csv; none for standard input]",
)
@click.option("--standardise", is_flag=True, help=f"{STANDARDISE} Of a reference that is a file, too.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that judge molecules; every core's if omitted.")
@engine_options
@config_option
@log_option
def command(
    file: str,
    reference: str | None,
    split: str | None,
    suite: bool,
    smiles_column: str | None,
    num: int | None,
    output: Path | None,
    standardise: bool,
    workers: int | None,
    engine: str,
    address: str | None,
) -> None:
    """Judge FILE, from any program: .smi, .csv, .tsv, .sdf, .mol, .parquet, also gzipped, or - for standard input.

    \b
    sanitised  RDKit accepts it as written, without radicals (of those asked for)
    valid      sanitised and one connected molecule (of those asked for)
    unique     distinct molecules (of the valid)
    novel      not in the training part of the reference (of the unique)
    new to X   in no part of the data set X, the held-out ones included (of the unique)
    V.U.N.     valid, unique and novel (of those asked for)
    FCD        Frechet ChemNet Distance, lower is better; it depends on the number of molecules
    floor      the FCD of as many real molecules: what a perfect model would reach

    The scores are printed, and written as JSON beside FILE; earlier scores there are replaced.

    Stereo and isotopes are ignored. The FCD takes at most 10,000 molecules of each side, duplicates included: a fixed
    random draw of the valid ones where there are more.  Every row counts, an empty one as a failure. Where
    `molgen generate` left its run record beside FILE, the failures it counted are counted here too.

    Example: molgen score molecules.csv --reference qm9
    """
    from molgen.cli.bars import progress_bar, tell_column, tell_salts
    from molgen.evaluation.score import score_file
    from molgen.files import atomic_write
    from molgen.workers import usual_workers

    if output is None and file != "-":
        output = _scores_path(file)
    _check_output(file, output)
    use_engine(engine, address)
    with progress_bar() as progress:
        scores = score_file(
            file,
            reference,
            split=split,
            smiles_column=smiles_column,
            num=num,
            suite=suite,
            standardise=standardise,
            workers=workers or usual_workers(),
            progress=progress,
            on_column=tell_column,
        )
    say(scores.table())
    if not scores.requested_from.startswith("run record"):  # its reasons are those of failed samples
        tell_salts(scores.summary.reasons, scores.rows)
    for warning in scores.warnings:
        say(f"Warning: {warning}", err=True)
    if output:
        with atomic_write(output) as stream:
            stream.write(json.dumps(scores.to_json(), indent=1) + "\n")


def _check_output(file: str, output: Path | None) -> None:
    from molgen.evaluation.run_record import record_path

    if output is None:
        return
    if not output.parent.is_dir():
        raise InputError(f"the folder {output.parent} does not exist")
    for kind, path in (("the file to judge", Path(file)), ("its run record", record_path(file))):
        if path.exists() and output.resolve() == path.resolve():
            raise InputError(f"--output {output} is {kind} and would be lost; give another name")


def _scores_path(file: str) -> Path:
    path = Path(file)
    return (path.with_suffix("") if path.suffix.lower() == ".gz" else path).with_suffix(".scores.json")

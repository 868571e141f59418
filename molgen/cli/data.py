"""molgen data: fetch, check and prepare a data set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from molgen.cli.log import log_option, logged
from molgen.cli.output import safe, say
from molgen.cli.settings import STANDARDISE
from molgen.training.launch import speaks

if TYPE_CHECKING:
    from molgen.data.dataset import Statistics
    from molgen.data.prepared import PreparedSet
    from molgen.molecules.vocabulary import Vocabulary
    from molgen.progress import Progress

MANY_CLASSES = 40  # atom classes; drug-like molecules have some 20
RARE = 10  # atoms of a class


@click.command(short_help="Fetch, check and prepare a data set.")
@click.argument("source")
@click.option(
    "--smiles-column",
    help="Column of the SMILES in a table; found by its name or its content if omitted.",
)
@click.option(
    "--keep-largest",
    is_flag=True,
    help="Of a salt or a mixture keep the largest fragment as it is; otherwise such a row is rejected.",
)
@click.option("--standardise", is_flag=True, help=STANDARDISE)
@click.option("--max-atoms", type=click.IntRange(min=1), help="Reject molecules with more heavy atoms than this.")
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the rejected rows there, as CSV with line number, text, name and reason.",
)
@log_option
def command(
    source: str,
    smiles_column: str | None,
    keep_largest: bool,
    standardise: bool,
    max_atoms: int | None,
    rejects: Path | None,
) -> None:
    """Check the molecules of SOURCE and prepare them for training.

    SOURCE is qm9 (comes with molgen), moses (fetched once, 52 MB), chembl (fetched once, 70 MB), or a file of your own:
    .smi, .csv, .tsv, .sdf, .mol or .parquet, also gzipped, or - for standard input. Every row is kept, or rejected with
    a reason. Stereochemistry and isotopes are dropped and counted. The kept molecules are split into train, valid and
    test, and the result is cached: the next call, and the training, start at once.

    \b
    molgen data qm9
    molgen data mine.csv --standardise --rejects rejects.csv
    """
    from molgen.cli.bars import tell_column, tell_salts
    from molgen.data.prepared import prepare

    with shown() as progress:
        prepared = prepare(
            source,
            smiles_column=smiles_column,
            keep_largest=keep_largest,
            standardise=standardise,
            max_atoms=max_atoms,
            rejects=rejects,
            progress=progress,
        )
    tell_column(prepared.column)
    say("\n".join(summary(prepared)))
    tell_salts(prepared.record["rejected"], prepared.record["rows"])
    warning = rare_atoms(prepared.vocabulary, prepared.statistics)
    if warning:
        say(f"Warning: {warning}", err=True)


@contextmanager
def shown() -> Iterator[Progress]:
    """Shows the progress of work on a data set on standard error, a bar for each stage."""
    from tqdm import tqdm

    bar: tqdm[NoReturn] | None = None
    doing = ""

    def progress(stage: str, done: int, total: int | None) -> None:
        nonlocal bar, doing
        if done == 0:
            say(f"{stage} ...", err=True)
            return
        if bar is None or stage != doing:
            if bar is not None:
                bar.close()
            bar = tqdm(desc=safe(stage), total=total, unit=" rows", unit_scale=True, disable=not speaks())
            doing = stage
        bar.update(done - bar.n)

    try:
        yield logged(progress)
    finally:
        if bar is not None:
            bar.close()


def rare_atoms(vocabulary: Vocabulary, statistics: Statistics) -> str:
    """A warning where a model would have to learn very many atom classes; "" where they are no more than usual."""
    if len(vocabulary.atoms) <= MANY_CLASSES:
        return ""
    nodes = sum(size * count for size, count in enumerate(statistics.sizes))
    counts = [round(share * nodes) for share in statistics.atoms]
    rare = [(atom, count) for atom, count in zip(vocabulary.atoms, counts, strict=True) if count < RARE]
    listed = ", ".join(f"{atom} ({count})" for atom, count in rare[:20]) + (", ..." if len(rare) > 20 else "")
    found = f"{len(vocabulary.atoms)} atom classes are many: a model learns little of one that it seldom sees"
    if not rare:
        return found
    return f"{found}. Of {len(rare)} there are fewer than {RARE} atoms in the training part: {listed}"


def summary(prepared: PreparedSet) -> list[str]:
    """The account of a prepared set: rows, reasons, splits, sizes, atom classes, place."""
    record = prepared.record
    rejected = record["rejected"]
    counts = [("rows read", record["rows"]), ("kept", record["kept"]), ("rejected", sum(rejected.values()))]
    for reason, count in rejected.items():
        counts.append((f"  {reason}", count))
        if reason == "duplicate":
            counts += [(f"    {kind}", number) for kind, number in record.get("duplicates", {}).items()]
    counts.append(("kept, stereo dropped", record["stereo_dropped"]))
    counts.append(("kept, isotopes dropped", record["isotopes_dropped"]))
    counts.append(("kept, fragments dropped", record["fragments_dropped"]))
    if (changes := record.get("standardised")) is not None:
        counts.append(("kept, standardised", changes["rows"]))
        counts += [(f"  {change}", number) for change, number in changes.items() if change != "rows"]
    counts += [(f"split {split}", count) for split, count in prepared.splits.items()]
    width = max(len(label) for label, _ in counts)
    lines = [f"{label:{width}}  {count:>10,}" for label, count in counts]
    sizes = [size for size, count in enumerate(prepared.statistics.sizes) if count]
    lines.append(f"{'heavy atoms':{width}}  {sizes[0]} to {sizes[-1]}")
    lines.append(f"{'atom classes':{width}}  {' '.join(map(str, prepared.vocabulary.atoms))}")
    if prepared.changes:
        lines.append(f"{'list of changes':{width}}  {prepared.changes}")
    return [*lines, f"{'prepared set':{width}}  {prepared.folder}"]

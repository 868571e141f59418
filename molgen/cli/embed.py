"""molgen embed: a vector for each molecule."""

from __future__ import annotations

from pathlib import Path

import click

from molgen.cli.output import say
from molgen.errors import InputError


@click.command("embed", short_help="Turn molecules into vectors.")
@click.argument("file")
@click.option(
    "--model",
    "model_name",
    default="qm9-nvdiff",
    show_default=True,
    help="A model with a latent space: a name or a folder.",
)
@click.option("--output", default="embeddings.parquet", show_default=True, help="Parquet file to write.")
@click.option("--smiles-column", help="Column of the SMILES in a table; found by its name or content if omitted.")
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the rows that cannot be used there, as CSV with line number, text, name and reason.",
)
def command(file: str, model_name: str, output: str, smiles_column: str | None, rejects: Path | None) -> None:
    """Write a vector for each molecule of FILE, for similarity, clustering or a model of a property.

    FILE is .smi, .csv, .tsv, .sdf, .mol or .parquet, also gzipped, or - for standard input. The output has the columns
    line, name, smiles and embedding: the mean over the atoms of the last layer of the model's encoder.

    Example: molgen embed molecules.smi --output embeddings.parquet
    """
    from collections import Counter

    from tqdm import tqdm

    from molgen.cli.bars import tell_column
    from molgen.data.readers import Row, read_molecules
    from molgen.data.rejects import Rejects
    from molgen.files import atomic_write
    from molgen.generation.latent import embeddings
    from molgen.models.checkpoints import load_checkpoint

    if Path(output).suffix.lower() != ".parquet":
        raise InputError(f"--output should end in .parquet, got {output}")
    for path in (Path(output), *([rejects] if rejects is not None else [])):
        if not path.resolve().parent.is_dir():
            raise InputError(f"the folder {path.resolve().parent} does not exist")
    model = load_checkpoint(model_name)
    refused: list[tuple[Row, str]] = []
    with tqdm(unit=" rows", unit_scale=True) as bar:

        def progress(_stage: str, done: int, _total: int | None) -> None:
            bar.update(done - bar.n)

        try:
            table = embeddings(
                model,
                read_molecules(file, smiles_column, on_column=tell_column),
                on_reject=lambda row, reason: refused.append((row, reason)),
                progress=progress,
            )
        finally:
            if rejects is not None:  # where nothing could be used, this list says why
                with atomic_write(rejects) as listed:
                    write = Rejects(listed)
                    for row, reason in refused:
                        write(row, reason)
    with atomic_write(output, "wb") as out:
        table.to_parquet(out, index=False)
    width = len(table["embedding"].iloc[0])
    say(f"Wrote {len(table):,} vectors of {width} numbers to {output}: model {model.name}")
    reasons = Counter(reason for _, reason in refused)
    if reasons:
        say("Rejected: " + ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common()))

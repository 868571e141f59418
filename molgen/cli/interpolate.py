"""molgen interpolate: molecules on the way from one to another."""

from __future__ import annotations

import click

from molgen.cli.output import say


@click.command("interpolate", short_help="List molecules on the way from one to another.")
@click.argument("first")
@click.argument("second")
@click.option(
    "--model",
    "model_name",
    default="qm9-nvdiff",
    show_default=True,
    help="A model with a latent space: a name or a folder.",
)
@click.option("--num", type=click.IntRange(min=2), default=9, show_default=True, help="Points, the ends included.")
def command(first: str, second: str, model_name: str, num: int) -> None:
    """List the molecules on the way from the SMILES FIRST to SECOND, as the model sees it.

    Both have the same number of heavy atoms. One line for each point: its share of the way and its SMILES,
    or why it is no molecule.

    Example: molgen interpolate CCCCCCO Cc1ccccc1
    """
    from molgen.generation.latent import path
    from molgen.models.checkpoints import load_checkpoint

    for position, point in enumerate(path(load_checkpoint(model_name), first, second, num)):
        say(f"{position / (num - 1):.2f}  {point.smiles if point.valid else f'({point.reason})'}")

"""molgen generate: new molecules from a trained model."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from molgen.cli.log import log_option, logged
from molgen.cli.output import say
from molgen.cli.settings import config_option, engine_options, use_engine
from molgen.errors import InputError

if TYPE_CHECKING:
    pass

DEFAULT_WORKERS = 4  # each takes some 600 MB


@click.command("generate", short_help="Make new molecules with a trained model.")
@click.option(
    "--model", "model_name", default="qm9-digress", show_default=True, help="A name from `molgen models`, or a folder."
)
@click.option("--num", type=int, help="Samples to draw, failed ones included.  [default: 1000]")
@click.option("--unique", type=int, help="Instead of --num: go on until so many distinct valid molecules are found.")
@click.option("--max-samples", type=int, help="With --unique: give up after so many samples.  [default: 20 for each]")
@click.option(
    "--output",
    default="molecules.csv",
    show_default=True,
    help="File to write, with the extension .csv, .smi, .sdf or .parquet. A - stands for CSV on standard output.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier output; drop an unfinished run of other settings.")
@click.option(
    "--seed",
    type=int,
    help="0 or more; equal seeds give equal molecules on the same kind of machine. If omitted, drawn and printed.",
)
@click.option(
    "--sampler",
    help="How noise is turned into molecules; molgen models NAME lists the samplers of a model. If omitted, its first.",
)
@click.option(
    "--steps",
    type=int,
    help="Network evaluations per molecule: more is slower, and better up to a point. Models have a default and some "
    "a limit.",
)
@click.option(
    "--effort",
    type=click.Choice(["fast", "balanced", "best"]),
    help="In place of --steps, in words; molgen models NAME tells the quality of each.",
)
@click.option(
    "--drafts",
    type=int,
    help="How often a molecule may be drawn until it has no fault (a valence exceeded, several pieces and, of "
    "drug-like models or with --known-rings, unknown rings or surroundings of atoms), and until the model's critic "
    "takes it. 8 if omitted; 1: the first, as it is.",
)
@click.option(
    "--formula",
    help="Only molecules of this formula, such as C7H9NO2; others that come out count as failures. molgen models NAME "
    "tells whether a model takes one.",
)
@click.option(
    "--atoms",
    help='Only molecules of these heavy atoms, each with its number of heavy neighbours, such as "C3 C2 C2 O1": this '
    "settles rings and branches. molgen models NAME tells whether a model takes them.",
)
@click.option(
    "--core",
    help="Only molecules that contain this part: SMILES, or a file of one molecule (.mol, .sdf). Attachment points, "
    "as in c1ccc([*:1])cc1, leave these atoms alone open; otherwise all with a hydrogen may grow. Parts with a dot "
    "between them are linked.",
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    help="Ask for a value of a property, such as logp=2.5, or a range, such as mw=250:350 or mw=:350; may be given "
    "several times. molgen models NAME tells which properties a model knows, and the range of each.",
)
@click.option(
    "--guidance",
    type=float,
    default=0.0,
    show_default=True,
    help="Weight of the targets: above 0 they are hit more often, by less varied molecules, in twice the time. With "
    "--formula its hydrogens are a target, for models that know it.",
)
@click.option("--size", help="Heavy atoms of every molecule, such as 24, or a range, such as 20:27.")
@click.option(
    "--like",
    help="Analogues of this molecule, SMILES or a file of one, with as many heavy atoms: it is changed part of the way "
    "and mended again. With --core, that part of it is kept.",
)
@click.option(
    "--standardise",
    is_flag=True,
    help="With --like: take the parent of the molecule, without salts, solvents and charges.",
)
@click.option(
    "--similarity",
    help="With --like: the Tanimoto similarity (Morgan, radius 2) that analogues have to it; others are filtered out. "
    "How far the molecule is changed is chosen by this.  [default: 0.5:0.8]",
)
@click.option(
    "--profile",
    help="Keep only molecules that pass this screening profile, one that comes with molgen (molgen report --help names "
    "them) or a TOML file. A filter on what was drawn: with --unique, go on until so many pass.",
)
@click.option(
    "--known-rings",
    is_flag=True,
    help="Keep only molecules all of whose ring systems some training molecule, the core or the lead has. A filter as "
    "well.",
)
@click.option(
    "--stereo",
    type=int,
    help="Write up to so many stereoisomers of each molecule, as rows of their own, named after it; those that cannot "
    "exist in space are left out. Without this, molecules are written without stereo.",
)
@click.option(
    "--3d",
    "three_d",
    is_flag=True,
    help="Write them in three dimensions with hydrogens (ETKDG, MMFF94), for docking: to an .sdf file; one "
    "stereoisomer of each molecule, or as many as --stereo says.",
)
@click.option(
    "--likelihood",
    is_flag=True,
    help="Add nll, an upper bound on -log p of each molecule in nats, nll_se, its standard error, and nll_percentile: "
    "how many of 100 training molecules with as many heavy atoms have a lower nll, in percent (low: typical).",
)
@click.option(
    "--workers",
    type=int,
    help="Workers, at most four for each core; they do not change the molecules. Every 1,000 samples are the work of "
    "one.  [default: one for each core, up to 4; with a GPU 1; on a cluster one for each CPU, or GPU]",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the network runs; auto takes the GPU if there is one.",
)
@engine_options
@config_option
@log_option
def command(
    model_name: str,
    num: int | None,
    unique: int | None,
    max_samples: int | None,
    output: str,
    overwrite: bool,
    seed: int | None,
    sampler: str | None,
    steps: int | None,
    effort: str | None,
    drafts: int | None,
    formula: str | None,
    atoms: str | None,
    core: str | None,
    targets: tuple[str, ...],
    guidance: float,
    size: str | None,
    profile: str | None,
    known_rings: bool,
    like: str | None,
    standardise: bool,
    similarity: str | None,
    stereo: int | None,
    three_d: bool,
    likelihood: bool,
    workers: int | None,
    engine: str,
    address: str | None,
    device: str,
) -> None:
    """Make new molecules.

    \b
    molgen generate --num 1000 --seed 7 --output molecules.csv
    molgen generate --unique 5000 --output library.sdf
    molgen generate --num 20 --output - | head

    The file gets every valid molecule (RDKit accepts it as drawn, one piece, no radicals; with --unique each only
    once): SMILES, molecular weight, logP, TPSA, hydrogen bond donors and acceptors, rotatable bonds, rings, QED, SA
    score, novel (not among the molecules the model was trained on), and the number of the sample. No graph is repaired.
    A .smi file has the SMILES and a name only. The run record (molecules.json beside molecules.csv) keeps settings,
    versions, counts and why samples failed.

    A stopped or killed run is resumed when the same command is given again. A run without a single valid molecule ends
    with exit code 1.
    """
    from tqdm import tqdm

    from molgen.cli.run_summary import no_molecules, tell
    from molgen.generation.given import smiles_of
    from molgen.generation.runs import run
    from molgen.generation.settings import make_settings, wanted_of
    from molgen.models.checkpoints import load_checkpoint
    from molgen.workers import current_engine, usual_workers

    for name, value in (("--num", num), ("--unique", unique), ("--max-samples", max_samples), ("--steps", steps)):
        if value is not None and value < 1:
            raise InputError(f"{name} should be at least 1, got {value}")
    if num is not None and unique is not None:
        raise InputError("give either --num or --unique, not both")
    if max_samples is not None and unique is None:
        raise InputError("--max-samples only goes with --unique")
    model = load_checkpoint(model_name)
    use_engine(engine, address)
    settings = make_settings(
        model,
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
        core=smiles_of("--core", core),
        targets=targets,
        guidance=guidance,
        size=size,
        profile=profile,
        known_rings=known_rings,
        like=smiles_of("--like", like),
        standardise=standardise,
        similarity=similarity,
        stereo=stereo,
        three_d=three_d,
        by_workers=True,
    )
    for warning in wanted_of(model, settings).warnings(model.statistics):
        say(f"Warning: {warning}", err=True)
    if workers is None:
        workers = usual_workers(gpu=settings.device != "cpu")
        if not current_engine().remote:
            workers = min(workers, DEFAULT_WORKERS)
    bar: tqdm[NoReturn] | None = None
    doing = ""

    def progress(stage: str, done: int, total: int | None) -> None:
        nonlocal bar, doing
        if bar is not None and stage != doing:  # what was tried before the run
            bar.close()
            bar = None
        doing = stage
        if bar is None:  # only now is it known what an earlier start has done, which must not count for the rate
            bar = tqdm(total=total, initial=done, unit=" molecules", dynamic_ncols=True)
        bar.update(done - bar.n)

    try:
        summary, record = run(model, settings, output, workers=workers, overwrite=overwrite, progress=logged(progress))
    except BrokenPipeError:  # the reader, such as `head`, has seen enough; Python must not complain when it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    finally:
        if bar is not None:
            bar.close()
    tell(summary, record, settings, output)
    if not record["rows"]:
        say(f"Error: {no_molecules(summary, settings)}", err=True)
        sys.exit(1)

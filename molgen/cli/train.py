"""molgen train: a model from a data set or from a file of molecules."""

import dataclasses
import platform
import time
import tomllib
from pathlib import Path

import click

from molgen.errors import InputError, TrainingError
from molgen.models.registry import BACKENDS
from molgen.training.trainer import TrainSettings

# of a training that starts from a model: high rates would wipe out what it knows
TUNING: dict[str, float | int] = {"patience": 3, "matrix_rate": 0.001, "learning_rate": 0.0005}
CHECK_MINUTES = 0.25
MANY = 200  # parameters for each training molecule
FEW = 2_000  # molecules; below, a model learns them by heart before it learns their chemistry

HELP = {
    "epochs": "Passes over the data.",
    "batch_size": "Molecules per step.",
    "matrix_rate": "Peak learning rate of the large matrices (Muon). With --init 0.001, where not given.",
    "learning_rate": "Peak learning rate of all other weights (AdamW). With --init 0.0005, where not given.",
    "warmup": "Steps until the learning rate is at its peak.",
    "decay": "Share of the run, at its end, in which the learning rate falls to zero.",
    "weight_decay": "Pull of the weights towards zero.",
    "ema": "Memory of the averaged weights, which are the ones kept.",
    "clip": "Largest gradient norm.",
    "seed": "Seed of weights, order and noise.",
    "evaluations": "How many times in the run the model is measured.",
    "patience": "Stop after so many measurements without a smaller validation loss, with the best weights; 0: never. "
    "With --init 3, where not given.",
    "checkpoint_minutes": "Minutes between saved states.",
    "known_share": "Share of the molecules of which a part is shown as known: what --core and formulas need later.",
    "target_share": "Share of the molecules that come with some of their properties: what targets need later.",
    "known_parts": "Whether the network can be shown known parts.",
    "layers": "Layers of the network: deeper is better and slower.",
    "width": "Numbers that describe each atom inside the network; a multiple of heads.",
    "pair_width": "Numbers that describe each pair of atoms inside the network.",
    "heads": "Attention heads.",
    "triangles": "Channels that see three atoms at once (rings).",
    "timesteps": "Noise levels between data and noise.",
    "bond_weight": "Weight of the bonds against the atoms in the loss.",
    "sigma_min": "Smallest noise.",
    "sigma_max": "Largest noise.",
    "loss": "cross-entropy, or score for the published score matching.",
    "latent": "Numbers that describe each atom to the diffusion.",
    "encoder_layers": "Layers that turn a molecule into node vectors.",
    "encoder_width": "Numbers that describe each atom in the encoder.",
    "decoder_layers": "Layers that turn node vectors into a molecule.",
    "decoder_width": "Numbers that describe each atom in the decoder; a multiple of heads.",
    "reconstruction_weight": "Weight of the autoencoder's loss; 0 trains the diffusion alone (with --init).",
    "prior_weight": "How much the encoder learns to please the diffusion.",
    "node_width": "Numbers in the memory of the network that chooses the atoms.",
    "sampler": "How the model generates where it is not told.",
    "sampling_steps": "Network evaluations per molecule where it is not told.",
    "time_power": "Above 1: train more on little noise, where valences are settled.",
}


def _settings_options(command):
    """One option for each field of TrainSettings and of the backends' configurations."""
    options = {field.name: (type(field.default), str(field.default)) for field in dataclasses.fields(TrainSettings)}
    for name, backend in BACKENDS.items():
        for field in dataclasses.fields(backend.Config):
            kind, defaults = options.get(field.name, (type(field.default), ""))
            options[field.name] = (kind, f"{defaults}, {name} {field.default}".removeprefix(", "))
    for name, (kind, defaults) in reversed(options.items()):
        flag = "--" + name.replace("_", "-")
        command = click.option(flag, name, type=kind, default=None, help=f"{HELP[name]}  [{defaults}]")(command)
    return command


def _take_config(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Make the entries of the TOML file the defaults of the other options; - and _ in their names are the same."""
    if path is None:
        return
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read as TOML ({error})") from None
    allowed = {option.name for option in context.command.params if option is not parameter and option.name}
    defaults = {}
    for key, value in record.items():
        name = key.replace("-", "_")
        if name not in allowed:
            raise InputError(f"{path}: unknown setting {key!r}; it takes {', '.join(sorted(allowed))}")
        if not isinstance(value, str | int | float):
            raise InputError(f"{path}: {key} should be a number, a text, true or false, got {value!r}")
        # as on the command line, where true is no number
        defaults[name] = value if name == "resume" else str(value).lower() if isinstance(value, bool) else str(value)
    context.default_map = defaults


@click.command("train")
@click.option("--data", required=True, help="qm9, moses, or a file of molecules (.smi .csv .tsv .sdf .parquet, .gz).")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option(
    "--property",
    "properties",
    multiple=True,
    help="A column of numbers in --data, such as pIC50, that the model learns to be asked for; may be given several "
    "times. Molecular weight, logP and the like are computed anyway.",
)
@click.option(
    "--backend", type=click.Choice(list(BACKENDS)), help="Model family.  [default: digress, or that of --init]"
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=_take_config,
    help="TOML file with any of these options; flags win over it.",
)
@click.option("--init", help="Start from the weights of this model, shipped or a folder, instead of random ones.")
@click.option(
    "--check",
    is_flag=True,
    help="Train nothing: tell what is left out of the data and why, whether the size of the model suits it, and how "
    "long the training would take on this machine.",
)
@click.option("--resume", is_flag=True, help="Go on from the state saved in the folder.")
@click.option(
    "--max-minutes",
    type=float,
    help="Stop, saved, after so many minutes. A run that ends with its --epochs is better: its learning rates have "
    "fallen to zero.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=0),
    default=500,
    show_default=True,
    help="Molecules drawn for each measurement; 0: only the loss.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@_settings_options
def command(data, output, properties, backend, init, check, resume, max_minutes, samples, device, **flags) -> None:
    """Train a model.

    \b
    molgen train --data qm9 --output runs/qm9 --max-minutes 60
    molgen train --data qm9 --output runs/qm9 --resume

    The folder gets: model/ (what `molgen generate --model runs/qm9/model` takes), log.csv, curve.png, and the
    state that --resume goes on from, after a stop or a crash.
    """
    import numpy as np
    import torch
    from filelock import FileLock, Timeout
    from tqdm import tqdm

    from molgen.cli.data import prepare_shown
    from molgen.data.measured import QUANTUM
    from molgen.device import pick_device
    from molgen.evaluation.plots import loss_curve
    from molgen.models.checkpoints import build_backend, load_checkpoint
    from molgen.molecules.hashing import smiles_hashes
    from molgen.molecules.properties import TARGETS
    from molgen.training.trainer import LOG, STATE, Trainer, saved_settings

    if max_minutes is not None and max_minutes <= 0:
        raise InputError(f"--max-minutes should be above 0, got {max_minutes}")
    if output.is_file():
        raise InputError(f"{output} is a file; --output names the folder of the run")
    # what a run was started with holds when it goes on; flags given again win
    chosen = saved_settings(output) if resume else {}
    chosen.pop("data", None)  # the run's folder knows; a difference is told when it is read
    own = [name for name in chosen.pop("targets", []) if name not in (*TARGETS, *QUANTUM)]
    first = load_checkpoint(init) if init and not resume else None
    started = chosen.pop("backend", None) or (first.backend_name if first else None)
    if backend and started and backend != started:
        raise InputError(f"{output if resume else f'--init {init}'} is a {started} model, not {backend}")
    backend = backend or started or "digress"
    if first:
        # a model that was never shown a known part learns it now
        chosen |= dataclasses.asdict(first.backend.config) | {"known_parts": True} | TUNING
    chosen |= {name: value for name, value in flags.items() if value is not None}
    settings = TrainSettings(**{key: value for key, value in chosen.items() if key in _names(TrainSettings)})
    sizes = {key: value for key, value in chosen.items() if key not in _names(TrainSettings)}
    target = pick_device(device)
    prepared = prepare_shown(data, properties=properties or tuple(own))
    graphs, statistics = told_graphs(prepared, settings.target_share > 0)
    torch.manual_seed(settings.seed)
    model = build_backend(backend, sizes, prepared.vocabulary, statistics)
    if first and (new := start_from(model, first, prepared)):
        click.echo(f"{first.name} does not know the atom types {', '.join(new)}: they are learned anew", err=True)
    model.to(target)
    if check:
        click.echo("\n".join(advance_check(model, backend, prepared, graphs, settings, bool(first))))
        return
    output.mkdir(parents=True, exist_ok=True)
    lock = FileLock(output / ".lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        raise TrainingError(f"another training is writing to {output}") from None
    with held:
        trainer = Trainer(
            model,
            graphs["train"],
            graphs["valid"],
            settings,
            output,
            backend,
            prepared.folder.name,
        )
        if resume:
            trainer.resume()
        elif (output / STATE).exists():
            raise TrainingError(f"{output} already holds a training; add --resume, or choose another --output")
        parameters = sum(parameter.numel() for parameter in model.parameters())
        click.echo(
            f"{backend} on {prepared.name}: {len(trainer.train_set):,} training molecules, {parameters:,} parameters, "
            f"{trainer.steps:,} steps, device {target}, from step {trainer.step:,}",
            err=True,
        )
        if len(trainer.train_set) < FEW:
            click.echo(
                f"Warning: {len(trainer.train_set):,} training molecules are few: the model may recite them. Start "
                "from another model with --init, and look at how many of its molecules are new (below, and in log.csv)",
                err=True,
            )
        bar = tqdm(total=trainer.steps, initial=trainer.step, unit="step", dynamic_ncols=True)

        def report(progress) -> None:
            bar.set_postfix_str(f"loss {progress.loss:.4f}, {progress.rate:,.0f} molecules/s")
            bar.update(progress.step - bar.n)

        known = np.unique(smiles_hashes(prepared.smiles("train")))

        def export(trainer: Trainer) -> None:
            save_model(trainer, backend, prepared, known, str(target))
            if (output / LOG).exists():
                loss_curve(output / LOG, output / "curve.png")

        with bar:
            done = trainer.run(
                max_minutes=max_minutes,
                evaluate=evaluator(prepared, samples, settings.seed, known) if samples else None,
                report=report,
                export=export,
            )
    if samples and (measured := log_rows(output)):
        last = {name: float(measured[-1].get(name) or "nan") for name in ("valid", "unique", "novel")}
        click.echo(
            f"of the last {samples} molecules drawn: {last['valid']:.1%} valid, of these {last['unique']:.1%} "
            f"distinct, of these {1 - last['novel']:.1%} are training molecules",
            err=True,
        )
    click.echo(f"model: {output / 'model'}")
    if not done:
        click.echo(
            f"stopped at step {trainer.step:,} of {trainer.steps:,}; the same command with --resume goes on", err=True
        )


def told_graphs(prepared, targets: bool):
    """The graphs of train and valid by split, with the properties that a model can be told where `targets`; and the
    statistics of the training molecules, those of the properties among them."""
    from molgen.cli.data import shown
    from molgen.data.dataset import told_statistics

    graphs = {split: prepared.graphs(split) for split in ("train", "valid")}
    if not targets:
        return graphs, prepared.statistics
    with shown() as progress:
        tables = {split: prepared.targets(split, progress=progress) for split in graphs}
    names = tables["train"].names
    with_all = {split: graphs[split].with_targets(tables[split].values) for split in graphs}
    statistics = told_statistics(prepared.statistics, with_all["train"], names)
    columns = [names.index(target.name) for target in statistics.targets]
    for split, table in tables.items():
        graphs[split] = graphs[split].with_targets(table.values[:, columns])
    return graphs, statistics


def advance_check(model, backend: str, prepared, graphs, settings: TrainSettings, started: bool) -> list[str]:
    """What to know before a training: the data's account, the size of the model, the time on this machine."""
    import tempfile

    from molgen.cli.data import summary
    from molgen.training.trainer import Trainer

    train, parameters = graphs["train"], sum(parameter.numel() for parameter in model.parameters())
    with tempfile.TemporaryDirectory(prefix="molgen-") as folder:
        trainer = Trainer(model, train, graphs["valid"], settings, Path(folder), backend, prepared.folder.name)
        trainer.run(max_minutes=CHECK_MINUTES)
    rate = trainer.graphs / trainer.seconds
    minutes = trainer.steps * trainer.graphs / trainer.step / rate / 60
    lines = [*summary(prepared), ""]
    lines.append(
        f"model: {backend}, {parameters:,} parameters, {parameters / len(train):,.0f} for each training molecule"
    )
    if parameters > MANY * len(train) and not started:
        lines.append(
            "  that is much (the shipped models have 20 to 35): start from another model with --init, or make it "
            "smaller, for example --layers 3 --width 64"
        )
    lines.append(
        f"time: {rate:,.0f} molecules/s here, so {settings.epochs:g} epochs ({trainer.steps:,} steps) take some "
        f"{minutes:,.0f} minutes, measuring not counted"
    )
    return lines


def start_from(backend, first, prepared) -> list[str]:
    """Give a new backend the weights of a model; marginals and the like stay those of the new data.

    Atom classes that both know keep their weights; those that are new, which are returned, start from those of a
    class of the same element, or else from the mean of all. Raises InputError where the sizes of the networks differ.
    """
    import torch

    weights = dict(first.backend.named_parameters())
    classes = list(first.vocabulary.atoms)
    order = []  # for each class of the new data, the old classes whose mean it starts from
    for atom in prepared.vocabulary.atoms:
        same = [old for old, known in enumerate(classes) if known == atom]
        alike = [old for old, known in enumerate(classes) if known.element == atom.element]
        order.append(same or alike or list(range(len(classes))))
    for name, parameter in backend.named_parameters():
        old = weights.get(name)
        if old is not None and name in backend.atom_axes:
            axis, copies, block = backend.atom_axes[name]
            rows = old.movedim(axis, 0)
            end = copies * len(classes) * block
            parts = rows[:end].unflatten(0, (copies, len(classes), block))
            grown = torch.stack([parts[:, source].mean(1) for source in order], 1).flatten(0, 2)
            old = torch.cat([grown, rows[end:]]).movedim(0, axis)
        if old is not None and name in backend.known_axes and old.shape[1] < parameter.shape[1]:
            old = torch.nn.functional.pad(old, (0, parameter.shape[1] - old.shape[1]))
        if name == f"{backend.target_module}.inward.weight":
            old = target_weights(parameter, backend.targets, old, first.backend.targets)
        elif old is None and name.startswith((backend.target_module, *backend.new_modules)):
            continue  # what it was never told says nothing until it is learned: these parts' outputs start at zero
        if old is None or old.shape != parameter.shape:
            raise InputError(
                f"--init {first.name} has another network: {name} does not fit; leave its sizes as they are"
            )
        parameter.data.copy_(old)
    return [str(atom) for atom in prepared.vocabulary.atoms if atom not in classes]


def target_weights(fresh, names: tuple[str, ...], old, old_names: tuple[str, ...]):
    """The weights [width, targets * features] with those of the properties that the old ones also know put in."""
    if old is None:
        return fresh.detach()
    parts = fresh.detach().clone().unflatten(1, (len(names), -1))
    known = old.unflatten(1, (len(old_names), -1))
    for position, name in enumerate(names):
        if name in old_names:
            parts[:, position] = known[:, old_names.index(name)]
    return parts.flatten(1)


def evaluator(prepared, samples: int, seed: int, known):
    """Measures a model by `samples` drawn molecules: shares valid, unique and novel, FCD to the validation
    molecules."""
    from molgen.evaluation.scores import fcd_distance, split_activations
    from molgen.generation.sampling import sample_smiles
    from molgen.molecules.hashing import contains, smiles_hashes

    def evaluate(backend) -> dict[str, float]:
        drawn = sample_smiles(backend, prepared.vocabulary, prepared.statistics, samples, seed=seed)
        valid = [molecule.smiles for molecule in drawn if molecule.valid]
        distinct = list(set(valid))
        measured = {"valid": len(valid) / samples, "unique": len(distinct) / max(1, len(valid))}
        measured["novel"] = float((~contains(known, smiles_hashes(distinct))).mean()) if distinct else 0.0
        distance = fcd_distance(valid, split_activations(prepared, "valid")) if len(valid) > 1 else None
        return measured if distance is None else measured | {"fcd": distance}

    return evaluate


def log_rows(folder: Path) -> list[dict[str, str]]:
    """The lines of a run's log, none where it has not begun."""
    import csv

    from molgen.training.trainer import LOG

    if not (folder / LOG).exists():
        return []
    with (folder / LOG).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def save_model(trainer, backend_name: str, prepared, known, device: str) -> None:
    """Write the averaged weights as a checkpoint folder `model` in the run's folder, with its card."""
    import torch

    from molgen.models.checkpoints import save_checkpoint

    measured = log_rows(trainer.folder)
    last = measured[-1] if measured else {}
    card = {
        "name": trainer.folder.name,
        "backend": backend_name,
        "data": {"set": prepared.name, "training molecules": len(trainer.train_set)},
        "licence": "that of the training data, for your own; MIT for the shipped models",
        "parameters": sum(parameter.numel() for parameter in trainer.backend.parameters()),
        "training": {
            "steps": f"{trainer.step:,} of {trainer.steps:,}",
            "molecules seen": trainer.graphs,
            "minutes": round(trainer.seconds / 60, 1),
            "device": f"{device}, {torch.get_num_threads()} threads, {platform.machine()}",
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            **dataclasses.asdict(trainer.settings),
        },
        "figures": {
            "note": "measured during training on few samples, against the validation molecules",
            **{name: last[name] for name in ("valid_loss", "valid", "unique", "novel", "fcd") if last.get(name)},
        },
        "limits": f"Makes molecules of up to {max(trainer.train_set.by_size)} heavy atoms with the atom types "
        f"{', '.join(map(str, prepared.vocabulary.atoms))}; no stereochemistry.",
    }
    save_checkpoint(
        trainer.folder / "model",
        backend_name=backend_name,
        backend=trainer.backend,
        weights=trainer.ema,
        vocabulary=prepared.vocabulary,
        statistics=trainer.backend.statistics,
        known=known,
        card=card,
    )


def _names(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}

"""What a training starts with: graphs, settings, and a network with its first weights."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch

from molgen.data.dataset import GraphDataset, Statistics, told_statistics
from molgen.data.measured import QUANTUM
from molgen.data.prepared import PreparedSet, prepare
from molgen.device import pick_device
from molgen.errors import InputError
from molgen.models.base import Backend
from molgen.models.checkpoints import Model, build_backend, load_checkpoint
from molgen.models.config import Value
from molgen.models.registry import family
from molgen.molecules.properties import TARGETS
from molgen.progress import Progress, silent
from molgen.training.finetune import TUNING, start_from
from molgen.training.log import LOG
from molgen.training.settings import TrainSettings
from molgen.training.share import ALONE, Share
from molgen.training.state import RunSettings, saved_settings
from molgen.training.trainer import Trainer

FEW = 2_000  # molecules; below, a model learns them by heart before it learns their chemistry


@dataclass(frozen=True)
class Setup:
    """What a training starts with.

    folder: of the run; resumed: whether it continues from the state there. train, valid: graphs of the prepared set,
    with the properties that the model can be told. backend: on the device to train on, with its weights drawn or those
    of the model called `first`, which lacks the atom classes `new_atoms`. share: what this process does.
    """

    folder: Path
    resumed: bool
    prepared: PreparedSet
    train: GraphDataset
    valid: GraphDataset
    backend_name: str
    backend: Backend
    settings: TrainSettings
    first: str | None
    new_atoms: tuple[str, ...]
    share: Share = ALONE

    @property
    def parameters(self) -> int:
        """Number of weights that are trained."""
        return sum(parameter.numel() for parameter in self.backend.parameters())

    @property
    def warnings(self) -> list[str]:
        """What the user should know of this training, in words."""
        found = []
        if self.new_atoms:
            found.append(
                f"{self.first} does not know the atom types {', '.join(self.new_atoms)}: they are learned anew"
            )
        if len(self.train) < FEW:
            advice = "Look" if self.first or self.resumed else "Start from another model, and look"
            found.append(
                f"{len(self.train):,} training molecules are few: the model may memorise them. {advice} at how many of "
                f"its molecules are new ({LOG} has the share)"
            )
        return found

    def trainer(self, folder: Path) -> Trainer:
        """The training of the backend from its first step, in a folder."""
        name, data = self.backend_name, self.prepared.folder.name
        return Trainer(self.backend, self.train, self.valid, self.settings, folder, name, data, self.share)


def set_up(
    data: str | PreparedSet,
    output: Path | str,
    *,
    backend: str | None = None,
    init: str | Model | None = None,
    properties: Sequence[str] = (),
    smiles_column: str | None = None,
    standardise: bool = False,
    options: Mapping[str, Value] | None = None,
    resume: bool = False,
    device: str = "auto",
    progress: Progress = silent,
    share: Share = ALONE,
) -> Setup:
    """Prepare the data and build the network; nothing is written to `output`, the folder of the run.

    data: a prepared set, or what `prepare` takes. backend: a key of BACKENDS; None: that of the model or run it starts
    from, else digress. init: the model, its name or folder, whose weights it starts from, of the same family or one
    that this one adopts (`Backend.adopts`). properties: columns of the
    data that the model learns to be asked for. smiles_column: of a table, where it cannot be told. standardise: as
    `prepare`. options: fields of TrainSettings and of the backend's Config; with `init` those of the model and TUNING
    come before the usual ones. resume: continue the run in `output` with what it was started with, where `options` says
    nothing else; `init` then does not count. device: auto, cpu or cuda. progress: of work on the data. share: what of
    the training this process does; of several the first sets up alone (`Share.first_alone`), which prepares the data.
    Raises InputError for what cannot be used, TrainingError where there is nothing to resume, and as `prepare`.
    """
    folder = Path(output)
    if folder.is_file():
        raise InputError(f"{folder} is a file, not a folder for the run")
    first = None
    if init is not None and not resume:
        first = init if isinstance(init, Model) else load_checkpoint(init)
    saved = saved_settings(folder) if resume else None
    started = saved.backend if saved else first.backend_name if first else None
    name = backend or started or "digress"
    adopts = family(name).adopts if first else {}
    if started not in (None, name, *adopts):
        raise InputError(f"{first.name if first else folder} is a {started} model, not {name}")
    settings, config = _chosen(saved, first, adopts.get(started or ""), options or {})
    share = share.dealt(saved.ranks) if saved else share
    target = pick_device(device, share.local)
    if target.index is not None:
        torch.cuda.set_device(target)
    if share.talks and data == "-":
        raise InputError("standard input reaches only one of several processes: give the molecules as a file")
    source = str(data.folder) if isinstance(data, PreparedSet) else data
    measured = (*TARGETS, *QUANTUM) if source == "qm9" or Path(source).is_dir() else TARGETS
    own = [] if saved is None else [column for column in saved.targets if column not in measured]
    prepared = prepare(
        source,
        smiles_column=smiles_column,
        standardise=standardise,
        properties=tuple(properties or own),
        progress=progress,
    )
    graphs, statistics = told_graphs(prepared, settings.target_share > 0, progress)
    if settings.target_share > 0:
        _check_properties(prepared, statistics)
    torch.manual_seed(settings.seed)
    model = build_backend(name, config, prepared.vocabulary, statistics)
    new_atoms = start_from(model, first) if first else []
    return Setup(
        folder=folder,
        resumed=resume,
        prepared=prepared,
        train=graphs["train"],
        valid=graphs["valid"],
        backend_name=name,
        backend=model.to(target),
        settings=settings,
        first=first.name if first else None,
        new_atoms=tuple(new_atoms),
        share=share,
    )


def _check_properties(prepared: PreparedSet, statistics: Statistics) -> None:
    """Raise InputError for a column of the user's that no model can be asked for."""
    told = {target.name for target in statistics.targets}
    for name in prepared.properties:
        if name not in told:
            raise InputError(f"property {name!r} has no value in the training molecules, or the same in all of them")


def told_graphs(
    prepared: PreparedSet, targets: bool, progress: Progress = silent
) -> tuple[dict[str, GraphDataset], Statistics]:
    """The graphs of train and valid by split, and the statistics of the training molecules.

    With `targets` both have the properties that a model can be told.
    """
    graphs = {split: prepared.graphs(split) for split in ("train", "valid")}
    if not targets:
        return graphs, prepared.statistics
    tables = {split: prepared.targets(split, progress=progress) for split in graphs}
    names = tables["train"].names
    with_all = {split: graphs[split].with_targets(tables[split].values) for split in graphs}
    statistics = told_statistics(prepared.statistics, with_all["train"], names)
    columns = [names.index(target.name) for target in statistics.targets]
    for split, table in tables.items():
        graphs[split] = graphs[split].with_targets(table.values[:, columns])
    return graphs, statistics


def _chosen(
    saved: RunSettings | None, first: Model | None, shared: Sequence[str] | None, options: Mapping[str, Value]
) -> tuple[TrainSettings, dict[str, Value]]:
    """The settings of the training, and what of the backend's config is not as usual; options win.

    shared: the settings that a model of another family shares with this one.
    """
    chosen: dict[str, Value] = dict(saved.options) if saved else {}
    if first:
        config = {
            name: value
            for name, value in asdict(first.backend.config).items()
            if name not in first.backend.unlearned and (shared is None or name in shared)
        }
        # a model that was never shown a known part learns it now
        chosen |= config | {"known_parts": True} | TUNING
    chosen |= options
    names = {field.name for field in fields(TrainSettings)}
    settings = {name: value for name, value in chosen.items() if name in names}
    rest = {name: value for name, value in chosen.items() if name not in names}
    return TrainSettings(**settings), rest  # type: ignore[arg-type]  # it checks its values

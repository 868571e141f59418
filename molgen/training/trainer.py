"""The training loop: it knows tensors and no chemistry, so it runs wherever torch runs.

Everything random in step k follows from (seed, k), so a run that is killed and resumed from its last saved state
goes through the same batches and noise as one that was not.
"""

import csv
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from molgen.data.dataset import GraphDataset
from molgen.errors import InputError, TrainingError
from molgen.files import atomic_write
from molgen.models.base import Backend
from molgen.models.conditions import Condition, draw_condition
from molgen.molecules.graph import GraphBatch
from molgen.training.optimisers import Muon

STATE = "state.safetensors"
ENTRIES = 150_000  # pairs and nodes that go through the network at once in training, some GB
LOG = "log.csv"
POSITION = ("step", "graphs", "seconds", "loss_sum", "loss_steps", "best_loss", "stale")
# batches and noise must stay the same for a resumed run to be the same run; how long and how fast it learns may change
CHANGEABLE = (
    *("epochs", "evaluations", "checkpoint_minutes", "learning_rate", "matrix_rate", "decay", "ema", "clip"),
    "patience",
)
LOG_COLUMNS = (
    *("step", "epoch", "graphs", "seconds", "learning_rate", "loss", "valid_loss", "told_loss"),
    *("valid", "unique", "novel", "fcd"),
)


@dataclass(frozen=True)
class TrainSettings:
    """How to train.

    epochs: passes over the data; batch_size: graphs per step; matrix_rate, learning_rate: peak learning rates of
    Muon (matrices of the blocks) and AdamW (all else); warmup: steps; decay: share of the run, at its end, in which the
    rates fall linearly to zero; weight_decay; ema: decay of the averaged weights per step; clip: largest gradient
    norm; seed; evaluations: how many times in the run validation is measured; patience: measurements
    without a smaller validation loss after which the run ends with the weights of the best one, 0 for never;
    checkpoint_minutes: between saves. known_share: graphs with a known part; target_share: graphs told some properties.
    """

    epochs: float = 40.0
    batch_size: int = 512
    matrix_rate: float = 5e-3
    learning_rate: float = 2e-3
    warmup: int = 200
    decay: float = 0.6
    weight_decay: float = 0.01
    ema: float = 0.999
    clip: float = 1.0
    seed: int = 0
    evaluations: int = 20
    patience: int = 0
    checkpoint_minutes: float = 3.0
    known_share: float = 0.5
    target_share: float = 2 / 3

    def __post_init__(self) -> None:
        limits = {
            "epochs": self.epochs > 0,
            "batch_size": self.batch_size >= 1,
            "matrix_rate": self.matrix_rate > 0,
            "learning_rate": self.learning_rate > 0,
            "warmup": self.warmup >= 0,
            "decay": 0 <= self.decay <= 1,
            "weight_decay": self.weight_decay >= 0,
            "ema": 0 <= self.ema < 1,
            "clip": self.clip > 0,
            "seed": 0 <= self.seed < 2**40,
            "evaluations": self.evaluations >= 1,
            "patience": self.patience >= 0,
            "checkpoint_minutes": self.checkpoint_minutes > 0,
            "known_share": 0 <= self.known_share <= 1,
            "target_share": 0 <= self.target_share <= 1,
        }
        for name, fine in limits.items():
            if not fine or not math.isfinite(getattr(self, name)):
                raise InputError(f"{name} cannot be {getattr(self, name)}")


@dataclass(frozen=True)
class Progress:
    """Where a training is: steps done and in all, the mean loss since the last report, graphs per second."""

    step: int
    steps: int
    loss: float
    rate: float


# measures the averaged model: columns of LOG_COLUMNS, such as {"valid": 0.98, "fcd": 0.4}
Evaluate = Callable[[Backend], dict[str, float]]


class Trainer:
    """A training run in a folder: state.safetensors (to go on from), log.csv.

    backend: a molgen.models.base.Backend on the device to train on; train, valid: graphs; name, data: what backend
    and data are called, which must be the same when the run goes on.
    Raises TrainingError where the folder holds a run with other settings, or a damaged state.
    """

    def __init__(
        self,
        backend: Backend,
        train: GraphDataset,
        valid: GraphDataset,
        settings: TrainSettings,
        folder: Path,
        name: str,
        data: str,
    ) -> None:
        self.backend = backend
        self.device = next(backend.parameters()).device
        self.train_set, self.valid_set = train.to(self.device), valid
        self.settings = settings
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.identity = {"backend": name, "data": data, "targets": list(backend.targets)}
        self.optimizers = _optimizers(backend, settings)
        self.ema = {name: tensor.detach().clone() for name, tensor in backend.state_dict().items()}
        self.batches_per_epoch = len(train.epoch(settings.batch_size, settings.seed, 0))
        self.steps = max(1, round(settings.epochs * self.batches_per_epoch))
        self.step = 0
        self.graphs = 0
        self.seconds = 0.0
        self.loss_sum, self.loss_steps = 0.0, 0  # since the last line of the log
        self.best: dict[
            str, Tensor
        ] = {}  # the averaged weights with the smallest validation loss, where there is patience
        self.best_loss, self.stale = math.inf, 0

    def run(
        self,
        *,
        max_minutes: float | None = None,
        evaluate: Evaluate | None = None,
        report: Callable[[Progress], None] | None = None,
        export: Callable[["Trainer"], None] | None = None,
    ) -> bool:
        """Train until the last step (returns True) or until max_minutes have passed (False); saved either way.

        report is called some times a second at most; export at each save, to write a model folder.
        Raises TrainingError when the loss is no longer a number; the last saved state stays.
        """
        started = saved = reported = time.monotonic()
        base_seconds, counted = self.seconds, self.graphs
        losses: list[Tensor] = []
        every = max(1, self.steps // self.settings.evaluations)
        self.backend.train()
        if self.step == 0:
            (self.folder / LOG).unlink(missing_ok=True)
        for size, rows in self._batches():
            losses.append(self._one_step(self.train_set.by_size[size][rows], self._targets(self.train_set, size, rows)))
            now = time.monotonic()
            self.seconds = base_seconds + now - started
            last = self.step == self.steps
            stop = max_minutes is not None and now - started > 60 * max_minutes
            measure = last or self.step % every == 0
            save = measure or stop or now - saved > 60 * self.settings.checkpoint_minutes
            if save or now - reported > 2.0:
                loss = self._collect(losses)
                if report is not None:
                    report(Progress(self.step, self.steps, loss, (self.graphs - counted) / max(now - reported, 1e-9)))
                losses, reported, counted = [], now, self.graphs
            if measure:
                measured = self._measure(evaluate)
                self._log(measured)
                last = self._enough(measured["valid_loss"]) or last
            if save:
                self.save()
                if export is not None:
                    export(self)
                saved = time.monotonic()
            if last:
                return True
            if stop:
                return False
        if export is not None:  # complete before this call: a kill may have come between the last save and the export
            export(self)
        return True

    def _batches(self) -> Iterator[tuple[int, Tensor]]:
        epoch, position = divmod(self.step, self.batches_per_epoch)
        while self.step < self.steps:
            for size, rows in self.train_set.epoch(self.settings.batch_size, self.settings.seed, epoch)[position:]:
                yield size, torch.from_numpy(rows).to(self.device)
                if self.step >= self.steps:
                    return
            epoch, position = epoch + 1, 0

    def _targets(self, graphs: GraphDataset, size: int, rows: Tensor) -> Tensor:
        """The properties of some graphs of a size, float [rows, k]."""
        if not graphs.targets:
            return torch.full((len(rows), len(self.backend.targets)), torch.nan, device=self.device)
        return graphs.targets[size][rows.to(graphs.targets[size].device)].to(self.device)

    def _told(
        self, batch: GraphBatch, targets: Tensor, known_share: float, target_share: float, generator: torch.Generator
    ) -> Condition | None:
        """A random condition on the graphs; None where the model is told nothing."""
        if not self.backend.config.known_parts:
            known_share = 0.0
        if not known_share and not (target_share and targets.shape[1]):
            return None
        names = self.backend.targets
        return draw_condition(
            batch, targets, names, known_share=known_share, target_share=target_share, generator=generator
        )

    def _one_step(self, batch: GraphBatch, targets: Tensor) -> Tensor:
        settings = self.settings
        scale = self._rate_scale()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * scale
        generator = torch.Generator(self.device).manual_seed(settings.seed * 1_000_003 + self.step)
        # large molecules go through in parts, whose gradients add up: memory is bounded, the step is the same
        count = max(1, ENTRIES // (batch.pairs.shape[1] + batch.size))
        losses = []
        for start in range(0, len(batch), count):
            rows = slice(start, start + count)
            part = batch[rows].to(torch.int64)
            told = self._told(part, targets[rows], settings.known_share, settings.target_share, generator)
            loss = self.backend.loss(part, generator, told)
            # a short batch weighs as much as its graphs
            (loss.sum() / settings.batch_size).backward()
            losses.append(loss.detach())
        norm = torch.nn.utils.clip_grad_norm_(self.backend.parameters(), settings.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        self.graphs += len(batch)
        # the average starts short, so that it does not remember the random start
        keep = min(settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, parameter in self.backend.named_parameters():
                self.ema[name].lerp_(parameter, 1 - keep)
        # a gradient that is no number has just spoilt the weights: they must not be saved as good
        return torch.where(norm.isfinite(), torch.cat(losses).mean(), torch.nan)

    def _enough(self, valid_loss: float) -> bool:
        """Keep the best averaged weights; whether patience is at its end, or the run, and these are put in place."""
        if not self.settings.patience:
            return False
        if valid_loss < self.best_loss:
            self.best_loss, self.stale = valid_loss, 0
            self.best = {name: tensor.clone() for name, tensor in self.ema.items()}
        else:
            self.stale += 1
        if self.stale < self.settings.patience and self.step < self.steps:
            return False
        self.ema = self.best
        self.steps = self.step  # a call to go on finds it done
        return True

    def _rate_scale(self) -> float:
        """Share of the peak learning rate: linear warm-up, constant, linear decay to zero."""
        settings = self.settings
        warm = min(1.0, (self.step + 1) / max(1, settings.warmup))
        left = (self.steps - self.step) / max(1.0, settings.decay * self.steps)
        return min(warm, 1.0, left)

    def _collect(self, losses: list[Tensor]) -> float:
        """Mean of the latest losses, added to those of the next line of the log. Raises TrainingError."""
        values = torch.stack(losses).double().cpu()
        loss = float(values.mean())
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} near step {self.step}; what was saved before in {self.folder} is still good. "
                "Start again in another folder with lower learning rates."
            )
        self.loss_sum += float(values.sum())
        self.loss_steps += len(losses)
        return loss

    def _measure(self, evaluate: Evaluate | None) -> dict[str, float]:
        """Validation loss of the averaged weights, told nothing and told of every graph, and what `evaluate` adds."""
        trained = {name: tensor.detach().clone() for name, tensor in self.backend.state_dict().items()}
        self.backend.load_state_dict(self.ema)
        self.backend.eval()
        try:
            total, told_total, count = 0.0, 0.0, 0
            shares = (float(self.settings.known_share > 0), float(self.settings.target_share > 0))
            with torch.no_grad():
                for size, rows in self.valid_set.epoch(self.settings.batch_size, 0, 0)[:16]:
                    generator = torch.Generator(self.device).manual_seed(count)
                    index = torch.from_numpy(rows)
                    batch = self.valid_set.by_size[size][index].to(self.device, torch.int64)
                    targets = self._targets(self.valid_set, size, index)
                    part = max(1, ENTRIES // (batch.pairs.shape[1] + batch.size))
                    for start in range(0, len(batch), part):
                        graphs = batch[slice(start, start + part)]
                        total += float(self.backend.loss(graphs, generator).sum())
                        told = self._told(graphs, targets[slice(start, start + part)], *shares, generator)
                        if told is not None:
                            told_total += float(self.backend.loss(graphs, generator, told).sum())
                    count += len(batch)
            measured = {"valid_loss": total / max(1, count)}
            if told_total:
                measured["told_loss"] = told_total / max(1, count)
            return measured | (evaluate(self.backend) if evaluate is not None else {})
        finally:
            self.backend.load_state_dict(trained)
            self.backend.train()

    def _log(self, measured: dict[str, float]) -> None:
        row: dict[str, Any] = {
            "step": self.step,
            "epoch": round(self.step / self.batches_per_epoch, 3),
            "graphs": self.graphs,
            "seconds": round(self.seconds, 1),
            "learning_rate": f"{self.settings.learning_rate * self._rate_scale():.3g}",
            "loss": round(self.loss_sum / self.loss_steps, 5),
        }
        self.loss_sum, self.loss_steps = 0.0, 0
        row |= {name: round(value, 5) for name, value in measured.items()}
        path = self.folder / LOG
        new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, LOG_COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow(row)
            file.flush()
            os.fsync(file.fileno())

    def save(self) -> None:
        """Write the state to go on from: weights, averages, optimizer moments, position. Atomic."""
        tensors = {f"model.{name}": tensor for name, tensor in self.backend.state_dict().items()}
        tensors |= {f"ema.{name}": tensor for name, tensor in self.ema.items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for number, optimizer in enumerate(self.optimizers):
            for key, entry in optimizer.state_dict()["state"].items():
                for name, value in entry.items():
                    tensors[f"optimizer.{number}.{key}.{name}"] = torch.as_tensor(value)
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        position = {name: getattr(self, name) for name in POSITION}
        metadata = {
            "settings": json.dumps(self._all_settings()),
            "position": json.dumps(position),
            "sha256": _digest(tensors),
        }
        with atomic_write(self.folder / STATE, "wb") as file:
            file.write(safetensors_bytes(tensors, metadata))

    def _all_settings(self) -> dict[str, Any]:
        return self.identity | asdict(self.settings) | asdict(self.backend.config)

    def resume(self) -> None:
        """Go on from the folder's saved state; log lines written after it are dropped. Raises TrainingError."""
        path = self.folder / STATE
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise TrainingError(f"{path} cannot be read ({error}); start again in another folder") from None
        if metadata.get("sha256") != _digest(tensors):
            raise TrainingError(f"{path} is damaged: its SHA-256 does not fit; start again in another folder")
        saved = json.loads(metadata.get("settings", "{}"))
        for name, value in self._all_settings().items():
            if name not in CHANGEABLE and saved.get(name) != value:
                raise TrainingError(
                    f"{path} belongs to a run with {name} = {saved.get(name)}, not {value}; "
                    f"what may change on the way is {', '.join(CHANGEABLE)}"
                )
        self.backend.load_state_dict(_part(tensors, "model."))
        self.ema = {name: tensor.to(self.device) for name, tensor in _part(tensors, "ema.").items()}
        self.best = {name: tensor.to(self.device) for name, tensor in _part(tensors, "best.").items()}
        for number, optimizer in enumerate(self.optimizers):
            state: dict[int, dict[str, Tensor]] = {}
            for name, tensor in _part(tensors, f"optimizer.{number}.").items():
                key, field = name.split(".", 1)
                state.setdefault(int(key), {})[field] = tensor
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        for name, value in json.loads(metadata["position"]).items():
            setattr(self, name, value)
        if self.settings.patience and self.stale >= self.settings.patience:
            self.steps = self.step
        self._truncate_log()

    def _truncate_log(self) -> None:
        path = self.folder / LOG
        if not path.exists():
            return
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if int(row["step"]) <= self.step]
        with atomic_write(path) as file:
            writer = csv.DictWriter(file, LOG_COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


def saved_settings(folder: Path) -> dict[str, Any]:
    """The settings of the run saved in a folder: of training and network, backend and data.

    Raises TrainingError where there is none.
    """
    try:
        with safe_open(folder / STATE, "pt") as file:
            return json.loads((file.metadata() or {}).get("settings", "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        raise TrainingError(f"--resume: {folder} holds no saved state that can be read ({error})") from None


def _optimizers(backend: Backend, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the matrices inside the blocks, AdamW for all else."""
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in backend.named_parameters():
        inside = ".blocks." in f".{name}" and parameter.ndim == 2 and "modulation" not in name
        (matrices if inside else others).append(parameter)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, settings.learning_rate, betas=(0.9, 0.99), weight_decay=settings.weight_decay)
    ]
    if matrices:
        optimizers.append(Muon(matrices, settings.matrix_rate, weight_decay=settings.weight_decay))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _digest(tensors: dict[str, Tensor]) -> str:
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()

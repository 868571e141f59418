"""The training loop: it knows tensors and no chemistry, so it runs wherever torch runs.

Everything random in step k follows from (seed, k, rank), so a run that is killed and resumed from its last saved state
goes through the same batches and noise as one that was not, and so does one in several processes. These all run the
same loop; what is measured, and the clock, is that of the first, so that they come to the same decisions.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from molgen.data.dataset import GraphDataset
from molgen.errors import TrainingError
from molgen.models.base import Backend
from molgen.molecules.graph import GraphBatch
from molgen.training.log import LOG, append_line, truncate_log
from molgen.training.optimisers import load_moments, moments, optimisers
from molgen.training.settings import TrainSettings
from molgen.training.share import ALONE, Share, step_seed
from molgen.training.state import RunSettings, read_state, write_state
from molgen.training.telling import told
from molgen.training.time_limit import TimeLimit

ENTRIES = 150_000  # pairs and nodes that go through the network at once in training, some GB
MEASURED_BATCHES = 16  # of the validation molecules
POSITION = ("step", "graphs", "seconds", "measuring", "first_valid", "loss_sum", "loss_steps", "best_loss", "stale")


@dataclass(frozen=True)
class TrainProgress:
    """Where a training is: steps done and in all, the mean loss since the last report, graphs per second."""

    step: int
    steps: int
    loss: float
    rate: float


# measures the averaged model: columns of the log, such as {"valid": 0.98, "fcd": 0.4}
Evaluate = Callable[[Backend], dict[str, float]]


class Trainer:
    """A training run in a folder: state.safetensors (to resume from), log.csv.

    backend: on the device to train on; train, valid: graphs; name, data: what backend and data are called, which must
    be the same when the run is resumed; share: what of each batch this process does. Where there are other processes,
    all of them make their trainer at the same time, as they call its methods. Raises TrainingError where they differ.
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
        share: Share = ALONE,
    ) -> None:
        self.backend = backend
        self.device = backend.device
        self.train_set, self.valid_set = train.to(self.device), valid
        self.settings = settings
        self.folder = folder
        self.name, self.data, self.share = name, data, share
        share.check_same(self._run_settings())
        share.spread(backend.state_dict().values())
        share.once(lambda: folder.mkdir(parents=True, exist_ok=True))
        self.optimisers = optimisers(backend, settings)
        self.ema = {name: tensor.detach().clone() for name, tensor in backend.state_dict().items()}
        self.batches_per_epoch = len(train.epoch(settings.batch_size, settings.seed, 0))
        self.steps = max(1, round(settings.epochs * self.batches_per_epoch))
        self.step = 0
        self.graphs = 0
        self.seconds, self.measuring = 0.0, 0.0  # of the run; of its longest measurement
        self.first_valid = math.nan  # share of valid molecules of the model that it starts from
        self.limit = TimeLimit()
        self.loss_sum, self.loss_steps = 0.0, 0  # since the last line of the log
        self.best: dict[str, Tensor] = {}  # with patience, the averaged weights with the smallest validation loss
        self.best_loss, self.stale = math.inf, 0

    def run(
        self,
        *,
        max_minutes: float | None = None,
        evaluate: Evaluate | None = None,
        report: Callable[[TrainProgress], object] | None = None,
        export: Callable[["Trainer"], object] | None = None,
    ) -> bool:
        """Train until the last step (returns True) or until the run has taken max_minutes (False); saved either way.

        With max_minutes the learning rates have fallen by then, and a last measurement has been made: its time, which
        the first one shows, is kept free. What was done before a run is resumed counts.
        report is called some times a second at most; export at each save, to write a model folder; of several
        processes the first calls evaluate and export.
        Raises TrainingError when the loss is no longer a number; the last saved state stays.
        """
        started = saved = reported = self._now()
        base_seconds, counted = self.seconds, self.graphs
        losses: list[Tensor] = []
        every = max(1, self.steps // self.settings.evaluations)
        limit = 60 * max_minutes if max_minutes is not None else math.inf
        self.limit = TimeLimit(limit, self.measuring, self.seconds)
        self.backend.train()
        if self.step == 0:
            self.share.once(lambda: (self.folder / LOG).unlink(missing_ok=True))
        for size, rows in self._batches():
            losses.append(self._one_step(self.train_set.by_size[size][rows], self._targets(self.train_set, size, rows)))
            now = self._now()
            self.seconds = base_seconds + now - started
            last = self.step == self.steps
            stop = self.limit.is_up(self.seconds)
            due = last or self.step % every == 0
            asked = self.limit.asks(self.seconds, self.settings, due=due)
            measure = last or (self.limit.has_room(self.seconds) if stop else asked)
            save = measure or stop or now - saved > 60 * self.settings.checkpoint_minutes
            if save or now - reported > 2.0:
                loss = self._collect(losses)
                if report is not None:
                    rate = (self.graphs - counted) / max(now - reported, 1e-9)
                    report(TrainProgress(self.step, self.steps, loss, rate))
                losses, reported, counted = [], now, self.graphs
            if measure:
                measured = self.share.once(lambda: self._measure(evaluate))
                self._log(measured)
                last = self._enough(measured["valid_loss"]) or last
            if save:
                before, self.seconds = self.seconds, base_seconds + self._now() - started
                self.share.once(lambda: self._keep(export))
                saved = self._now()
                self.seconds = base_seconds + saved - started
                if measure:
                    self.limit.took(before, self.seconds)
                    self.measuring = self.limit.measuring
            if last:
                return True
            if stop:
                return False
        # complete before this call: a kill may have come between the last save and the export
        self.share.once(lambda: self._export(export))
        return True

    def _now(self) -> float:
        return self.share.told(time.monotonic())

    def _keep(self, export: Callable[["Trainer"], object] | None) -> None:
        self.save()
        self._export(export)

    def _export(self, export: Callable[["Trainer"], object] | None) -> None:
        if export is not None:
            export(self)

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

    def _parts(self, batch: GraphBatch, targets: Tensor) -> Iterator[tuple[GraphBatch, Tensor]]:
        """A batch as classes int64, and its properties; one of large molecules in parts, so that memory is bounded.

        The gradients of the parts add up, so that the step is the same.
        """
        count = max(1, ENTRIES // (batch.pairs.shape[1] + batch.size))
        for start in range(0, len(batch), count):
            rows = slice(start, start + count)
            yield batch[rows].to(self.device, torch.int64), targets[rows]

    def _one_step(self, batch: GraphBatch, targets: Tensor) -> Tensor:
        settings = self.settings
        scale = self._rate_scale()
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * scale
        mean = torch.zeros((), device=self.device)
        for rank in self.share.ranks:
            rows = slice(rank, None, self.share.size)
            losses = self._losses(batch[rows], targets[rows], step_seed(settings.seed, self.step, rank))
            if losses:  # a batch may have fewer rows than there are ranks
                own = torch.cat(losses)
                mean = mean + own.mean() * (len(own) / len(batch))
        mean = self.share.add(self.backend.parameters(), mean)
        norm = torch.nn.utils.clip_grad_norm_(self.backend.parameters(), settings.clip)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        self.step += 1
        self.graphs += len(batch)
        # the average starts short, so that it does not remember the random start
        keep = min(settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, parameter in self.backend.named_parameters():
                self.ema[name].lerp_(parameter, 1 - keep)
        # a gradient that is no number has just spoilt the weights: they must not be saved as good
        return torch.where(norm.isfinite(), mean, torch.nan)

    def _losses(self, batch: GraphBatch, targets: Tensor, seed: int) -> list[Tensor]:
        """The losses of graphs, in parts; their gradients are added to those of the weights."""
        settings = self.settings
        generator = torch.Generator(self.device).manual_seed(seed)
        losses = []
        for part, wanted in self._parts(batch, targets):
            condition = told(self.backend, part, wanted, settings.known_share, settings.target_share, generator)
            loss = self.backend.loss(part, generator, condition)
            # a short batch weighs as much as its graphs
            torch.autograd.backward(loss.sum() / settings.batch_size)
            losses.append(loss.detach())
        return losses

    def _rate_scale(self) -> float:
        by_time = self.limit.rate_scale(self.seconds, self.settings.decay)
        return min(self.settings.rate_scale(self.step, self.steps), by_time)

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
        self.steps = self.step  # a resumed training finds it done
        return True

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
                for size, rows in self.valid_set.epoch(self.settings.batch_size, 0, 0)[:MEASURED_BATCHES]:
                    generator = torch.Generator(self.device).manual_seed(count)
                    index = torch.from_numpy(rows)
                    targets = self._targets(self.valid_set, size, index)
                    for graphs, wanted in self._parts(self.valid_set.by_size[size][index], targets):
                        total += float(self.backend.loss(graphs, generator).sum())
                        condition = told(self.backend, graphs, wanted, *shares, generator)
                        if condition is not None:
                            told_total += float(self.backend.loss(graphs, generator, condition).sum())
                    count += len(rows)
            measured = {"valid_loss": total / max(1, count)}
            if told_total:
                measured["told_loss"] = told_total / max(1, count)
            return measured | (evaluate(self.backend) if evaluate is not None else {})
        finally:
            self.backend.load_state_dict(trained)
            self.backend.train()

    def _log(self, measured: dict[str, float]) -> None:
        rate = self.settings.learning_rate * self._rate_scale()
        line: dict[str, float | str] = {
            "step": self.step,
            "epoch": round(self.step / self.batches_per_epoch, 3),
            "graphs": self.graphs,
            "seconds": round(self.seconds, 1),
            "learning_rate": f"{rate:.3g}",
            "loss": round(self.loss_sum / self.loss_steps, 5),
        }
        self.loss_sum, self.loss_steps = 0.0, 0
        line |= {name: round(value, 5) for name, value in measured.items()}
        self.share.once(lambda: append_line(self.folder, line))

    def save(self) -> None:
        """Write the state to resume from: weights, averages, moments of the optimisers, position. Atomic."""
        tensors = {f"model.{name}": tensor for name, tensor in self.backend.state_dict().items()}
        tensors |= {f"ema.{name}": tensor for name, tensor in self.ema.items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in moments(self.optimisers).items()}
        position: dict[str, float] = {name: getattr(self, name) for name in POSITION}
        write_state(self.folder, tensors, self._run_settings(), position)

    def _run_settings(self) -> RunSettings:
        options = asdict(self.settings) | asdict(self.backend.config)
        return RunSettings(self.name, self.data, self.backend.targets, options, self.share.size)

    def resume(self) -> None:
        """Continue from the folder's saved state; log lines written after it are dropped.

        Raises TrainingError for a run with other settings, or for a state that is missing or damaged.
        """
        state = self.share.once(lambda: read_state(self.folder))
        state.check(self._run_settings(), self.folder)
        self.backend.load_state_dict(state.part("model."))
        self.ema = {name: tensor.to(self.device) for name, tensor in state.part("ema.").items()}
        self.best = {name: tensor.to(self.device) for name, tensor in state.part("best.").items()}
        load_moments(self.optimisers, state.part("optimizer."))
        for name, place in state.position.items():
            setattr(self, name, place)
        if self.settings.patience and self.stale >= self.settings.patience:
            self.steps = self.step
        self.share.once(lambda: truncate_log(self.folder, self.step))

import csv
import dataclasses

import numpy as np
import pytest
import torch

from molgen.errors import InputError, TrainingError
from molgen.evaluation.plots import loss_curve
from molgen.models.digress.config import DiGressConfig
from molgen.models.digress.model import DiGress
from molgen.training.log import LOG
from molgen.training.settings import TrainSettings
from molgen.training.state import STATE, saved_settings
from molgen.training.trainer import Trainer
from tests.conftest import TINY

SETTINGS = TrainSettings(epochs=4, batch_size=4, warmup=4, evaluations=4)


def trainer(dataset, vocabulary, folder, settings=SETTINGS) -> Trainer:
    torch.manual_seed(settings.seed)
    backend = DiGress(DiGressConfig(**TINY["digress"]), vocabulary, dataset.statistics())
    return Trainer(backend, dataset, dataset, settings, folder, "digress", "test")


def log_rows(folder) -> list[dict]:
    with (folder / LOG).open(encoding="utf-8", newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def test_training_learns(dataset, vocabulary, tmp_path):
    run = trainer(dataset, vocabulary, tmp_path, dataclasses.replace(SETTINGS, epochs=20))
    untrained = run._measure(None)["valid_loss"]
    assert run.run()
    losses = [float(row["valid_loss"]) for row in log_rows(tmp_path)]
    assert losses[-1] < min(0.95 * untrained, losses[0])
    assert run.step == run.steps
    assert run.graphs == 20 * len(dataset)
    loss_curve(tmp_path / LOG, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


class KilledError(Exception):
    pass


def test_a_killed_run_resumes_on_the_same_curve(dataset, vocabulary, tmp_path):
    whole = trainer(dataset, vocabulary, tmp_path / "whole")
    whole.run()

    def die_between_saves(progress) -> None:
        if progress.step == 2 * (whole.steps // 4):
            raise KilledError

    killed = trainer(dataset, vocabulary, tmp_path / "killed")
    with pytest.raises(KilledError):
        killed.run(report=die_between_saves)
    resumed = trainer(dataset, vocabulary, tmp_path / "killed")
    resumed.resume()
    assert 0 < resumed.step < whole.steps
    resumed.run()

    assert log_rows(tmp_path / "killed") == log_rows(tmp_path / "whole")
    for name, tensor in whole.ema.items():
        assert torch.equal(tensor, resumed.ema[name]), name


def test_max_minutes_stops_saved(dataset, vocabulary, tmp_path):
    run = trainer(dataset, vocabulary, tmp_path)
    assert not run.run(max_minutes=1e-9)
    assert (tmp_path / STATE).exists()
    assert run.step == 1


class Clock:
    """A clock that the training reads: a step takes a second, a measurement as long as it is told to."""

    def __init__(self, run: Trainer, monkeypatch, measurement: float) -> None:
        self.now, self.measurement, self.rates, self.measured = 1000.0, measurement, [], []
        monkeypatch.setattr("molgen.training.trainer.time.monotonic", lambda: self.now)
        self.run, self.step = run, run._one_step
        monkeypatch.setattr(run, "_one_step", self.stepped)

    def stepped(self, *arguments):
        loss = self.step(*arguments)
        self.rates.append(self.run.optimisers[0].param_groups[0]["lr"] / self.run.settings.learning_rate)
        self.now += 1
        return loss

    def evaluate(self, _) -> dict[str, float]:
        self.now += self.measurement
        self.measured.append(self.now)
        return {}


def test_the_rates_have_fallen_and_the_model_is_measured_when_the_time_is_up(
    dataset, vocabulary, tmp_path, monkeypatch
):
    settings = dataclasses.replace(SETTINGS, epochs=1000, evaluations=20)
    run = trainer(dataset, vocabulary, tmp_path, settings)
    clock = Clock(run, monkeypatch, measurement=10)
    assert not run.run(max_minutes=2, evaluate=clock.evaluate)
    assert 100 <= clock.now - 1000 <= 126  # its last measurement is counted
    assert clock.measured[-1] == clock.now  # which is of the model that is kept
    assert max(clock.rates) == 1.0 and clock.rates[-1] < 0.05
    assert len(clock.measured) <= 4  # no more time goes into measuring than that
    assert run.seconds == clock.now - 1000
    falling = clock.rates[clock.rates.index(1.0) :]
    assert falling == sorted(falling, reverse=True)


def test_a_resumed_run_goes_on_with_the_time_already_spent(dataset, vocabulary, tmp_path, monkeypatch):
    settings = dataclasses.replace(SETTINGS, epochs=1000, evaluations=20, checkpoint_minutes=0.1)

    def die_late(progress) -> None:
        if progress.step > 60:
            raise KilledError

    killed = trainer(dataset, vocabulary, tmp_path, settings)
    clock = Clock(killed, monkeypatch, measurement=5)
    with pytest.raises(KilledError):
        killed.run(max_minutes=2, evaluate=clock.evaluate, report=die_late)
    resumed = trainer(dataset, vocabulary, tmp_path, settings)
    resumed.resume()
    spent = resumed.seconds
    assert spent > 50
    clock = Clock(resumed, monkeypatch, measurement=5)
    assert not resumed.run(max_minutes=2, evaluate=clock.evaluate)
    assert 100 - spent <= clock.now - 1000 <= 126 - spent
    assert clock.rates[0] < 1.0 and clock.rates[-1] < 0.05


def test_time_to_spare_changes_nothing(dataset, vocabulary, tmp_path):
    free, limited = trainer(dataset, vocabulary, tmp_path / "free"), trainer(dataset, vocabulary, tmp_path / "limited")
    assert free.run() and limited.run(max_minutes=1000)
    assert log_rows(tmp_path / "free") == log_rows(tmp_path / "limited")
    assert all(torch.equal(limited.ema[name], tensor) for name, tensor in free.ema.items())


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_weights(dataset, vocabulary, tmp_path):
    run = trainer(dataset, vocabulary, tmp_path)
    run.run(max_minutes=1e-9)
    saved = (tmp_path / STATE).read_bytes()
    with torch.no_grad():
        run.backend.network.node_in[0].weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="the loss is nan"):
        run.run()
    assert (tmp_path / STATE).read_bytes() == saved


def test_flipped_bits_in_a_saved_state_are_noticed(dataset, vocabulary, tmp_path):
    trainer(dataset, vocabulary, tmp_path).run(max_minutes=1e-9)
    data = bytearray((tmp_path / STATE).read_bytes())
    data[-100] ^= 1
    (tmp_path / STATE).write_bytes(data)
    with pytest.raises(TrainingError, match="damaged"):
        trainer(dataset, vocabulary, tmp_path).resume()
    (tmp_path / STATE).write_bytes(data[:1000])
    with pytest.raises(TrainingError, match="cannot be read"):
        trainer(dataset, vocabulary, tmp_path).resume()


def test_a_run_with_other_settings_is_not_resumed(dataset, vocabulary, tmp_path):
    trainer(dataset, vocabulary, tmp_path).run(max_minutes=1e-9)
    with pytest.raises(TrainingError, match="seed = 0, not 1"):
        trainer(dataset, vocabulary, tmp_path, dataclasses.replace(SETTINGS, seed=1)).resume()


def test_a_run_may_be_made_longer(dataset, vocabulary, tmp_path):
    trainer(dataset, vocabulary, tmp_path).run()
    longer = trainer(dataset, vocabulary, tmp_path, dataclasses.replace(SETTINGS, epochs=5))
    longer.resume()
    assert longer.run()
    assert longer.graphs == 5 * len(dataset)


@pytest.mark.parametrize(("name", "value"), [("epochs", 0), ("batch_size", 0), ("learning_rate", -1), ("ema", 1.0)])
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(InputError, match=f"{name} cannot be {value}"):
        TrainSettings(**{name: value})


def test_a_saved_run_knows_its_settings(dataset, vocabulary, tmp_path):
    trainer(dataset, vocabulary, tmp_path, dataclasses.replace(SETTINGS, epochs=7)).run(max_minutes=1e-9)
    saved = saved_settings(tmp_path)
    assert saved.options["epochs"] == 7
    assert saved.options["width"] == TINY["digress"]["width"]
    with pytest.raises(TrainingError, match="no saved state"):
        saved_settings(tmp_path / "elsewhere")


def test_a_gradient_that_is_no_number_is_never_saved(dataset, vocabulary, tmp_path):
    run = trainer(dataset, vocabulary, tmp_path)
    run.run(max_minutes=1e-9)
    saved = (tmp_path / STATE).read_bytes()
    next(iter(run.backend.parameters())).register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(TrainingError, match="the loss is nan"):
        run.run()
    assert (tmp_path / STATE).read_bytes() == saved


def test_large_batches_go_through_in_parts_to_the_same_step(dataset, vocabulary, tmp_path, monkeypatch):
    def trained(folder, entries: int):
        monkeypatch.setattr("molgen.training.trainer.ENTRIES", entries)
        torch.manual_seed(0)
        run = trainer(dataset, vocabulary, folder, dataclasses.replace(SETTINGS, epochs=2))
        largest = 0

        def loss(batch, generator, condition=None):  # depends on graphs and weights alone
            nonlocal largest
            largest = max(largest, batch.pairs.numel() + batch.nodes.numel())
            weights = torch.cat([parameter.flatten() for parameter in run.backend.parameters()])
            return (weights * weights).sum() * (1 + batch.nodes.sum(1)) + weights.sum() * batch.pairs.sum(1)

        monkeypatch.setattr(run.backend, "loss", loss)
        run.run()
        return largest, run.graphs, {name: tensor.clone() for name, tensor in run.backend.named_parameters()}

    whole, graphs, weights = trained(tmp_path / "whole", 1_000_000)
    largest_graph = max(size * (size + 1) // 2 for size in dataset.by_size)
    part, graphs_in_parts, others = trained(tmp_path / "parts", largest_graph)
    assert part <= largest_graph < whole
    assert graphs_in_parts == graphs
    for name, tensor in weights.items():
        assert others[name].allclose(tensor, atol=1e-5), name


def test_the_model_is_told_of_parts_and_properties(dataset, statistics, vocabulary, tmp_path, monkeypatch):
    """Of its graphs as they are, in the shares of the settings; and of nothing where they are zero."""
    values = np.arange(2.0 * len(dataset)).reshape(-1, 2)
    graphs = dataset.with_targets(values)

    def conditions(folder, known_share: float, target_share: float) -> list:
        settings = dataclasses.replace(SETTINGS, epochs=20, known_share=known_share, target_share=target_share)
        backend = DiGress(DiGressConfig(**TINY["digress"]), vocabulary, statistics)
        run = Trainer(backend, graphs, graphs, settings, folder, "digress", "test")
        seen, loss = [], backend.loss

        def spy(batch, generator, condition=None):
            seen.append((batch, condition))
            return loss(batch, generator, condition)

        monkeypatch.setattr(backend, "loss", spy)
        run.run()
        return [(batch, condition) for batch, condition in seen if condition is not None]

    seen = conditions(tmp_path / "told", 0.5, 0.9)
    assert all(condition.held_by(batch).all() for batch, condition in seen)
    known = torch.cat([condition.known_nodes.any(1) for batch, condition in seen if batch.size > 4])
    assert 0.3 < known.float().mean() < 0.8
    asked = torch.cat([condition.targets for _, condition in seen])
    assert set(asked[asked.isfinite()].tolist()) <= set(values.flatten().tolist())
    assert 0.2 < asked.isfinite().float().mean() < 0.8
    assert conditions(tmp_path / "untold", 0.0, 0.0) == []

"""A training called from Python, without the command line."""

import dataclasses
import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from molgen.data.prepared import PreparedSet, prepare
from molgen.errors import InputError, TrainingError
from molgen.generation.sampling import sample_smiles
from molgen.generation.typical import FEWEST, training_bounds
from molgen.models.checkpoints import load_checkpoint
from molgen.models.digress.model import DiGress
from molgen.models.registry import BACKENDS
from molgen.training import check
from molgen.training.finetune import TUNING
from molgen.training.log import LOG
from molgen.training.recipe import run, train
from molgen.training.settings import TrainSettings
from molgen.training.setup import Setup, set_up, told_graphs
from molgen.training.state import STATE
from molgen.training.trainer import TrainProgress
from tests.conftest import TINY
from tests.data.small_set import SMILES

OPTIONS = TINY["digress"] | {"epochs": 2, "batch_size": 4, "evaluations": 1}
pytestmark = pytest.mark.filterwarnings("ignore:.*training molecules are few")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> PreparedSet:
    folder = tmp_path_factory.mktemp("data")
    (folder / "molecules.smi").write_text("\n".join(SMILES) + "\n", encoding="utf-8")
    return prepare(str(folder / "molecules.smi"), workers=1, cache=folder / "cache")


def test_a_training_prints_nothing_and_reports(prepared, tmp_path, capfd):
    places: list[TrainProgress] = []
    with pytest.warns(UserWarning, match="training molecules are few: the model may memorise them"):
        done = train(prepared, tmp_path / "run", options=OPTIONS, samples=0, report=places.append)
    assert capfd.readouterr() == ("", "")
    assert done.finished and done.step == done.steps == places[-1].step
    assert places[0].step == 0 and math.isnan(places[0].loss)
    assert done.measured["step"] == done.steps and math.isfinite(done.measured["valid_loss"])
    assert load_checkpoint(str(done.model)).backend.config.layers == 2


def test_a_trained_model_brings_bounds_and_a_calibration(tmp_path):
    chains = [f"{a}C{b}{c}C" for a in "CNO" for b in "CNO" for c in "CNO"]
    (tmp_path / "chains.smi").write_text("\n".join([*chains, "C", "O", "CC"]), encoding="utf-8")
    prepared = prepare(str(tmp_path / "chains.smi"), workers=1, cache=tmp_path / "cache")
    stopped = train(prepared, tmp_path / "run", options=OPTIONS, samples=0, max_minutes=1e-9)
    assert not stopped.finished and not load_checkpoint(str(stopped.model)).bounds
    done = train(prepared, tmp_path / "run", options=OPTIONS, samples=0, resume=True)
    model = load_checkpoint(str(done.model))
    assert list(model.bounds) == [5] and len(model.bounds[5]) == prepared.statistics.sizes[5] >= FEWEST
    assert model.bounds[5] == pytest.approx(training_bounds(model, prepared, 5), rel=1e-6)
    assert isinstance(model.backend, DiGress)
    assert model.backend.calibration is not None and len(model.backend.calibration.levels) > 1


def test_a_training_stops_and_resumes(prepared, tmp_path):
    stopped = train(prepared, tmp_path / "run", options=OPTIONS, samples=0, max_minutes=1e-9)
    assert not stopped.finished and stopped.step == 1
    with pytest.raises(TrainingError, match="already holds a training: resume it"):
        train(prepared, tmp_path / "run", options=OPTIONS, samples=0)
    places: list[TrainProgress] = []
    done = train(prepared, tmp_path / "run", resume=True, samples=0, report=places.append)
    assert done.finished and places[0].step == 1
    with pytest.raises(TrainingError, match="holds no saved state"):
        train(prepared, tmp_path / "elsewhere", resume=True)


def test_the_minutes_of_a_resumed_run_count_from_its_start(prepared, tmp_path):
    train(prepared, tmp_path / "run", options=OPTIONS, samples=0, max_minutes=1e-9)
    before = (tmp_path / "run" / STATE).read_bytes()
    with pytest.raises(InputError, match=r"max_minutes counts the whole run, .* above that, got 1e-09"):
        train(prepared, tmp_path / "run", resume=True, samples=0, max_minutes=1e-9)
    assert (tmp_path / "run" / STATE).read_bytes() == before
    assert train(prepared, tmp_path / "run", resume=True, samples=0, max_minutes=60).finished


def test_a_setup_writes_nothing_and_takes_a_model_to_start_from(prepared, tmp_path):
    first = load_checkpoint(str(train(prepared, tmp_path / "first", options=OPTIONS, samples=0).model))
    setup = set_up(prepared, tmp_path / "second", init=first, options={"learning_rate": 1e-5})
    assert not (tmp_path / "second").exists()
    assert setup.first == "first" and setup.new_atoms == ()
    assert setup.settings.patience == TUNING["patience"] and setup.settings.learning_rate == 1e-5
    assert setup.backend.config == first.backend.config
    for name, tensor in first.backend.state_dict().items():
        assert setup.backend.state_dict()[name].allclose(tensor), name
    with pytest.raises(InputError, match="first is a digress model, not edpgnn"):
        set_up(prepared, tmp_path / "second", init=first, backend="edpgnn")


def test_a_training_of_edge_starts_from_a_digress(prepared, tmp_path):
    """With its sizes and a track of pairs, and the weights of its layers; its other settings do not count."""
    first = load_checkpoint(str(train(prepared, tmp_path / "first", options=OPTIONS, samples=0).model))
    setup = set_up(prepared, tmp_path / "second", init=first, backend="edge")
    old, new = first.backend.config, setup.backend.config
    assert (new.layers, new.width, new.heads, new.pair_width) == (old.layers, old.width, old.heads, old.pair_width)
    assert new.timesteps != old.timesteps
    weights = first.backend.state_dict()
    of_layers = [name for name in weights if name.startswith("network.blocks.")]
    assert of_layers and all(setup.backend.state_dict()[name].allclose(weights[name]) for name in of_layers)
    assert train(prepared, tmp_path / "second", init=first, backend="edge", options={"epochs": 1}, samples=0).finished
    with pytest.raises(
        InputError, match="nothing in common with that of first: EDGE starts from our own network of DiGress"
    ):
        set_up(prepared, tmp_path / "third", init=first, backend="edge", options={"pair_width": 0})


def test_what_a_training_left_out_the_next_one_learns(prepared, tmp_path):
    """The autoencoder of the shipped NVDiff model stayed as it was in a stage; new atom types need it to learn."""
    first = load_checkpoint("qm9-nvdiff")
    assert first.backend.config.reconstruction_weight != 3.0 and first.backend.config.time_power == 2.0
    config = set_up(prepared, tmp_path / "run", init=first).backend.config
    assert config.reconstruction_weight == 3.0 and config.train_encoder and config.time_power == 2.0


def test_someone_who_starts_from_a_model_is_not_told_to(prepared, tmp_path):
    few = "training molecules are few: the model may memorise them"
    setup = set_up(prepared, tmp_path / "run", options=OPTIONS)
    assert [text for text in setup.warnings if few in text and "Start from another model" in text]
    for started in (dataclasses.replace(setup, first="old"), dataclasses.replace(setup, resumed=True)):
        (told,) = [text for text in started.warnings if few in text]
        assert "another model" not in told and "Look at how many of its molecules are new" in told


def test_validity_stands_beside_that_of_the_model_it_started_from(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("molgen.training.recipe.fcd_distance", lambda *_: None)
    first = train(prepared, tmp_path / "first", options=OPTIONS, samples=0)
    assert math.isnan(first.first_valid)
    model = load_checkpoint(str(first.model))
    tuned = train(prepared, tmp_path / "tuned", init=model, options={"epochs": 1}, samples=8, max_minutes=60)
    assert tuned.finished
    drawn = sample_smiles(model.backend, prepared.vocabulary, prepared.statistics, 8, seed=0)
    assert tuned.first_valid == sum(molecule.valid for molecule in drawn) / 8
    assert load_checkpoint(str(tuned.model)).card["figures"]["valid before"] == tuned.first_valid
    again = train(prepared, tmp_path / "tuned", resume=True, options={"epochs": 2}, samples=8)
    assert again.first_valid == tuned.first_valid


def test_the_same_setup_has_the_same_weights(prepared, tmp_path):
    one, other = (set_up(prepared, tmp_path / "run", options=OPTIONS).backend.state_dict() for _ in range(2))
    assert all(other[name].equal(tensor) for name, tensor in one.items())
    seeded = set_up(prepared, tmp_path / "run", options=OPTIONS | {"seed": 1}).backend.state_dict()
    assert not all(seeded[name].equal(tensor) for name, tensor in one.items())


def test_a_check_measures_and_leaves_nothing(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(check, "CHECK_MINUTES", 1e-9)
    setup = set_up(prepared, tmp_path / "run", options=OPTIONS)
    found = check.check(setup)
    assert (found.molecules, found.parameters) == (prepared.splits["train"], setup.parameters)
    assert found.too_large and found.rate > 0
    # of all steps: their molecules, two epochs long, at the rate
    assert found.minutes * 60 * found.rate == pytest.approx(2 * found.molecules, rel=0.5)
    assert not check.check(dataclasses.replace(setup, first="another")).too_large
    assert not (tmp_path / "run").exists()


def test_graphs_are_told_by_their_properties(prepared):
    graphs, statistics = told_graphs(prepared, targets=True)
    names = [target.name for target in statistics.targets]
    table = prepared.targets("train")
    told = np.concatenate([graphs["train"].targets[size].numpy() for size in sorted(graphs["train"].targets)])
    columns = [table.names.index(name) for name in names]
    assert np.array_equal(told, table.values[:, columns], equal_nan=True)
    assert told_graphs(prepared, targets=False)[1].targets == ()


def test_what_cannot_be_used_is_told_in_words(prepared, tmp_path):
    """Nobody who calls from Python or the app knows the flags of the command line."""
    (tmp_path / "file").touch()
    setup = set_up(prepared, tmp_path / "run", options=OPTIONS)
    wrong = [
        lambda: set_up(prepared, tmp_path / "file"),
        lambda: set_up(prepared, tmp_path / "run", backend="none"),
        lambda: set_up(prepared, tmp_path / "run", options={"depth": 3}),
        lambda: set_up(prepared, tmp_path / "run", resume=True),
        lambda: run(setup, max_minutes=0),
    ]
    for call in wrong:
        with pytest.raises((InputError, TrainingError)) as told:
            call()
        assert "--" not in str(told.value)


def test_only_one_training_writes_to_a_folder(prepared, tmp_path):
    setup = set_up(prepared, tmp_path / "run", options=OPTIONS)

    def meanwhile(_: TrainProgress) -> None:
        with pytest.raises(TrainingError, match="another training is writing to"):
            run(setup, samples=0)

    assert run(setup, samples=0, report=meanwhile).finished
    assert (setup.folder / LOG).is_file() and (setup.folder / "curve.png").is_file()


def test_a_setup_warns_of_what_it_lacks(prepared):
    setup = set_up(prepared, Path("run"), options=OPTIONS)
    assert isinstance(setup, Setup)
    assert [text for text in setup.warnings if "atom types" in text] == []
    new = dataclasses.replace(setup, first="old", new_atoms=("S", "Cl"))
    assert "old does not know the atom types S, Cl: they are learned anew" in new.warnings
    with warnings.catch_warnings(action="error"):
        assert len(new.warnings) == 2


@pytest.mark.parametrize("kind", [TrainSettings, *(backend.Config for backend in BACKENDS.values())])
def test_every_setting_explains_itself(kind):
    for field in dataclasses.fields(kind):
        text = field.metadata.get("help", "")
        assert text.endswith(".") and "--" not in text, field.name

"""`molgen train` as a user calls it: a small set of molecules, a tiny network."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click import Abort, ClickException
from click.testing import CliRunner

from molgen.cli import cli
from molgen.errors import InputError, TrainingError
from molgen.files import atomic_write
from molgen.models.checkpoints import load_checkpoint
from molgen.models.registry import BACKENDS
from molgen.training import check, recipe
from molgen.training.log import read_log
from molgen.training.state import saved_settings
from tests.conftest import TINY
from tests.data.small_set import SMILES

SIZES = ("--layers", "1", "--width", "16", "--pair-width", "8", "--heads", "2", "--triangles", "4")


@pytest.fixture(autouse=True)
def molecules(tmp_path, monkeypatch) -> Path:
    """In an empty folder with molecules.smi and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "molecules.smi"
    path.write_text("\n".join(SMILES) + "\n", encoding="utf-8")
    return path


def call(*arguments: str):
    """In this process; errors are raised, since main() is what turns them into exit codes."""
    command = ["train", *arguments]
    return CliRunner().invoke(cli, command, catch_exceptions=False, standalone_mode=False)


def test_the_column_of_the_smiles_may_be_named():
    rows = "".join(f"{smiles},C{smiles}\n" for smiles in SMILES)
    Path("two.csv").write_text("smiles_1,smiles_2\n" + rows, encoding="utf-8")
    asked = ("--data", "two.csv", "--output", "run", "--epochs", "2", "--samples", "0", *SIZES)
    with pytest.raises(InputError, match=r"several columns .* \(--smiles-column\)"):
        call(*asked)
    assert not Path("run").exists()
    assert "SMILES column: smiles_1\n" in call(*asked, "--smiles-column", "smiles_1").stderr
    assert Path("run/model/model.json").is_file()


def test_salts_bring_a_hint_and_are_trained_on_when_asked(molecules):
    with Path("salts.smi").open("w", encoding="utf-8") as file:
        file.writelines(f"{smiles}.Cl\n" for smiles in SMILES)
        file.write("CCO\nCCCCN\nC\nO\n")
    asked = ("--data", "salts.smi", "--epochs", "1", "--samples", "0", *SIZES)
    assert f"Hint: {len(SMILES)} of {len(SMILES) + 4} rows are salts" in call(*asked, "--output", "plain").stderr
    done = call(*asked, "--output", "run", "--standardise", "--max-minutes", "1e-9")
    assert "Hint" not in done.stderr
    with pytest.raises(TrainingError, match="belongs to a run with data"):
        call(*asked, "--output", "run", "--resume")
    call(*asked, "--output", "run", "--standardise", "--resume")
    assert Path("run/model/model.json").is_file()


def short(*arguments: str, output: str = "run"):
    return call("--data", "molecules.smi", "--output", output, "--epochs", "2", "--samples", "0", *arguments)


def failure(*arguments: str) -> str:
    with pytest.raises((InputError, TrainingError, ClickException)) as told:
        CliRunner().invoke(cli, ["train", *arguments], catch_exceptions=False, standalone_mode=False)
    return str(told.value)


def weights(folder: str) -> bytes:
    return (Path(folder) / "model" / "weights.safetensors").read_bytes()


def test_a_trained_model_generates(tmp_path):
    done = short(*SIZES)
    assert "model: " in done.output
    model = load_checkpoint("run/model")
    assert model.card["training"]["molecules seen"] == 2 * model.card["data"]["training molecules"]
    assert (tmp_path / "run" / "curve.png").is_file()
    program = "from molgen.cli import main; main()"
    command = ["generate", "--model", "run/model", "--num", "100", "--steps", "5", "--seed", "0", "--output", "-"]
    drawn = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=False)
    assert not drawn.returncode, drawn.stderr
    assert drawn.stdout.startswith("smiles,")


def test_a_run_stopped_at_once_and_resumed_is_the_same_run():
    short(*SIZES, output="whole")
    assert "goes on" in short(*SIZES, "--max-minutes", "1e-9", output="parts").output
    call("--data", "molecules.smi", "--output", "parts", "--resume", "--samples", "0")
    assert weights("parts") == weights("whole")


def test_a_kill_between_state_and_model_is_made_good(monkeypatch):
    short(*SIZES, output="whole")

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "save_model", killed)
        with pytest.raises(Abort):
            short(*SIZES)
    assert not Path("run/model").exists()
    call("--data", "molecules.smi", "--output", "run", "--resume", "--samples", "0")
    assert weights("run") == weights("whole")


def test_a_training_starts_from_a_model():
    short(*SIZES, output="first")
    short("--init", "first/model", "--matrix-rate", "1e-12", "--learning-rate", "1e-12", output="second")
    first, second = load_checkpoint("first/model"), load_checkpoint("second/model")
    assert second.backend.config == first.backend.config  # its sizes need not be given again
    for name, tensor in first.backend.state_dict().items():
        assert second.backend.state_dict()[name].allclose(tensor, atol=1e-4), name
    # high rates would wipe out what the first has learned
    short("--init", "first/model", output="third")
    assert saved_settings(Path("third")).options["matrix_rate"] < saved_settings(Path("first")).options["matrix_rate"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_that_was_told_nothing_learns_to_listen(backend: str):
    """With its new inputs at zero it is at first the model that it was."""
    sizes = [f"--{name.replace('_', '-')}={value}" for name, value in TINY[backend].items()]
    deaf = ("--known-parts", "false", "--known-share", "0", "--target-share", "0")
    short("--backend", backend, *sizes, *deaf, output="first")
    still = ("--matrix-rate", "1e-12", "--learning-rate", "1e-12")
    short("--init", "first/model", *still, output="second")
    first, second = load_checkpoint("first/model"), load_checkpoint("second/model")
    assert not first.backend.config.known_parts and not first.backend.targets
    assert second.backend.config.known_parts and "hydrogens" in second.backend.targets
    options = {"steps": 3, "sampler": first.backend.samplers[0]}
    drawn = [
        model.backend.sample(5, 8, generator=torch.Generator().manual_seed(0), **options) for model in (first, second)
    ]
    assert torch.equal(drawn[0].nodes, drawn[1].nodes) and torch.equal(drawn[0].pairs, drawn[1].pairs)


def test_a_column_of_the_file_becomes_a_target(tmp_path):
    rows = [f"{smiles},{len(smiles)},5" for smiles in SMILES]
    (tmp_path / "series.csv").write_text("\n".join(["smiles,pIC50,same", *rows]) + "\n", encoding="utf-8")
    own = ("--data", "series.csv", "--output", "run", "--epochs", "2", "--samples", "0")
    call(*own, *SIZES, "--property", "pIC50", "--max-minutes", "1e-9")
    call("--data", "series.csv", "--output", "run", "--samples", "0", "--resume")  # the run knows its columns
    assert "pIC50" in load_checkpoint("run/model").backend.targets
    assert "series.csv has no column 'activity'" in failure(*own, "--property", "activity")
    assert "property 'same' has no value in the training molecules, or the same" in failure(*own, "--property", "same")


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_atom_classes_grow_and_old_ones_keep_their_weights(tmp_path, backend: str):
    sizes = [f"--{name.replace('_', '-')}={value}" for name, value in TINY[backend].items()]
    short("--backend", backend, *sizes, output="first")
    others = [smiles for smiles in SMILES if "F" not in smiles] + ["CS", "CCS", "CSC", "CCl", "SCCS", "ClCCl"]
    (tmp_path / "other.smi").write_text("\n".join(others), encoding="utf-8")
    still = ("--matrix-rate", "1e-12", "--learning-rate", "1e-12", "--init", "first/model", "--epochs", "1")
    told = call("--data", "other.smi", "--output", "second", "--samples", "0", *still).output
    assert "does not know the atom types" in told and "S" in told and "Cl" in told
    first, second = load_checkpoint("first/model"), load_checkpoint("second/model")
    old, new = first.vocabulary.atoms, second.vocabulary.atoms
    weights = dict(first.backend.named_parameters())
    grown = 0
    for name, tensor in second.backend.named_parameters():
        if name not in second.backend.atom_axes:
            assert tensor.shape == weights[name].shape, name
            assert tensor.allclose(weights[name], atol=1e-4), name
            continue
        axis, copies, block = second.backend.atom_axes[name]
        rows, before = tensor.movedim(axis, 0), weights[name].movedim(axis, 0)
        for copy in range(copies):
            for at, atom in enumerate(new):
                start = (copy * len(new) + at) * block
                kept = rows[start : start + block]
                if atom in old:
                    place = (copy * len(old) + old.index(atom)) * block
                    assert kept.allclose(before[place : place + block], atol=1e-4), (name, atom)
                else:
                    grown += 1
        rest, rest_before = rows[copies * len(new) * block :], before[copies * len(old) * block :]
        assert rest.allclose(rest_before, atol=1e-4), name
    assert grown


def test_a_training_ends_when_validation_no_longer_improves():
    still = ("--matrix-rate", "1e-12", "--learning-rate", "1e-12", "--evaluations", "20", "--epochs", "20")
    short(*SIZES, output="first")
    assert "stopped" not in short("--init", "first/model", *still, "--patience", "2", output="second").output
    lines = read_log(Path("second"))
    losses = [float(line["valid_loss"]) for line in lines]
    assert len(lines) < 20
    assert min(losses) == losses[-3] <= losses[-2]
    again = call("--data", "molecules.smi", "--output", "second", "--resume", "--samples", "0")
    assert "goes on" not in again.output
    assert read_log(Path("second")) == lines


def test_a_check_tells_and_trains_nothing(monkeypatch, molecules):
    monkeypatch.setattr(check, "CHECK_MINUTES", 0.001)
    molecules.write_text("\n".join([*SMILES, "C(", "CC.O"]), encoding="utf-8")
    output = short(*SIZES, "--check").output
    assert "unparsable" in output and "several fragments" in output
    assert "for each training molecule" in output and "start from another model" in output
    assert "molecules/s here, so 2 epochs" in output
    assert "are too few for this model with random weights" in output
    assert "qm9-digress knows the atom types and sizes of 100%" in output and "--init qm9-digress" in output
    assert "--epochs" in output and "--batch-size 16" in output
    assert not Path("run").exists()


def test_what_is_known_by_heart_is_told():
    output = short(*SIZES, "--samples", "20", "--evaluations", "1").output
    assert "training molecules are few" in output and "are training molecules" in output


def test_a_model_that_does_not_fit_is_no_start():
    short(*SIZES)
    arguments = ("--output", "x", "--init", "run/model")
    assert "another network" in failure("--data", "molecules.smi", *arguments, "--width", "32")
    assert "is a digress model, not nvdiff" in failure("--data", "molecules.smi", *arguments, "--backend", "nvdiff")
    assert not Path("x").exists()


def test_a_resumed_run_needs_no_more_than_its_folder():
    short("--backend", "edge", "--layers", "1", "--width", "16", "--heads", "2", "--max-minutes", "1e-9")
    with pytest.raises(InputError, match="run is a edge model, not digress"):
        call("--data", "molecules.smi", "--output", "run", "--resume", "--backend", "digress")
    # as the message says: the same command with --resume
    short("--backend", "edge", "--layers", "1", "--width", "16", "--heads", "2", "--resume")
    assert load_checkpoint("run/model").backend_name == "edge"
    short("--init", "run/model", "--max-minutes", "1e-9", output="second")
    assert "goes on" not in short("--init", "run/model", "--resume", output="second").output


def test_the_options_may_come_from_a_file(tmp_path):
    settings = {"data": "molecules.smi", "output": "run", "batch-size": 7, "pair_width": 8, "learning_rate": 1e-3}
    settings |= {"layers": 1, "width": 16, "heads": 2, "triangles": 4, "samples": 0, "epochs": 9}
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (tmp_path / "run.toml").write_text("\n".join(lines), encoding="utf-8")
    call("--config", "run.toml", "--epochs", "1")
    card = load_checkpoint("run/model").card
    assert (card["training"]["batch_size"], card["training"]["epochs"]) == (7, 1.0)
    assert load_checkpoint("run/model").backend.config.pair_width == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = ", "cannot be read as TOML"),
        ("depth = 3", "unknown setting 'depth'; it takes backend, batch_size"),
        ("epochs = [1]", "epochs should be a number"),
        ('epochs = "many"', "'many' is not a valid float"),
        ("layers = true", "'true' is not a valid integer"),
    ],
)
def test_a_bad_file_of_options_is_told(tmp_path, text, message):
    with atomic_write(tmp_path / "bad.toml") as file:
        file.write(text)
    assert message in failure("--config", "bad.toml", "--data", "molecules.smi", "--output", "run")


def test_what_cannot_be_resumed_or_started_is_told(tmp_path):
    run = ("--data", "molecules.smi", "--output", "run", "--samples", "0")
    assert "holds no saved state" in failure(*run, "--resume")
    short(*SIZES)
    assert "already holds a training" in failure(*run)
    assert "seed = 0, not 5" in failure(*run, "--resume", "--seed", "5")
    assert "is a file" in failure("--data", "molecules.smi", "--output", "molecules.smi")
    assert "no data set and no file" in failure("--data", "nothing", "--output", "run2")
    assert not (tmp_path / "run2").exists()

"""`molgen train` in two processes, as torchrun starts them: the same training as in one."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from molgen.device import pick_device
from molgen.errors import InputError, TrainingError
from molgen.training.launch import launch, speaks
from molgen.training.log import read_log
from molgen.training.recipe import run, train
from molgen.training.setup import set_up
from molgen.training.share import Share, joined, step_seed
from molgen.training.state import read_state
from tests.conftest import TINY
from tests.data.small_set import SMILES

OPTIONS = TINY["digress"] | {"epochs": 2, "batch_size": 4, "warmup": 4, "evaluations": 4, "patience": 9}
FLAGS = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
MAIN = "import molgen.cli; molgen.cli.GRACE = 0; molgen.cli.main()"
# the second process dies in the middle of the tenth step
KILLED = f"""
import os, signal
from molgen.training.trainer import Trainer
losses = Trainer._losses
def die(run, *arguments):
    if run.step == 9 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return losses(run, *arguments)
Trainer._losses = die
{MAIN}
"""
# the second process has a clock of its own, by which the training would be over
LATE = f"""
import itertools, os, types
from molgen.training import trainer
if os.environ["RANK"] == "1":
    trainer.time = types.SimpleNamespace(monotonic=itertools.count(0, 10_000).__next__)
{MAIN}
"""
pytestmark = pytest.mark.filterwarnings("ignore:.*training molecules are few")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the molecules are; with a cache of its own, and with `whole`, a training of both ranks in one process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "molecules.smi").write_text("\n".join(SMILES) + "\n", encoding="utf-8")
    setup = set_up("molecules.smi", "whole", options=OPTIONS, share=Share((0, 1), 2))
    assert run(setup, samples=0).step == 18
    return tmp_path


def command(output: str, *more: str) -> list[str]:
    return ["train", "--data", "molecules.smi", "--output", output, "--samples", "0", *FLAGS, *more]


def two_processes(program: str, *arguments: str) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of a program that is started twice, as torchrun does it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    usual = {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            env=os.environ | usual | {"RANK": number, "LOCAL_RANK": number},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in ("0", "1")
    ]
    try:
        texts = [process.communicate(timeout=900) for process in processes]  # should they wait for each other for ever
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *text) for process, text in zip(processes, texts, strict=True)]


def check_same(output: str) -> None:
    """The run is `whole` to the last bit: a sum of two numbers knows no order."""
    logs = [[{**line, "seconds": ""} for line in read_log(Path(name))] for name in (output, "whole")]
    assert logs[0] == logs[1] and len(logs[0]) == 5
    weights = [(Path(name) / "model" / "weights.safetensors").read_bytes() for name in (output, "whole")]
    assert weights[0] == weights[1]
    states = [read_state(Path(name)) for name in (output, "whole")]
    for name, tensor in states[1].tensors.items():
        assert torch.equal(states[0].tensors[name], tensor), name


def test_two_processes_train_as_one_that_does_the_work_of_both(folder):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    # without -- torchrun would take --log for its own
    asked = [*launcher, "-m", "--", "molgen", *command("run", "--log", "log.jsonl")]
    done = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    check_same("run")
    assert done.stdout == "model: run/model\n"
    assert done.stderr.count("18 steps, device cpu, 2 processes, from step 0") == 1
    assert Path("log.jsonl").read_text(encoding="utf-8").count('"event": "start"') == 1
    assert (folder / "run" / "curve.png").is_file()


def test_a_training_goes_on_after_one_of_its_processes_was_killed(folder):
    first, second = two_processes(KILLED, *command("run"))
    assert second[0] == -signal.SIGKILL
    assert first[0] == 2 and "Error: another process of this training has ended" in first[2]
    assert "Traceback" not in first[2]
    assert read_state(Path("run")).position["step"] == 8
    shutil.copytree("run", "alone")
    # a clock may differ, the number of processes too
    done = two_processes(LATE, *command("run", "--resume", "--max-minutes", "60"))
    assert [code for code, *_ in done] == [0, 0], done
    check_same("run")
    assert train("molecules.smi", "alone", resume=True, samples=0).finished
    check_same("alone")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--batch-size", "none"], "Invalid value for '--batch-size'"),
        (["--data", "none.smi"], "no data set and no file is called 'none.smi'"),
    ],
)
def test_a_wrong_option_is_told_once(tmp_path, monkeypatch, wrong, message):
    monkeypatch.chdir(tmp_path)
    first, second = two_processes(MAIN, "train", "--data", "x.smi", "--output", "run", *wrong)
    assert first[0] == 2 and message in first[2] and "Traceback" not in first[2]
    assert second == (2, "", "")


def test_what_only_one_process_lacks_is_told_by_the_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOLGEN_CACHE", "cache")
    (tmp_path / "molecules.smi").write_text("\n".join(SMILES) + "\n", encoding="utf-8")
    elsewhere = f"import os\nos.environ['RANK'] == '1' and os.chdir('/')\n{MAIN}"
    first, second = two_processes(elsewhere, *command(str(tmp_path / "run")))
    assert first[0] == 2 and "Error: in process 1 of 2: no data set and no file is called" in first[2]
    assert "Traceback" not in first[2] and second == (2, "", "")
    assert not (tmp_path / "run").exists()


def test_every_rank_is_done_once_by_as_many_processes_or_fewer():
    for processes in (1, 2, 3, 4):
        shares = [Share((number,), processes, processes).dealt(4) for number in range(processes)]
        assert sorted(rank for share in shares for rank in share.ranks) == [0, 1, 2, 3]
        assert [share.leads for share in shares] == [True] + [False] * (processes - 1)
    with pytest.raises(TrainingError, match="was started in 1 process: it goes on in as many or in fewer, got 2"):
        Share((0,), 2, 2).dealt(1)


def test_every_rank_has_numbers_of_its_own():
    seeds = {step_seed(seed, step, rank) for seed in (0, 1) for step in range(5) for rank in range(4)}
    assert len(seeds) == 40 and all(0 <= seed < 2**64 for seed in seeds)
    assert step_seed(3, 5, 0) == 3_000_014  # as before there were ranks


def test_a_process_without_torchrun_is_alone(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with joined() as share:
        assert share == Share() and speaks()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    assert launch() == (1, 2, 1) and not speaks()


def test_each_process_of_a_machine_takes_its_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("auto", 1) == pick_device("cuda", 1) == torch.device("cuda", 1)
    assert pick_device("auto") == torch.device("cuda") and pick_device("cpu", 1) == torch.device("cpu")
    with pytest.raises(InputError, match="more processes than GPUs here, which are 2"):
        pick_device("auto", 2)

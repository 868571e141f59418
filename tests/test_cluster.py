"""A Ray cluster of two nodes does the same work with the same results, whatever becomes of its machines."""

import importlib.metadata
import json
import pickle
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from click.testing import CliRunner
from ray.cluster_utils import Cluster

import molgen
from molgen.cli import cli, main
from molgen.cluster import _Host, on_cluster
from molgen.errors import InputError, MolgenError
from molgen.generation.settings import make_settings
from molgen.optimisation.external import Function
from molgen.parallel import isolated_map
from molgen.workers import Crew, Processes, Worker, using
from tests.evaluation.real_molecules import REAL
from tests.generation.fake_model import fake_model
from tests.generation.small_run import MODEL, generate, settings
from tests.test_parallel import treacherous

ROOT = Path(__file__).resolve().parent.parent
NODE = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 80 * 1024 * 1024, "include_dashboard": False}
SOON_MISSED = {"health_check_period_ms": 500, "health_check_initial_delay_ms": 500, "health_check_failure_threshold": 2}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes on this machine, with one worker each."""
    folder = tempfile.mkdtemp(prefix="ray-")  # sockets lie in it, whose paths have to be short
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_TMPDIR", folder)
        (Path(folder) / "ray").mkdir()  # where the address is noted, also on a machine that never ran Ray
        started = Cluster(
            initialize_head=True, head_node_args=NODE | {"temp_dir": folder, "_system_config": SOON_MISSED}
        )
        try:
            started.add_node(**NODE)
            yield started
        finally:
            started.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


def run(*arguments: str) -> None:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, (done.output, done.exception)


def test_the_commands_write_the_same(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "real.smi").write_text("\n".join(REAL), encoding="utf-8")
    drawing = ["--num", "1100", "--seed", "7", "--steps", "2", "--device", "cpu"]
    for name, engine in (("here", ("--workers", "1")), ("there", ("--engine", "ray", "--address", cluster.address))):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        run("generate", *drawing, "--output", "m.csv", *engine)
        run("score", "m.csv", "--reference", "qm9-digress", *engine)
        run("report", "m.csv", "--reference", "../real.smi", *engine)
    here, there = tmp_path / "here", tmp_path / "there"
    for file in ("m.csv", "m.scores.json", "report/molecules.csv", "report/summary.json"):
        assert (here / file).read_bytes() == (there / file).read_bytes() != b"", file
    records = [json.loads((folder / "m.json").read_text(encoding="utf-8")) for folder in (here, there)]
    assert [record.pop("engine") for record in records] == ["processes", "ray"]
    assert records[1].pop("workers") == 2  # as many as there are CPUs
    for record in records:
        for name in ("workers", "seconds", "samples_per_second"):
            record.pop(name, None)
    assert records[0] == records[1]


def test_a_machine_lost_in_the_middle_costs_its_shards_alone(cluster: Cluster, tmp_path: Path, capfd):
    lost: list[object] = []
    seen: list[int] = []

    def progress(_stage: str, done: int, _total: int | None) -> None:
        seen.append(done)
        if not lost and list(tmp_path.glob("two.csv.partial/shard-*")):
            node = next(node for node in cluster.list_all_nodes() if node is not cluster.head_node)
            lost.append(node)
            cluster.remove_node(node, allow_graceful=False)

    try:
        with on_cluster(cluster.address):
            generate(tmp_path / "two.csv", fake_model(delay=0.05), num=3200, workers=2, progress=progress)
    finally:
        cluster.add_node(**NODE)
    assert len(lost) == 1 and seen == sorted(seen) and seen[-1] == 3200
    generate(tmp_path / "one.csv", num=3200)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert capfd.readouterr().out == ""  # where molecules may be written


def test_a_crash_and_a_hang_cost_one_item_each(cluster: Cluster):
    with on_cluster(cluster.address):
        found = list(isolated_map(treacherous, range(20), "failed: {}".format, workers=2, chunk=1, seconds=0.2))
    expected = [str(item) for item in range(20)]
    expected[13] = "failed: crashed RDKit"
    expected[7] = "failed: took longer than 0.2 s"
    assert found == expected


def test_other_versions_and_missing_gpus_are_told(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    version = importlib.metadata.version
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1999.9" if name == "rdkit" else version(name))
    with on_cluster(cluster.address):
        there = f"rdkit {version('rdkit')} \\(here 1999.9\\); all machines should have the same"
        with pytest.raises(InputError, match=there):
            generate(tmp_path / "m.csv", num=10)
        with pytest.raises(InputError, match="device cuda was asked for, but the cluster has none"):
            make_settings(MODEL, num=5, device="cuda", by_workers=True)
        with pytest.raises(InputError, match="on this cluster at most 8, got 9"):
            generate(tmp_path / "m.csv", workers=9)
        with pytest.raises(InputError, match="connected to a Ray cluster already"), on_cluster(cluster.address):
            pass
    assert not ray.is_initialized()


def test_a_machine_without_molgen_says_so():
    """The actor does not need it to say that it is missing."""
    ray.cloudpickle.register_pickle_by_value(sys.modules["molgen.cluster"])
    expected = {"molgen": "0.1.0", "python": "3.11", "torch": "none", "rdkit": "none", "numpy": "none"}
    program = (
        "import pickle, sys\n"
        "sys.modules['molgen'] = None\n"
        "host = pickle.load(sys.stdin.buffer)\n"
        f"print(host(b'', {expected}, {{}}).receive())"
    )
    text = subprocess.run(
        [sys.executable, "-c", program], input=ray.cloudpickle.dumps(_Host), capture_output=True, check=True
    )
    assert b"molgen none (here 0.1.0)" in text.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--address", "head:6379"], "--address only goes with --engine ray"),
        (["--engine", "ray", "--address", "ray://head:10001"], "auto or HOST:PORT, such as head:6379, got 'ray://head"),
        (["--engine", "ray", "--address", "head"], "auto or HOST:PORT, such as head:6379, got 'head'"),
        (["--engine", "spark"], "'spark' is not one of 'processes', 'ray'"),
    ],
)
@pytest.mark.parametrize("command", ["generate", "score", "report"])
def test_what_does_not_go_together_is_one_line_and_exit_code_2(
    command: str, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
):
    (tmp_path / "real.smi").write_text("CCO\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    files = ["--seed", "1"] if command == "generate" else ["real.smi"]
    monkeypatch.setattr(sys, "argv", ["molgen", command, *files, *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_where_nothing_answers_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        output = str(tmp_path / "m.csv")
        monkeypatch.setattr(sys, "argv", ["molgen", "generate", "--output", output, "--engine", "ray"])
        sys.argv += ["--address", address]
        with pytest.raises(SystemExit) as stop:
            main()
    assert stop.value.code == 2
    assert f"Error: no Ray cluster answers at {address} (" in capsys.readouterr().err


def test_what_is_no_cluster_cannot_be_joined(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("molgen.cluster.TRIAL", 1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        late = f"the Ray cluster at {address} does not answer within 1 s"
        with pytest.raises(InputError, match=late), on_cluster(address):
            pass


def test_without_ray_the_cure_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'molgen-diffusion\[cluster\]'"), on_cluster():
        pass


class Elsewhere(Processes):
    """A cluster with GPUs that starts nothing."""

    remote = True

    def room(self, gpu: bool = False) -> int:
        return 2

    def start(self, job: object, gpu: bool) -> Worker[Any]:
        raise AssertionError("nothing should be started here")


def test_gpus_of_the_workers_are_what_counts():
    with using(Elsewhere()):
        assert make_settings(MODEL, num=5, by_workers=True).device == "cuda"
        assert make_settings(MODEL, num=5, device="cpu", by_workers=True).device == "cpu"


def test_the_users_own_function_stays_on_this_machine(tmp_path: Path):
    source = "def score(smiles):\n    return [1.0 for _ in smiles]\n"
    (tmp_path / "mine_of_here.py").write_text(source, encoding="utf-8")
    with using(Elsewhere()):
        function = Function("mine_of_here", "score", tmp_path, 20.0)
        try:
            assert function(["C", "CC"]) == [1.0, 1.0]
        finally:
            function.close()


def test_all_workers_of_a_machine_may_die_at_once():
    crew: Crew[int] = Crew(0, treacherous, engine=Elsewhere())
    crew.workers = [None] * 4  # type: ignore[list-item]
    for _ in range(6):
        crew.count_death("")
    with pytest.raises(MolgenError, match="died, 7 times"):
        crew.count_death("")


def test_the_python_interface_takes_a_cluster(cluster: Cluster, tmp_path: Path):
    with molgen.on_cluster(cluster.address):
        there = molgen.score(REAL, "qm9-digress")
    assert pickle.dumps(replace(there)) == pickle.dumps(molgen.score(REAL, "qm9-digress", workers=1))
    assert settings().device == "cpu"

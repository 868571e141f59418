"""A new model family is one class and one registry line: all of molgen then trains, keeps, draws from and judges it."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
MOLECULES = [f"{'C' * n}{tail}" for n in range(1, 9) for tail in ("O", "N", "C(=O)C", "OC", "F")]
PROGRAM = """
import sys, json
import tests.models.tiny_backend
import molgen
data, output = sys.argv[1:]
options = {"epochs": 2, "batch_size": 8, "smoothing": 2.0}
result = molgen.train(data, output, backend="tiny", options=options, samples=20)
model = molgen.load_model(str(result.model))
molecules = model.sample(50, seed=1)
scores = molgen.score(molecules, reference=str(result.model), workers=1)
print(json.dumps([model.model.backend_name, molecules.summary.requested, scores.summary.requested, len(molecules)]))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("plugin") / "mine.smi"
    path.write_text("\n".join(MOLECULES) + "\n")
    return path


def run(*arguments: str | Path, folder: Path) -> str:
    environment = {"PYTHONPATH": str(ROOT), "MOLGEN_CACHE": str(folder / "cache"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_from_python(data, tmp_path):
    name, drawn, judged, valid = json.loads(
        run("-c", PROGRAM, data, tmp_path / "run", folder=tmp_path).splitlines()[-1]
    )
    assert (name, drawn, judged) == ("tiny", 50, 50)
    assert 0 <= valid <= 50


def test_from_the_command_line(data, tmp_path):
    tiny = ("-m", "tests.models.tiny_backend")
    assert "--smoothing" in run(*tiny, "train", "--help", folder=tmp_path)
    options = ("--epochs", "2", "--batch-size", "8", "--samples", "0", "--smoothing", "0.5")
    run(*tiny, "train", "--data", data, "--backend", "tiny", "--output", "run", *options, folder=tmp_path)
    model = json.loads((tmp_path / "run" / "model" / "model.json").read_text())
    assert (model["backend"], model["config"]["smoothing"]) == ("tiny", 0.5)
    assert "tiny" in run(*tiny, "models", "run/model", folder=tmp_path)
    generated = ("generate", "--model", "run/model", "--num", "60", "--seed", "1", "--output")
    run(*tiny, *generated, "one.csv", folder=tmp_path)
    run(*tiny, *generated, "two.csv", "--likelihood", folder=tmp_path)
    one, two = (pd.read_csv(tmp_path / name) for name in ("one.csv", "two.csv"))
    assert one["smiles"].tolist() == two["smiles"].tolist()
    assert (two["nll"] > 0).all()
    run(*tiny, "score", "one.csv", "--reference", data, "--workers", "1", folder=tmp_path)
    scores = json.loads((tmp_path / "one.scores.json").read_text())
    assert scores["shares"]["valid"]["total"] == 60

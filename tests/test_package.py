"""The wheel is whole: installed into an empty environment, it generates with what it holds and nothing of the clone."""

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import molgen

ROOT = Path(__file__).resolve().parent.parent
MODELS = sorted(path.parent.name for path in (ROOT / "checkpoints").glob("*/model.json"))
MAX_BYTES = 100 * 1024 * 1024  # of a file, on the package index


def run(*command: Path | str, folder: Path) -> str:
    """Standard output of a command. Fails with what it printed where its exit code is not 0."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the clone with what is installed here."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--wheel-dir", str(folder)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(ROOT)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of a new environment that has the wheel and, of this one, all but molgen."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    options = ["--no-deps", "--no-index", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "--python", programs / "python", "install", *options, wheel, folder=folder)
    # A path file leads to the libraries that are installed here already. Path files in there are not read, so that the
    # clone, which is installed here by one, is not found.
    site = Path(
        run(programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).strip()
    )
    paths = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    (site / "libraries.pth").write_text("\n".join(paths) + "\n", encoding="utf-8")
    return programs


def test_the_wheel_fits_on_the_package_index(wheel: Path):
    assert wheel.stat().st_size < MAX_BYTES
    assert wheel.name.startswith(f"molgen_diffusion-{molgen.__version__}-py3-none-any")


def test_the_wheel_holds_all_of_it(wheel: Path):
    held = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "molgen"
    files = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path.relative_to(ROOT).as_posix() for path in files} <= held
    rooms = ("molecules", "data", "models", "evaluation", "generation", "training", "cli")
    assert {f"molgen/{room}/__init__.py" for room in rooms} <= held
    assert {"molgen/py.typed", "molgen/evaluation/report.html.j2", "molgen/evaluation/profiles/lead-like.toml"} <= held
    shipped = "molgen/_shipped"
    assert {f"{shipped}/app/main.py", f"{shipped}/datasets/qm9.smi.gz", f"{shipped}/datasets/mcf.csv"} <= held
    assert len(MODELS) >= 4
    for model in MODELS:
        assert {f"{shipped}/checkpoints/{model}/{name}" for name in ("weights.safetensors", "model.json")} <= held
    assert {f"{shipped}/checkpoints/known/{name}.safetensors" for name in ("moses", "qm9")} <= held
    assert not [name for name in held if "unfinished" in name]
    assert not [name for name in held if name.split("/")[0] in ("tests", "docs", "benchmarks", "app")]


def test_the_wheel_says_what_it_is(wheel: Path):
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = Parser().parsestr(archive.read(name).decode("utf-8"))
    assert metadata["Name"] == "molgen-diffusion"
    assert metadata["License-Expression"] == "MIT"
    needed = {re.split(r"[^\w-]", line)[0] for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line}
    assert {"torch", "rdkit", "click", "safetensors", "streamlit"} <= needed
    entries = archive.read(name.replace("METADATA", "entry_points.txt")).decode("utf-8")
    assert "molgen = molgen.cli:main" in entries


def test_what_is_installed_is_the_wheel(environment: Path, tmp_path: Path):
    found = run(environment / "python", "-c", "import molgen; print(molgen.__file__)", folder=tmp_path).strip()
    assert Path(found).is_relative_to(environment.parent)
    shown = run(
        environment / "python",
        "-c",
        "from molgen.files import shipped_folder as folder; print(folder('app'), folder('checkpoints'))",
        folder=tmp_path,
    )
    assert all(Path(path).is_relative_to(environment.parent) for path in shown.split())


def test_the_installed_command_generates(environment: Path, tmp_path: Path):
    assert "generate" in run(environment / "molgen", "--help", folder=tmp_path)
    options = ["--model", "qm9-digress", "--num", "8", "--steps", "5", "--seed", "7", "--output", "x.csv"]
    run(environment / "molgen", "generate", *options, folder=tmp_path)
    assert (tmp_path / "x.csv").read_text(encoding="utf-8").startswith("smiles,")
    assert (tmp_path / "x.json").is_file()

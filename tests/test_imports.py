"""Imports go one way, RDKit stays where molecules are handled, and `molgen --help` loads nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import molgen

PACKAGE = Path(molgen.__file__).parent

# A room imports only from itself and from those before it.
ROOMS = (
    *("errors", "files", "progress", "libraries", "workers", "cluster", "parallel", "device"),
    *("molecules", "data", "models", "evaluation", "generation", "optimisation", "training", "api", "cli", "__main__"),
)
# What networks and training work on is tensors: RDKit stays out of these rooms and files.
WITHOUT_RDKIT = ("errors", "files", "parallel", "device", "data.dataset", "models", "training.trainer", "cli")


def imported(source: str) -> list[str]:
    """The full names of what a module imports, wherever in it; a relative import begins with a dot."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            # `from molgen import graph` names the module in the second part
            names += [f"molgen.{alias.name}" for alias in node.names] if base == "molgen" else [base]
    return names


def violations(module: str, source: str) -> list[str]:
    """What `source`, the text of molgen.<module>, imports against the rules."""
    wrong = []
    room = module.split(".")[0]
    for name in imported(source):
        top, _, rest = name.partition(".")
        if not top:
            wrong.append(f"{module}: relative import {name}")
        elif top == "rdkit" and any(f"{module}.".startswith(f"{name}.") for name in WITHOUT_RDKIT):
            wrong.append(f"{module}: rdkit")
        elif top == "molgen" and rest and rest != "__version__":
            other = rest.split(".")[0]
            if other != room and (other not in ROOMS or ROOMS.index(other) > ROOMS.index(room)):
                wrong.append(f"{module}: {name}")
    return wrong


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("molecules.graph", "import torch\nfrom molgen.errors import InputError", []),
        ("molecules.graph", "from molgen.data.dataset import Graphs", ["molecules.graph: molgen.data.dataset"]),
        ("molecules.graph", "def late():\n    from molgen import cli", ["molecules.graph: molgen.cli"]),
        ("molecules.parsing", "from rdkit import Chem\nfrom molgen.molecules import graph", []),
        ("training.trainer", "import molgen\nfrom molgen import __version__, files", []),
        ("training.trainer", "from rdkit import Chem", ["training.trainer: rdkit"]),
        ("models.digress.network", "from rdkit import Chem", ["models.digress.network: rdkit"]),
        ("models.digress.model", "from molgen.models.base import Backend", []),
        ("models.digress.model", "from .base import Backend", ["models.digress.model: relative import .base"]),
        ("cli.train", "import molgen.newcomer", ["cli.train: molgen.newcomer"]),
    ],
)
def test_the_rules_catch_what_they_should(module: str, source: str, expected: list[str]):
    assert violations(module, source) == expected


def test_every_module_is_in_a_room():
    found = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert found - {"__init__"} == set(ROOMS)


def test_every_module_keeps_the_rules():
    paths = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]
    assert len(paths) >= len(ROOMS)
    wrong = []
    for path in paths:
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        wrong += violations(module, path.read_text(encoding="utf-8"))
    assert wrong == []


def test_help_loads_nothing_heavy():
    program = (
        "import sys, click.testing, molgen.cli\n"
        "answer = click.testing.CliRunner().invoke(molgen.cli.cli, ['--help'])\n"
        "assert answer.exit_code == 0 and 'generate' in answer.output, answer.output\n"
        "print([name for name in ('torch', 'rdkit', 'pandas', 'matplotlib', 'fcd') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")

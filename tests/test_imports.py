"""Imports go one way, RDKit stays where molecules are handled, and `molgen --help` loads nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import molgen

PACKAGE = Path(molgen.__file__).parent

# A module imports only from those before it. A folder is one entry; its files may import each other.
ORDER = (
    "errors",
    "files",
    "isolation",
    "hashing",
    "vocabulary",
    "graph",
    "chemistry",
    "data",
    "readers",
    "importing",
    "downloads",
    "properties",
    "measured",
    "prepared",
    "precision",
    "schedules",
    "conditions",
    "cores",
    "layers",
    "devices",
    "solvers",
    "requests",
    "backends",
    "wanted",
    "checkpoints",
    "optimisers",
    "train",
    "plots",
    "rings",
    "alerts",
    "assessment",
    "sketches",
    "similarity",
    "distributions",
    "draw",
    "conformers",
    "screening",
    "search",
    "scores",
    "suite",
    "reference",
    "writers",
    "report_page",
    "report",
    "generate",
    "film",
    "workers",
    "latent",
    "runs",
    "cli",
)
RDKIT = {
    "chemistry",
    "cores",
    "requests",
    "properties",
    "alerts",
    "assessment",
    "sketches",
    "draw",
    "screening",
    "scores",
}
RDKIT |= {"writers", "report_page", "report", "conformers", "search", "rings"}


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
    """What `source`, the text of molgen/<module>.py or of a file of that folder, imports against the rules."""
    wrong = []
    for name in imported(source):
        top, _, rest = name.partition(".")
        if not top:
            wrong.append(f"{module}: relative import {name}")
        elif top == "rdkit" and module not in RDKIT:
            wrong.append(f"{module}: rdkit")
        elif top == "molgen" and rest and rest != "__version__":
            other = rest.split(".")[0]
            if other != module and (other not in ORDER or ORDER.index(other) > ORDER.index(module)):
                wrong.append(f"{module}: {name}")
    return wrong


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("graph", "import torch\nfrom molgen.errors import InputError", []),
        ("graph", "from molgen.train import Trainer", ["graph: molgen.train"]),
        ("graph", "def late():\n    from molgen import cli", ["graph: molgen.cli"]),
        ("train", "import molgen\nfrom molgen import __version__, graph", []),
        ("train", "from rdkit import Chem", ["train: rdkit"]),
        ("backends", "from molgen.backends.base import Backend", []),
        ("backends", "from .base import Backend", ["backends: relative import .base"]),
        ("cli", "import molgen.newcomer", ["cli: molgen.newcomer"]),
    ],
)
def test_the_rules_catch_what_they_should(module: str, source: str, expected: list[str]):
    assert violations(module, source) == expected


def test_every_module_stands_in_the_order():
    found = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert found - {"__init__"} == set(ORDER)


def test_every_module_keeps_the_rules():
    paths = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]
    assert len(paths) >= len(ORDER)
    wrong = []
    for path in paths:
        module = path.relative_to(PACKAGE).with_suffix("").parts[0]
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

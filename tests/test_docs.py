"""The documents are true: commands have help, what they show parses and runs, what they name is there."""

import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rdkit import Chem

import molgen
from molgen.cli import COMMANDS, cli
from molgen.generation.molecules import LoadedModel, Molecules

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ("README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")))
DOCUMENTS = (*PAGES, "CHANGELOG.md", "benchmarks/README.md", "benchmarks/RESULTS.md")
TEXTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}

# The documents' commands as they are run here: the same command on fewer molecules.
CHEAPER = (
    (r"(molgen optimize.* --core.*)--budget \d+", r"\1--budget=6 --batch 3 --steps 2"),
    (r"(molgen optimize.*)--budget \d+", r"\1--budget 6 --batch 3 --steps 2 --model qm9-digress"),
    (r"(molgen generate.*)--effort best(.*)--num \d+", r"\1--effort fast\2--num=8"),
    (r"(molgen generate.*--model moses.*)--num \d+", r"\1--num 8 --steps 10"),
    (r"(molgen generate.*)--num \d{2,}", r"\1--num 30 --steps 5"),
    (r"--unique \d+", "--unique 2 --steps 10"),
    (r"(--init.*)--epochs \d+", r"\1--max-minutes 0.02 --samples 0"),
    (r"--max-minutes \d+\b(?!\.)", "--max-minutes 0.02 --samples 0 --layers 1"),
    (r"(molgen (?:report|score).*)--reference qm9", r"\1--reference mine.smi"),
    (r"(molgen (?:report|score).*)", r"\1 --workers 1"),
)
# The same for Python.
CHEAPER_PYTHON = (
    (r"budget=\d+", "budget=6, batch=3, steps=2, model='qm9-digress'"),
    (r"sample\(\d+", "sample(8, steps=5"),
    (r"\bnum=\d+", "num=20, steps=5"),
    (r"unique=\d+", "unique=2, steps=10"),
    (r"max_minutes=\d+", "max_minutes=0.02, samples=0, options={'layers': 1}"),
    (r'reference="qm9"', 'reference="mine.smi", workers=1'),
)
# A public data set takes a minute or a download, a report of four files half a minute, the app does not end, a cluster
# has to be started; they have their own tests.
NOT_RUN = re.compile(
    r"(--reference|--data|molgen data) (qm9|moses|chembl)|molgen app|report library.csv edge|--engine ray"
)
# Its slow calls are also on the page of the Python interface.
COMPILED_ONLY = "docs/tasks/screen.md"
# Of the ligands that the whole example begins with.
LIGANDS = (
    "Nc1nc(OCC2CCCCC2)c2nc[nH]c2n1",
    "CC(C)C(=O)COc1nc(N)nc2[nH]cnc12",
    "Cn1cnc2c(NCc3ccccc3)nc(NCCO)nc21",
    "CC[C@H](CO)Nc1nc(NCc2ccccc2)c2ncn(C(C)C)c2n1",
    "c1ccc(CNc2ncnc3[nH]cnc23)cc1",
)
# What a reader has as mine.smi, and in measured.csv.
MINE = "C CC CCC CCO CCN CCCC CC=O C1CC1 C1CO1 c1ccoc1 c1cc[nH]c1 CC#N N#CC=O OCC=C CC(C)O NC=O CC(=O)O C1CCC1 COC CCCO"


def commands(text: str, start: str = r"\$ ") -> list[str]:
    """The molgen commands that stand on lines of their own after `start`, without what they are piped into.

    A command that torchrun starts several times is taken as one.
    """
    text = text.replace("\\\n", "")
    found = re.findall(rf"^ *(?:{start})(?:torchrun .* -m )?(molgen .*)$", text, flags=re.MULTILINE)
    return [line.split(" | ")[0].strip() for line in found]


def mentioned(text: str) -> list[str]:
    """What stands in inline code and begins with molgen or with an option."""
    return re.findall(r"`((?:molgen |--)[^`]+)`", text)


def python_blocks(text: str) -> list[str]:
    """The Python examples of a document."""
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def cheaper(text: str, rules: tuple[tuple[str, str], ...]) -> str:
    """A command or an example on fewer molecules."""
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text)
    return text


def run_here(text: str) -> list[str]:
    """The commands of a document as they are run here."""
    return [line for line in (cheaper(line, CHEAPER) for line in commands(text)) if not NOT_RUN.search(line)]


def help_commands(name: str) -> list[str]:
    """The commands shown in the help of `molgen` ("") or of one of its commands."""
    command = cli.get_command(click.Context(cli), name) if name else cli
    assert command is not None
    return commands(command.help or "", start="|Example: |Try: ")


def parse(line: str) -> None:
    """Let click parse a command without running it. Raises click.UsageError where it would refuse it."""
    program, *arguments = shlex.split(line, comments=True)
    assert program == "molgen"
    context = click.Context(cli, info_name=program)
    try:
        name, command, rest = cli.resolve_command(context, arguments)
        assert command is not None
        command.make_context(name, rest, parent=context)
    except click.exceptions.Exit as stop:  # --help
        assert stop.exit_code == 0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with mine.smi, measured.csv and objective.toml alone, and a cache of its own."""
    shown = re.findall(r"```toml\n(.*?)```", TEXTS["docs/tasks/optimize.md"], flags=re.DOTALL)
    (tmp_path / "objective.toml").write_text(shown[0], encoding="utf-8")
    (tmp_path / "mine.smi").write_text("\n".join(MINE.split()) + "\n", encoding="utf-8")
    objective, profile = re.findall(r"```toml\n(.*?)```", TEXTS["docs/tasks/worked-example.md"], flags=re.DOTALL)
    (tmp_path / "cdk2.toml").write_text(objective, encoding="utf-8")
    (tmp_path / "proposals.toml").write_text(profile, encoding="utf-8")
    with Chem.SDWriter(str(tmp_path / "cdk2.sdf")) as writer:
        for smiles in LIGANDS:
            writer.write(Chem.MolFromSmiles(smiles))
    rows = [f"{smiles},{6 + len(smiles) / 4}" for smiles in MINE.split()]
    (tmp_path / "measured.csv").write_text("\n".join(["smiles,pIC50", *rows]) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_has_help(name: str):
    context = click.Context(cli)
    command = cli.get_command(context, name)
    assert command is not None
    assert len(command.help or "") > 40
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.name}"
    shown = CliRunner().invoke(cli, [name, "--help"])
    assert shown.exit_code == 0
    assert shown.output.startswith("Usage: ")


def test_every_command_is_shown_and_run():
    lines = [line for text in TEXTS.values() for line in commands(text)]
    assert {line.split()[1] for line in lines} == set(COMMANDS)
    assert {line.split()[1] for text in TEXTS.values() for line in run_here(text)} == set(COMMANDS) - {"app"}
    assert {name for name in COMMANDS if f"`molgen {name}" in README or f"$ molgen {name}" in README} >= {
        *("generate", "report", "train", "embed", "models", "data", "app"),
    }


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_parse(page: str, folder: Path):
    for line in commands(TEXTS[page]):
        parse(line)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_mentions_exists(page: str, folder: Path):
    options = {
        name
        for command in (cli.get_command(click.Context(cli), name) for name in COMMANDS)
        if command is not None
        for parameter in command.params
        for name in parameter.opts
    } | {"--help"}
    for text in mentioned(TEXTS[page]):
        if text.startswith("--"):
            assert text.split()[0] in options, text
        elif len(text.split()) > 2:
            parse(text)
        else:
            assert text.split()[1] in COMMANDS, text


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_the_commands_in_help_texts_parse(name: str, folder: Path):
    for line in help_commands(name):
        parse(line)


def test_help_texts_show_commands():
    assert sum(len(help_commands(name)) for name in ["", *COMMANDS]) >= len(COMMANDS)


def test_an_unknown_option_does_not_parse():
    with pytest.raises(click.UsageError):
        parse("molgen generate --molecules 5")


@pytest.mark.parametrize("page", [page for page in PAGES if commands(TEXTS[page]) or python_blocks(TEXTS[page])])
def test_the_commands_and_examples_of_a_page_run(page: str, folder: Path):
    for line in run_here(TEXTS[page]):
        done = CliRunner().invoke(cli, shlex.split(line)[1:])
        assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"
    names: dict[str, object] = {}
    for block in python_blocks(TEXTS[page]):
        program = compile(cheaper(block, CHEAPER_PYTHON), page, "exec")
        if page != COMPILED_ONLY:
            exec(program, names)


def test_the_python_page_tells_of_all_that_is_public():
    page = TEXTS["docs/reference/python.md"]
    for name in molgen.__all__:
        section = re.search(rf"^### `molgen\.{name}\(.*?(?=^##|\Z)", page, flags=re.DOTALL | re.MULTILINE)
        assert section, name
        if name != "generate":  # its arguments are those of the next
            parameters = inspect.signature(getattr(molgen, name)).parameters
            assert [each for each in parameters if not re.search(rf"\b{each}\b", section[0])] == [], name
    for method in (LoadedModel.sample, molgen.generate):
        parameters = [each for each in inspect.signature(method).parameters if each != "self"]
        assert [each for each in parameters if f"`{each}`" not in page and f"({each}" not in page] == []
    inside = {"model", "rows"}  # public for the package's own use
    for kind in (LoadedModel, Molecules):
        names = {name for name in (*kind.__annotations__, *vars(kind)) if not name.startswith("_")} - inside
        assert [name for name in names if f"`{name}" not in page and f"`model.{name}" not in page] == []


def test_the_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    named = set(re.findall(r"(?:`|^ +)make ([a-z]+)", README, flags=re.MULTILINE))
    assert {"run", "test"} <= named <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_files_that_documents_name_exist(document: str):
    text = (ROOT / document).read_text(encoding="utf-8")
    for name in re.findall(r"(?<![\w/])(?:app|benchmarks|checkpoints|datasets|docs|molgen|tests)/[\w./-]*\w", text):
        assert (ROOT / name).exists(), f"{document} names {name}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_nothing_is_left_to_fill(document: str):
    assert "[TO FILL" not in (ROOT / document).read_text(encoding="utf-8")


def test_the_readme_begins_with_a_sentence_the_set_up_and_a_result():
    start = README.splitlines()[:30]
    assert start[0] == "# molgen"
    assert start[2].endswith(".")
    assert "    make run" in start
    assert any("valid" in line and "%" in line for line in start)


def test_the_pages_build_and_fetch_nothing(tmp_path: Path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=os.environ | quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) >= len(PAGES) - 1
    for page in pages:
        fetched = re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=\"(https?:[^\"]*)", page.read_text("utf-8"))
        assert fetched == [], page

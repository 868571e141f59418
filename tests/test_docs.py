"""The documents are true: commands have help, what the README shows parses and runs, what it names is there."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from molgen.cli import COMMANDS, cli

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = ("README.md", "CHANGELOG.md", "benchmarks/README.md", "benchmarks/RESULTS.md")

# The README's commands as they are run here: the same command on fewer molecules.
CHEAPER = (
    (r"(molgen generate.*)--num \d+", r"\1--num 30 --steps 5"),
    (r"--unique \d+", "--unique 2 --steps 10"),
    (r"(--init.*)--epochs \d+", r"\1--max-minutes 0.02 --samples 0"),
    (r"--max-minutes \d+\b(?!\.)", "--max-minutes 0.02 --samples 0 --layers 1"),
    (r"(molgen (?:report|score).*)--reference qm9", r"\1--reference mine.smi"),
)
# A public data set takes a minute or a download, the app does not end; they have their own tests.
NOT_RUN = re.compile(r"--reference (qm9|moses)|molgen data (qm9|moses)|molgen app")
# What a reader of the README has as mine.smi.
MINE = "C CC CCC CCO CCN CCCC CC=O C1CC1 C1CO1 c1ccoc1 c1cc[nH]c1 CC#N N#CC=O OCC=C CC(C)O NC=O CC(=O)O C1CCC1 COC CCCO"


def commands(text: str, start: str = r"\$ ") -> list[str]:
    """The molgen commands that stand on lines of their own after `start`, without what they are piped into."""
    found = re.findall(rf"^ *(?:{start})(molgen .*)$", text, flags=re.MULTILINE)
    return [line.split(" | ")[0].strip() for line in found]


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
    """An empty working folder with mine.smi, and a cache of its own."""
    (tmp_path / "mine.smi").write_text("\n".join(MINE.split()) + "\n", encoding="utf-8")
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


def test_every_command_stands_in_the_readme():
    assert {line.split()[1] for line in commands(README)} == set(COMMANDS)


@pytest.mark.parametrize("line", commands(README))
def test_the_readme_commands_parse(line: str, folder: Path):
    parse(line)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_the_commands_in_help_texts_parse(name: str, folder: Path):
    for line in help_commands(name):
        parse(line)


def test_help_texts_show_commands():
    assert sum(len(help_commands(name)) for name in ["", *COMMANDS]) >= len(COMMANDS)


def test_an_unknown_option_does_not_parse():
    with pytest.raises(click.UsageError):
        parse("molgen generate --molecules 5")


def test_the_readme_commands_run(folder: Path):
    ran = []
    for line in commands(README):
        cheap = line
        for pattern, replacement in CHEAPER:
            cheap = re.sub(pattern, replacement, cheap)
        if NOT_RUN.search(cheap):
            continue
        done = CliRunner().invoke(cli, shlex.split(cheap)[1:])
        assert done.exit_code == 0, f"{cheap}\n{done.output}\n{done.exception!r}"
        ran.append(line.split()[1])
    assert set(ran) == set(COMMANDS) - {"app"}


def test_the_readme_python_runs(folder: Path, capsys: pytest.CaptureFixture[str]):
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 20


def test_the_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    named = set(re.findall(r"(?:`|^ +)make ([a-z]+)", README, flags=re.MULTILINE))
    assert {"run", "test"} <= named <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_files_that_documents_name_exist(document: str):
    text = (ROOT / document).read_text(encoding="utf-8")
    for name in re.findall(r"(?:app|benchmarks|checkpoints|datasets|docs|molgen|tests)/[\w./-]*\w", text):
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

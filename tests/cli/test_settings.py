"""Options made of the fields of settings."""

import json
import os
from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner

from molgen.cli import cli
from molgen.cli.settings import config_option, settings_options
from molgen.errors import InputError
from molgen.models.config import option


@dataclass(frozen=True)
class Common:
    rate: float = option(0.5, "How fast.")
    depth: int = option(3, "How deep.")


@dataclass(frozen=True)
class Own:
    depth: int = option(4, "How deep here.")
    new_field: bool = True  # without help
    name_of_it: str = "usual"


@click.command()
@settings_options({"": Common, "own": Own}, {"rate": 0.1})
def command(**flags: object) -> None:
    click.echo(json.dumps(flags))


def test_each_field_is_an_option_of_its_kind():
    answer = CliRunner().invoke(command, ["--depth", "7", "--new-field", "false", "--name-of-it", "x"])
    assert json.loads(answer.output) == {"rate": None, "depth": 7, "new_field": False, "name_of_it": "x"}
    assert CliRunner().invoke(command, ["--depth", "deep"]).exit_code == 2


def test_the_help_is_that_of_the_fields_with_all_defaults():
    lines = CliRunner().invoke(command, ["--help"], terminal_width=100).output.splitlines()
    shown = {line.split()[0]: " ".join(line.split()[2:]) for line in lines if "--" in line}
    assert shown["--rate"] == "How fast. [0.5; with --init 0.1]"
    assert shown["--depth"] == "How deep. [3, own 4]"
    assert shown["--new-field"] == "[own True]"


@click.command()
@click.argument("file")
@click.option("--num", type=int)
@click.option("--model", "model_name")
@click.option("--target", "targets", multiple=True)
@click.option("--likelihood", is_flag=True)
@click.option("--share", type=float, default=0.5)
@config_option
def made(**flags: object) -> None:
    click.echo(json.dumps(flags))


def ask(tmp_path, text: str, *arguments: str) -> dict:
    (tmp_path / "run.toml").write_text(text, encoding="utf-8")
    answer = CliRunner().invoke(made, ["x.smi", "--config", str(tmp_path / "run.toml"), *arguments])
    if isinstance(answer.exception, InputError):
        raise answer.exception
    return json.loads(answer.output)


def test_options_of_every_kind_may_stand_in_a_file_and_flags_win(tmp_path):
    text = 'num = 7\nmodel = "tiny"\ntarget = ["logp=2", "qed=0.5"]\nlikelihood = true\nshare = 1\n'
    wanted = {"num": 7, "model_name": "tiny", "targets": ["logp=2", "qed=0.5"], "likelihood": True, "share": 1.0}
    assert ask(tmp_path, text) == {"file": "x.smi", **wanted}
    changed = ask(tmp_path, text, "--num", "8", "--target", "qed=0.9")
    assert (changed["num"], changed["targets"], changed["share"]) == (8, ["qed=0.9"], 1.0)
    assert ask(tmp_path, 'target = "logp=2"\nlikelihood = false\n')["targets"] == ["logp=2"]
    assert ask(tmp_path, 'model_name = "tiny"\n')["model_name"] == "tiny"  # as in the files of before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nums = 7", r"run\.toml: unknown setting 'nums'; it takes likelihood, model, num, share, target$"),
        ('file = "y.smi"', "unknown setting 'file'"),
        ('config = "y.toml"', "unknown setting 'config'"),
        ('likelihood = "yes"', "likelihood should be true or false, got 'yes'"),
        ("num = [7]", "num should be a number, a text, true or false, got"),
        ("target = [[1]]", "target should be a number, a text, true or false, or a list of these, got"),
        ("[num]\nx = 1", "num should be a number"),
    ],
)
def test_a_file_with_a_mistake_names_it(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        ask(tmp_path, text)


@pytest.mark.skipif(os.name == "nt", reason="no named pipes")
def test_a_pipe_is_no_file_of_options(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    answer = CliRunner().invoke(made, ["x.smi", "--config", str(tmp_path / "pipe")])
    assert isinstance(answer.exception, InputError) and "should be a regular file" in str(answer.exception)


@pytest.mark.parametrize("name", ["generate", "score", "report", "train"])
def test_the_long_commands_take_a_file(name):
    command = cli.get_command(click.Context(cli), name)
    assert command is not None and any("--config" in option.opts for option in command.params)

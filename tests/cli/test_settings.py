"""Options made of the fields of settings."""

import json
from dataclasses import dataclass

import click
from click.testing import CliRunner

from molgen.cli.settings import settings_options
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

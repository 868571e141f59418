"""Options of a command that are the fields of settings, and the file that may hold them."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from molgen.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Command = TypeVar("Command", bound=Callable[..., object])


def settings_options(
    kinds: Mapping[str, type[DataclassInstance]], with_init: Mapping[str, object]
) -> Callable[[Command], Command]:
    """Adds an option for each field of some settings to a command; if omitted it is None.

    kinds: the dataclasses by whose settings they are, "" for everyone's; where several have a field, there is one
    option with the help of the first and the defaults of all. with_init: other defaults, of a training that starts
    from a model.
    """
    first: dict[str, dataclasses.Field[object]] = {}
    defaults: dict[str, list[str]] = {}
    for owner, kind in kinds.items():
        for field in dataclasses.fields(kind):
            first.setdefault(field.name, field)
            defaults.setdefault(field.name, []).append(f"{owner} {field.default}".strip())
    for name, default in with_init.items():
        defaults[name][-1] += f"; with --init {default}"

    def add(command: Command) -> Command:
        for name, field in reversed(first.items()):
            text = f"{field.metadata.get('help', '')}  [{', '.join(defaults[name])}]".strip()
            flag = "--" + name.replace("_", "-")
            command = click.option(flag, name, type=type(field.default), default=None, help=text)(command)
        return command

    return add


def take_config(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Make the entries of the TOML file the defaults of the other options; - and _ in their names are the same."""
    if path is None:
        return
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read as TOML ({error})") from None
    allowed = {option.name for option in context.command.params if option is not parameter and option.name}
    defaults: dict[str, object] = {}
    for key, value in record.items():
        name = key.replace("-", "_")
        if name not in allowed:
            raise InputError(f"{path}: unknown setting {key!r}; it takes {', '.join(sorted(allowed))}")
        if not isinstance(value, str | int | float):
            raise InputError(f"{path}: {key} should be a number, a text, true or false, got {value!r}")
        # as on the command line, where true is no number
        defaults[name] = value if name == "resume" else str(value).lower() if isinstance(value, bool) else str(value)
    context.default_map = defaults

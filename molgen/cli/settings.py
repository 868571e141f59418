"""Options of a command that are the fields of settings, and the file that may hold them."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from molgen.errors import InputError
from molgen.files import check_regular

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

STANDARDISE = (
    "Take the parent of each molecule, as RDKit's MolStandardize does: metals cut off, the largest organic fragment "
    "kept, charges neutralised where the whole is charged, isotopes made the usual ones; every change is counted."
)

MAX_CONFIG = 1_000_000  # bytes

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
    owners: dict[str, dict[str, list[str]]] = {}  # of each default of a field
    for owner, kind in kinds.items():
        for field in dataclasses.fields(kind):
            first.setdefault(field.name, field)
            owners.setdefault(field.name, {}).setdefault(str(field.default), []).append(owner)
    everyone = [owner for owner in kinds if owner]  # alike in all of several
    defaults = {
        name: ", ".join(
            value if who == [""] or (len(everyone) > 1 and who == everyone) else f"{' '.join(who)} {value}"
            for value, who in found.items()
        )
        for name, found in owners.items()
    }
    for name, default in with_init.items():
        defaults[name] += f"; with --init {default}"

    def add(command: Command) -> Command:
        for name, field in reversed(first.items()):
            text = f"{field.metadata.get('help', '')}  [{defaults[name]}]".strip()
            flag = "--" + name.replace("_", "-")
            command = click.option(flag, name, type=type(field.default), default=None, help=text)(command)
        return command

    return add


def take_config(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:
    """Make the entries of the TOML file the defaults of the other options; - and _ in their names are the same."""
    if path is None:
        return
    try:
        check_regular(path, MAX_CONFIG)
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read as TOML ({error})") from None
    options = {name: option for option in _options(context, parameter) for name in _names(option)}
    defaults: dict[str, object] = {}
    for key, value in record.items():
        option = options.get(key.replace("-", "_"))
        if option is None:
            allowed = sorted(_names(option)[0] for option in _options(context, parameter))
            raise InputError(f"{path}: unknown setting {key!r}; it takes {', '.join(allowed)}")
        defaults[str(option.name)] = _as_given(option, f"{path}: {key}", value)
    context.default_map = defaults


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    callback=take_config,
    help="TOML file with any of these options; flags win over it.",
)


def engine_options(command: Command) -> Command:
    """Adds the options that say where workers run; see `use_engine`."""
    command = click.option(
        "--address",
        help="With --engine ray: the cluster, as HOST:PORT; auto is the one that this machine belongs to.  [default: "
        "auto]",
    )(command)
    return click.option(
        "--engine",
        type=click.Choice(["processes", "ray"]),
        default="processes",
        show_default=True,
        help="What runs the workers: processes of this machine, or a Ray cluster (molgen-diffusion[cluster]), with one "
        "for each CPU if --workers is omitted. The result is the same.",
    )(command)


def use_engine(engine: str, address: str | None) -> None:
    """Let workers run where the options say until the command ends. Raises InputError for an address alone."""
    if engine == "ray":
        from molgen.cluster import on_cluster

        click.get_current_context().with_resource(on_cluster(address or "auto"))
    elif address is not None:
        raise InputError("--address only goes with --engine ray")


def _options(context: click.Context, config: click.Parameter) -> list[click.Option]:
    """The options that a file may hold: all but the one that names it."""
    return [option for option in context.command.params if isinstance(option, click.Option) and option is not config]


def _names(option: click.Option) -> list[str]:
    """What an option is called in a file: as its flag, or as its variable."""
    return [option.opts[0].lstrip("-").replace("-", "_"), str(option.name)]


def _as_given(option: click.Option, label: str, value: object) -> object:
    """The value of an entry as it would come from the command line. Raises InputError for one of another kind."""
    if option.is_flag:
        if not isinstance(value, bool):
            raise InputError(f"{label} should be true or false, got {value!r}")
        return value
    entries = value if option.multiple and isinstance(value, list) else [value]
    if not all(isinstance(entry, str | int | float) for entry in entries):
        kinds = "a number, a text, true or false" + (", or a list of these" if option.multiple else "")
        raise InputError(f"{label} should be {kinds}, got {value!r}")
    # as on the command line, where true is no number
    texts = [str(entry).lower() if isinstance(entry, bool) else str(entry) for entry in entries]
    return texts if option.multiple else texts[0]

"""Settings: fields of a flat frozen dataclass, each of which carries the text that explains it to a user."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from molgen.errors import InputError

Value = bool | int | float | str  # of a setting
Kind = TypeVar("Kind", bound=Value)


def option(default: Kind, help: str, *, least: float | None = None, kw_only: bool = False) -> Kind:
    """A field of a settings dataclass: its default, and one sentence on what it does (its metadata "help").

    least: the smallest value of a number (metadata "least"); by default 1 of an integer, and of others above 0.
    """
    return field(default=default, kw_only=kw_only, metadata={"help": help, "least": least})


@dataclass(frozen=True)
class BackendConfig:
    """Base of the settings of all model families: numbers, flags and names.

    known_parts: the networks see which atoms and bonds are known, and what is known of them.
    before: the values that stand for fields which a saved model lacks, as it was made before there was such a field.
    Raises InputError for a number that is too small or not finite.
    """

    before: ClassVar[Mapping[str, Value]] = {"known_parts": False}
    known_parts: bool = option(True, "Whether the network can be shown known parts.", kw_only=True)

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            value, least = getattr(self, one.name), one.metadata.get("least")
            if isinstance(value, str | bool):
                continue
            if least is None and isinstance(one.default, int):
                least = 1
            if not math.isfinite(value) or (value <= 0 if least is None else value < least):
                raise InputError(
                    f"{one.name} should be {'above 0' if least is None else f'at least {least:g}'}, got {value}"
                )

    @classmethod
    def names(cls) -> list[str]:
        """The names of all settings, the family's own first."""
        return [one.name for one in sorted(dataclasses.fields(cls), key=lambda one: one.kw_only is True)]

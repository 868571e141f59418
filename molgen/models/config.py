"""Settings: fields of a flat frozen dataclass, each of which carries the text that explains it to a user."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from molgen.errors import InputError

Value = bool | int | float | str  # of a setting
Kind = TypeVar("Kind", bound=Value)

NUMBERS = int | float
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
MOST = 10_000  # unless a setting says otherwise
MOST_LAYERS = 200


def option(
    default: Kind, help: str, *, least: float | None = None, most: float | None = None, kw_only: bool = False
) -> Kind:
    """A field of a settings dataclass: its default, and one sentence on what it does (its metadata "help").

    least, most: the smallest and the largest value of a number (metadata "least", "most"); by default 1 of an integer
    and above 0 of others, and MOST.
    """
    return field(default=default, kw_only=kw_only, metadata={"help": help, "least": least, "most": most})


@dataclass(frozen=True)
class BackendConfig:
    """Base of the settings of all model families: numbers, flags and names.

    known_parts: the networks see which atoms and bonds are known, and what is known of them. known_rings: whether
    drafts should have ring systems, and surroundings of atoms, of training molecules alone (`Drafts`).
    before: the values that stand for fields which a saved model lacks, as it was made before there was such a field.
    Raises InputError for a value of another type, and for a number that is too small, too large or not finite.
    """

    before: ClassVar[Mapping[str, Value]] = {"known_parts": False}
    known_parts: bool = option(True, "Whether the network can be shown known parts.", kw_only=True)
    known_rings: bool = option(
        False,
        "Whether the model is to prefer molecules whose ring systems, and atoms with their neighbours, are those of "
        "training molecules; for sets so large that hardly any real molecule has others.",
        kw_only=True,
    )

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            value, least = getattr(self, one.name), one.metadata.get("least")
            kind: type = type(one.default)
            fits = isinstance(value, NUMBERS if kind is float else kind) and isinstance(value, bool) == (kind is bool)
            if not fits:
                raise InputError(f"{one.name} should be {WORDS[kind]}, got {ascii(value)[:60]}")
            if isinstance(value, str | bool):
                continue
            most = MOST if one.metadata.get("most") is None else one.metadata["most"]
            if value > most:
                raise InputError(f"{one.name} should be at most {most:,}, got {ascii(value)[:60]}")
            if least is None and isinstance(one.default, int):
                least = 1
            if not (value > 0 if least is None else value >= least):  # also of what is not a number
                bound = "above 0" if least is None else f"at least {least:g}"
                raise InputError(f"{one.name} should be {bound}, got {ascii(value)[:60]}")

    @classmethod
    def names(cls) -> list[str]:
        """The names of all settings, the family's own first."""
        return [one.name for one in sorted(dataclasses.fields(cls), key=lambda one: one.kw_only is True)]

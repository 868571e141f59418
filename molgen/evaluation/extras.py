"""What a report or an objective can have where an optional package is installed."""

import importlib
import importlib.util
from collections.abc import Iterable
from types import ModuleType

from molgen.errors import InputError

EXTRAS = {"admet": "admet_ai", "buyable": "molbloom"}  # the extra of molgen-diffusion, and the module that it brings


def installed(extra: str) -> bool:
    """Whether the package of an extra is there; it is not imported."""
    return importlib.util.find_spec(EXTRAS[extra]) is not None


def require(extras: Iterable[str]) -> None:
    """Raises InputError for a name that is not among EXTRAS, and for an extra that is not installed."""
    for extra in extras:
        if extra not in EXTRAS:
            raise InputError(f"there is no {extra!r} to include; choose from {', '.join(EXTRAS)}", "include")
        if not installed(extra):
            raise _missing(extra)


def load(extra: str) -> ModuleType:
    """The module of an extra. Raises InputError where it cannot be imported."""
    try:
        return importlib.import_module(EXTRAS[extra])
    except ImportError:
        raise _missing(extra) from None


def _missing(extra: str) -> InputError:
    package = EXTRAS[extra].replace("_", "-")
    return InputError(f'the package {package} is not installed: pip install "molgen-diffusion[{extra}]"')

"""The model families. A new one is a folder here and one line in BACKENDS."""

from collections.abc import Callable

from molgen.errors import InputError
from molgen.models.base import Backend
from molgen.models.digress.model import DiGress
from molgen.models.edge.model import EDGE
from molgen.models.edpgnn.model import EDPGNN
from molgen.models.nvdiff.model import NVDiff

BACKENDS: dict[str, type[Backend]] = {"digress": DiGress, "edge": EDGE, "edpgnn": EDPGNN, "nvdiff": NVDiff}


def family(name: str) -> type[Backend]:
    """The backend of a name. Raises InputError for an unknown one."""
    if name not in BACKENDS:
        raise InputError(f"unknown backend {name!r}; choose from {', '.join(BACKENDS)}")
    return BACKENDS[name]


def families(can: Callable[[type[Backend]], bool]) -> str:
    """The names of the families that can do something, in words, such as "digress, edge and edpgnn"."""
    names = [name for name, kind in BACKENDS.items() if can(kind)]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "no"

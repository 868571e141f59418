"""The model families. A new one is a folder here and one line in BACKENDS."""

from molgen.backends.base import Backend
from molgen.backends.digress import DiGress

BACKENDS: dict[str, type[Backend]] = {"digress": DiGress}

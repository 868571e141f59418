"""The model families. A new one is a folder here and one line in BACKENDS."""

from typing import Any

from molgen.backends.digress import DiGress

# classes that follow molgen.backends.base.Backend
BACKENDS: dict[str, Any] = {"digress": DiGress}

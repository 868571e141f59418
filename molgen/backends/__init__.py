"""The model families. A new one is a folder here and one line in BACKENDS."""

from typing import Any

from molgen.backends.digress import DiGress
from molgen.backends.edge import EDGE
from molgen.backends.edpgnn import EDPGNN
from molgen.backends.nvdiff import NVDiff

# classes that follow molgen.backends.base.Backend
BACKENDS: dict[str, Any] = {"digress": DiGress, "edge": EDGE, "edpgnn": EDPGNN, "nvdiff": NVDiff}

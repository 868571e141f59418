"""The model families. A new one is a folder here and one line in BACKENDS."""

from molgen.backends.base import Backend
from molgen.backends.digress import DiGress
from molgen.backends.edge import EDGE
from molgen.backends.edpgnn import EDPGNN
from molgen.backends.nvdiff import NVDiff

BACKENDS: dict[str, type[Backend]] = {"digress": DiGress, "edge": EDGE, "edpgnn": EDPGNN, "nvdiff": NVDiff}

"""The model families. A new one is a folder here and one line in BACKENDS."""

from molgen.models.base import Backend
from molgen.models.digress.model import DiGress
from molgen.models.edge.model import EDGE
from molgen.models.edpgnn.model import EDPGNN
from molgen.models.nvdiff.model import NVDiff

BACKENDS: dict[str, type[Backend]] = {"digress": DiGress, "edge": EDGE, "edpgnn": EDPGNN, "nvdiff": NVDiff}

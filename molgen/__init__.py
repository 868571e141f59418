"""molgen: generate new molecules with graph diffusion models, and judge them.

>>> import molgen
>>> model = molgen.load_model("qm9-digress")
>>> molecules = model.sample(4, seed=7, steps=10)
>>> molecules.summary.requested
4

`molecules.smiles`, `.mols`, `.frame()` and `.reasons` are what came out. `molgen.score`, `molgen.report`,
`molgen.generate` (into a file), `molgen.optimize`, `molgen.train` and `molgen.prepare` are the commands of the same
names; in a `with molgen.on_cluster(address):` they work on a Ray cluster.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molgen.api import generate, list_models, load_model, on_cluster, optimize, prepare, report, score, train

__version__ = "0.1.0"
__all__ = ["generate", "list_models", "load_model", "on_cluster", "optimize", "prepare", "report", "score", "train"]


def __getattr__(name: str) -> object:
    """The public functions, imported at their first use: `import molgen` alone loads neither torch nor RDKit."""
    if name in __all__:
        return getattr(importlib.import_module("molgen.api"), name)
    raise AttributeError(f"module 'molgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

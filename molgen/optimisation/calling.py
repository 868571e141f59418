"""The process in which a user's Python function runs. It imports little, since it is started anew after a crash."""

from __future__ import annotations

import importlib
import math
import os
import sys
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

from molgen.errors import MolgenError
from molgen.workers import Failed, Pipe


@dataclass(frozen=True)
class Ready:
    """A worker's message: it has imported the function from the file at `path`."""

    path: str


def serve(pipe: Pipe, folder: str, module: str, name: str) -> None:
    """A worker: import a function of a module, looked for in the folder first, and apply it to each list that comes.

    It answers with a list of floats, NaN for what is no finite number, or with `Failed`.
    """
    os.dup2(2, 1)  # what the function prints must not mix with what the command prints
    sys.path.insert(0, folder)
    try:
        found = importlib.import_module(module)
        own = Path(folder, *module.split(".")).with_suffix(".py")
        source = Path(getattr(found, "__file__", None) or sys.executable).resolve()
        if own.is_file() and not source.is_relative_to(Path(folder).resolve()):
            raise ImportError(f"another module is called {module}; give {own.name} another name")
        function = getattr(found, name)
        if not callable(function):
            raise TypeError(f"{module}.{name} is not a function")
    except Exception as error:  # whatever importing somebody's code raises
        pipe.send(Failed(MolgenError(f"{type(error).__name__}: {error}")))
        return
    pipe.send(Ready(str(getattr(found, "__file__", ""))))
    while True:
        smiles = pipe.recv()
        try:
            pipe.send([finite(value) for value in function(list(smiles))])
        except Exception as error:  # whatever somebody's code raises
            pipe.send(Failed(MolgenError(f"{type(error).__name__}: {error}")))


def finite(value: object) -> float:
    """A number that somebody's program gave; NaN for what is none, or not finite."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    number = float(value)
    return number if math.isfinite(number) else math.nan

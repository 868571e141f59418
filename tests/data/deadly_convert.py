"""Stand in for `molgen.data.importing.convert` and `molgen.data.measured.measure` in worker processes.

A file of its own, so that they start without torch.
"""

import os
import signal
import time

import numpy as np

from molgen.data.importing import Converted, Criteria, convert
from molgen.data.measured import measure
from molgen.data.readers import Row


def deadly(rows: list[Row], criteria: Criteria) -> Converted:
    """Kills its process on one molecule and hangs on another."""
    for row in rows:
        if row.text == "[Po]":
            os.kill(os.getpid(), signal.SIGTERM if os.name == "nt" else signal.SIGSEGV)
        if row.text == "[At]":
            time.sleep(600)
    return convert(rows, criteria)


def deadly_measure(smiles: list[str]) -> np.ndarray:
    """Kills its process on one molecule."""
    if "CCO" in smiles:
        os.kill(os.getpid(), signal.SIGTERM if os.name == "nt" else signal.SIGSEGV)
    return measure(smiles)

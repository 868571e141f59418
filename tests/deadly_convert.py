"""Stands in for `molgen.importing.convert` in worker processes; a file of its own, so that they start without torch."""

import os
import signal
import time

from molgen.importing import Converted, Settings, convert


def deadly(texts: list[tuple[str, bool]], settings: Settings) -> Converted:
    """Kills its process on one molecule and hangs on another."""
    for text, _ in texts:
        if text == "[Po]":
            os.kill(os.getpid(), signal.SIGTERM if os.name == "nt" else signal.SIGSEGV)
        if text == "[At]":
            time.sleep(600)
    return convert(texts, settings)

"""How long work tells how far it is."""

from collections.abc import Callable

# progress(stage, done, total): what is being done, how many of it are done, of how many (None: not known)
Progress = Callable[[str, int, int | None], object]

"""How much is spent on a molecule, in words: network evaluations and what the model's card says of them."""

from typing import NamedTuple

from molgen.errors import InputError
from molgen.models.checkpoints import Model

EFFORTS = {"fast": 0.4, "balanced": 1.0, "best": 2.0}  # times the usual number, where the card has none


class Effort(NamedTuple):
    """steps: network evaluations of a molecule; measured: what the card says of its molecules, "" for nothing."""

    steps: int
    measured: str


def efforts(model: Model) -> dict[str, Effort]:
    """The efforts for a model, in order: those that its card has figures of, or multiples of its usual number."""
    noted = model.card.get("effort")
    noted = noted if isinstance(noted, dict) else {}
    return {name: _effort(model, noted.get(name), times) for name, times in EFFORTS.items()}


def steps_of(model: Model, effort: str) -> int:
    """Network evaluations of an effort. Raises InputError for one that is not in EFFORTS."""
    if effort not in EFFORTS:
        raise InputError(f"effort should be one of {', '.join(EFFORTS)}, got {effort!r}")
    return efforts(model)[effort].steps


def _effort(model: Model, noted: object, times: float) -> Effort:
    """A card is a stranger's: what it says counts only where it can be."""
    most = model.backend.max_steps
    if isinstance(noted, dict):
        steps = noted.get("steps")
        if isinstance(steps, int) and not isinstance(steps, bool) and 1 <= steps <= most:
            figures = {str(key): value for key, value in noted.items() if key != "steps"}
            return Effort(steps, ", ".join(f"{key} {value}" for key, value in figures.items()))
    return Effort(min(most, max(1, round(times * model.backend.default_steps))), "")

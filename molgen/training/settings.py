"""How to train, whatever the model family."""

import math
from dataclasses import dataclass

from molgen.errors import InputError
from molgen.models.config import option

# batches and noise must stay the same for a resumed run to be the same run; how long and how fast it learns may change
CHANGEABLE = (
    *("epochs", "evaluations", "checkpoint_minutes", "learning_rate", "matrix_rate", "decay", "ema", "clip"),
    "patience",
)


@dataclass(frozen=True)
class TrainSettings:
    """How to train. The averaged weights are measured and kept; with patience, those of the best measurement.

    warmup counts steps; ema is the decay of the averaged weights per step; patience 0 never stops early.
    Raises InputError for a value out of range.
    """

    epochs: float = option(40.0, "Passes over the data.")
    batch_size: int = option(512, "Molecules per step.")
    matrix_rate: float = option(5e-3, "Peak learning rate of the large matrices (Muon).")
    learning_rate: float = option(2e-3, "Peak learning rate of all other weights (AdamW).")
    warmup: int = option(200, "Steps until the learning rate is at its peak.")
    decay: float = option(0.6, "Share of the run, at its end, in which the learning rate falls to zero.")
    weight_decay: float = option(0.01, "Pull of the weights towards zero.")
    ema: float = option(0.999, "Memory of the averaged weights, which are the ones kept.")
    clip: float = option(1.0, "Largest gradient norm.")
    seed: int = option(0, "Seed of weights, order and noise.")
    evaluations: int = option(20, "How many times in the run the model is measured.")
    patience: int = option(
        0,
        "Stop after so many measurements without a smaller validation loss, with the best weights; 0: never.",
    )
    checkpoint_minutes: float = option(3.0, "Minutes between saved states.")
    known_share: float = option(
        0.5, "Share of the molecules of which a part is shown as known: what cores and formulas need later."
    )
    target_share: float = option(
        2 / 3, "Share of the molecules that come with some of their properties: what targets need later."
    )

    def __post_init__(self) -> None:
        limits = {
            "epochs": self.epochs > 0,
            "batch_size": self.batch_size >= 1,
            "matrix_rate": self.matrix_rate > 0,
            "learning_rate": self.learning_rate > 0,
            "warmup": self.warmup >= 0,
            "decay": 0 <= self.decay <= 1,
            "weight_decay": self.weight_decay >= 0,
            "ema": 0 <= self.ema < 1,
            "clip": self.clip > 0,
            "seed": 0 <= self.seed < 2**40,
            "evaluations": self.evaluations >= 1,
            "patience": self.patience >= 0,
            "checkpoint_minutes": self.checkpoint_minutes > 0,
            "known_share": 0 <= self.known_share <= 1,
            "target_share": 0 <= self.target_share <= 1,
        }
        for name, fine in limits.items():
            if not fine or not math.isfinite(getattr(self, name)):
                raise InputError(f"{name} cannot be {getattr(self, name)}")

    def rate_scale(self, step: int, steps: int) -> float:
        """Share of the peak learning rates after `step` steps of `steps`: warm-up, constant, decay to zero, linear."""
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        left = (steps - step) / max(1.0, self.decay * steps)
        return min(warm, 1.0, left)

"""What to know before a training: whether the size of the model suits the data, and how long it takes here."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from molgen.training.setup import Setup

CHECK_MINUTES = 0.25
MANY = 200  # parameters for each training molecule


@dataclass(frozen=True)
class Check:
    """molecules: trained on; rate: of them, per second on this machine; minutes: of the steps, measuring not counted.

    too_large: whether a network with random weights has too many parameters for the molecules.
    """

    molecules: int
    parameters: int
    rate: float
    steps: int
    minutes: float
    too_large: bool


def check(setup: Setup) -> Check:
    """Train for some seconds, in a folder that is deleted again. The weights of the setup's backend change."""
    molecules, parameters = len(setup.train), setup.parameters
    with tempfile.TemporaryDirectory(prefix="molgen-") as folder:
        trainer = setup.trainer(Path(folder))
        trainer.run(max_minutes=CHECK_MINUTES)
    rate = trainer.graphs / trainer.seconds
    return Check(
        molecules=molecules,
        parameters=parameters,
        rate=rate,
        steps=trainer.steps,
        minutes=trainer.steps * trainer.graphs / trainer.step / rate / 60,
        too_large=setup.first is None and parameters > MANY * molecules,
    )

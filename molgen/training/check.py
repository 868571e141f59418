"""What to know before a training: what its data suggest for it, and how long it takes here."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from molgen.training.setup import Setup
from molgen.training.verdict import Verdict, verdict

CHECK_MINUTES = 0.25


@dataclass(frozen=True)
class Check:
    """molecules: trained on; rate: of them, per second on this machine; minutes: of the steps, measuring not counted.

    too_large: whether a network with random weights has too many parameters for the molecules. verdict: what the data
    suggest; suggested_minutes: of that many epochs, without the sizes that are not worth their time.
    """

    molecules: int
    parameters: int
    rate: float
    steps: int
    minutes: float
    too_large: bool
    verdict: Verdict
    suggested_minutes: float


def check(setup: Setup) -> Check:
    """Train for some seconds, in a folder that is deleted again. The weights of the setup's backend change."""
    molecules, parameters = len(setup.train), setup.parameters
    found = verdict(setup.train, setup.backend_name, parameters, tuning=setup.first is not None)
    # with one measurement, at the end: the time is for steps
    setup = replace(setup, settings=replace(setup.settings, evaluations=1))
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
        too_large=setup.first is None and not found.enough,
        verdict=found,
        suggested_minutes=found.epochs * molecules * (1 - (found.sizes.cost if found.sizes else 0)) / rate / 60,
    )

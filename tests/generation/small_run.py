"""Runs of the fake model, with settings that a test changes where it wants to."""

from pathlib import Path

import pandas as pd

from molgen.generation.runs import Record, run
from molgen.generation.sampling import Shards
from molgen.generation.settings import Settings, make_settings
from molgen.models.checkpoints import Model
from molgen.progress import Progress
from tests.generation.fake_model import fake_model

MODEL = fake_model()
MODEL_THAT_DIES = fake_model(dies=True)


def settings(**changes: object) -> Settings:
    return make_settings(MODEL, **({"num": 700, "seed": 5, "device": "cpu"} | changes))


def generate(path: Path, model: Model = MODEL, **changes: object) -> Record:
    """The record of a run of `settings(**changes)`; workers, overwrite and progress go to the run."""
    options = {name: changes.pop(name) for name in ("workers", "overwrite", "progress") if name in changes}
    return run(model, settings(**changes), path, **options).record


def all_samples(**changes: object) -> pd.DataFrame:
    return pd.concat(Shards(MODEL, settings(**changes)).draw_all(), ignore_index=True)


class StoppedError(Exception):
    """Ends a run in the middle."""


def stop_after(samples: int) -> Progress:
    def progress(stage: str, done: int, total: int | None) -> None:
        if done >= samples:
            raise StoppedError

    return progress

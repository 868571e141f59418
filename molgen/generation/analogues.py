"""How far a lead is noised, so that what comes back is as similar to it as was asked for."""

from __future__ import annotations

import dataclasses

import numpy as np

from molgen.device import pick_device
from molgen.errors import InputError
from molgen.generation.leads import NOISES
from molgen.generation.sampling import Shards
from molgen.generation.settings import Settings
from molgen.models.checkpoints import Model
from molgen.progress import Progress, silent

TRIED = 32  # molecules at each noise


def with_noise(model: Model, settings: Settings, progress: Progress = silent) -> Settings:
    """The settings with the noise, of NOISES, at which most of a few molecules come through the filter.

    Without a lead, or where the noise is known, they are returned as they are. The noise does not depend on the seed.
    progress: of the molecules tried. Raises InputError where at no noise a molecule comes through.
    """
    if settings.like is None or settings.noise is not None:
        return settings
    here = "cpu" if settings.device == "cpu" else pick_device("auto").type  # workers elsewhere may have what we lack
    few = dataclasses.replace(settings, device=here, samples=TRIED, unique=None, seed=0)
    few = dataclasses.replace(few, likelihood=False, stereo=None, three_d=None)
    shares = []
    for number, noise in enumerate(NOISES):
        progress(f"how far to change {settings.like}", number * TRIED, len(NOISES) * TRIED)
        frame = Shards(model, dataclasses.replace(few, noise=noise)).draw(0)
        passed = frame[(frame.reason == "") & (frame.stopped_by < 0)]
        shares.append(passed["smiles"].nunique())
    if not any(shares):
        raise InputError(
            f"of {len(NOISES) * TRIED} molecules made from {settings.like} none is another one with similarity "
            f"{settings.similarity} that passes; ask for a wider range, or keep less"
        )
    return dataclasses.replace(settings, noise=NOISES[int(np.argmax(shares))])

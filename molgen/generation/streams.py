"""Random streams of a run. Each depends on the run's seed, the shard and its purpose alone."""

from typing import Literal

import numpy as np
import torch

# a stream of its own for each purpose, so that asking for likelihoods changes no molecule
Purpose = Literal["sizes", "graphs", "likelihood", "targets", "excerpts", "judge"]
KEYS: dict[Purpose, int] = {"sizes": 0, "graphs": 1, "likelihood": 2, "targets": 3, "excerpts": 4, "judge": 5}


def stream(seed: int, shard: int, purpose: Purpose) -> np.random.SeedSequence:
    """Where the random numbers of one purpose come from."""
    return np.random.SeedSequence(seed, spawn_key=(shard, KEYS[purpose]))


def torch_generator(seed: int, shard: int, purpose: Purpose) -> torch.Generator:
    """The same as a generator of torch: on the CPU whatever the device of the model, which gets the same draws."""
    state = stream(seed, shard, purpose).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))

"""A model that draws random chains of C, N and O, some with a bond too many, from the generator it is given alone.

As a program, `fake_model.py OUTPUT NUM DELAY`, it makes a run that a test can kill.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from molgen.data.dataset import Statistics
from molgen.models.base import BackendConfig, Bound
from molgen.models.checkpoints import Model
from molgen.molecules.graph import GraphBatch, pair_count, pair_indices
from molgen.molecules.hashing import smiles_hashes
from molgen.molecules.vocabulary import AtomClass, Vocabulary

KNOWN = ["C", "O", "CO", "CC", "CCO"]
SIZES = (0, 1, 1, 4, 8, 8)


class FakeBackend(torch.nn.Module):
    samplers = ("plain", "other")
    default_steps = 4
    max_steps = 50
    # it takes formulas and cores, and does not keep to them
    requests = ("formula",)
    starts = False
    chooses = False
    config = BackendConfig(known_parts=True)
    keeps_parts = False
    targets = ()
    device = torch.device("cpu")

    def __init__(self, delay: float = 0.0, dies: bool = False) -> None:
        super().__init__()
        self.delay = delay  # seconds for each batch
        self.dies = dies

    def sample(
        self,
        size,
        count,
        *,
        steps,
        sampler,
        generator,
        callback=None,
        request=None,
        condition=None,
        guidance=0.0,
        start=None,
        drafts=None,
    ) -> GraphBatch:
        if self.dies:
            os._exit(1)
        time.sleep(self.delay)
        nodes = torch.randint(3, (count, size), generator=generator)
        first, second = pair_indices(size)
        pairs = (second == first + 1).long().expand(count, pair_count(size)).clone()
        if size > 2:
            spoiled = torch.rand(count, generator=generator) < 0.3
            place = torch.randint(pair_count(size), (count,), generator=generator)
            pairs[torch.arange(count)[spoiled], place[spoiled]] = 3 if sampler == "plain" else 0
        batch = GraphBatch(nodes, pairs)
        for step in range(steps):
            if callback is not None:
                callback(step + 1, steps, lambda: batch)
        return batch

    def likelihood(self, batch, *, draws, generator) -> Bound:
        noise = torch.rand(len(batch), generator=generator)
        return Bound(batch.nodes.sum(1) + noise, torch.full((len(batch),), 1 / draws))


def fake_model(delay: float = 0.0, dies: bool = False) -> Model:
    return Model(
        name="fake",
        path=Path("fake"),
        backend_name="chains",
        backend=FakeBackend(delay, dies),
        vocabulary=Vocabulary((AtomClass("C", 0), AtomClass("N", 0), AtomClass("O", 0))),
        statistics=Statistics(SIZES, (0.4, 0.3, 0.3), (0.5, 0.5, 0.0, 0.0)),
        card={"name": "fake", "backend": "chains"},
        known=np.sort(smiles_hashes(KNOWN)),
        weights_sha256="0" * 64,
    )


if __name__ == "__main__":
    from molgen.generation.runs import run
    from molgen.generation.settings import make_settings

    slow = fake_model(float(sys.argv[3]))
    run(slow, make_settings(slow, num=int(sys.argv[2]), device="cpu"), sys.argv[1])

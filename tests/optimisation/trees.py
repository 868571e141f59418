"""A model that draws trees of C, N and O around what it is told is known, from the generator it is given alone.

As a program, `python -m tests.optimisation.trees OBJECTIVE FOLDER BUDGET`, it makes a search that a test can kill.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from molgen.data.dataset import Statistics, TargetStatistics
from molgen.models.base import BackendConfig, Bound
from molgen.models.checkpoints import Model
from molgen.molecules.graph import GraphBatch, from_square, to_square
from molgen.molecules.hashing import smiles_hashes
from molgen.molecules.vocabulary import AtomClass, Vocabulary

SIZES = (0, 0, 0, 0, 1, 2, 3, 4, 4, 3, 2, 1)
OPTIONS = {"batch": 12, "population": 20, "seed": 3}


class Trees(torch.nn.Module):
    samplers = ("plain",)
    default_steps = 4
    max_steps = 50
    requests = ()
    starts = True
    chooses = False
    config = BackendConfig(known_parts=True)
    keeps_parts = True
    targets = ("logp",)
    device = torch.device("cpu")

    def __init__(self) -> None:
        super().__init__()
        self.told: list[float] = []  # targets that it was asked for

    def sample(self, size, count, *, steps, sampler, generator, condition=None, guidance=0.0, start=None, **_):
        nodes = torch.randint(3, (count, size), generator=generator)
        bonds = torch.zeros(count, size, size, dtype=torch.int64)
        free = torch.ones(count, size, size, dtype=torch.bool)
        known = torch.zeros(count, size, dtype=torch.bool)
        if condition is not None:
            free, known = ~to_square(condition.known_pairs, size), condition.known_nodes
            self.told += condition.targets[condition.targets.isfinite()].tolist()
        if start is not None:
            changed = torch.rand(count, size, generator=generator) < start.noise / 2
            nodes = torch.where(changed, nodes, start.graph.nodes)
            bonds = start.graph.bonds().clone()
        for row in range(count):
            for node in range(size):
                if known[row, node] or bonds[row, node].any():
                    continue
                earlier = torch.arange(size) < node
                partners = (free[row, node] & (known[row] | earlier)).nonzero()[:, 0]
                if len(partners):
                    partner = partners[torch.randint(len(partners), (1,), generator=generator)]
                    bonds[row, node, partner] = bonds[row, partner, node] = 1
        graph = GraphBatch(nodes, from_square(bonds))
        return graph if condition is None else condition.hold(graph)

    def likelihood(self, batch, *, draws, generator) -> Bound:
        return Bound(batch.nodes.sum(1).float(), torch.full((len(batch),), 1 / draws))


def model(**changes) -> Model:
    """A new one, with attributes of the backend changed."""
    backend = Trees()
    for name, value in changes.items():
        setattr(backend, name, value)
    statistics = Statistics(
        SIZES, (0.6, 0.2, 0.2), (0.5, 0.5, 0.0, 0.0), (TargetStatistics("logp", 0.0, 1.0, -2.0, 2.0),)
    )
    backend.statistics = statistics
    return Model(
        name="trees",
        path=Path("trees"),
        backend_name="trees",
        backend=backend,
        vocabulary=Vocabulary((AtomClass("C", 0), AtomClass("N", 0), AtomClass("O", 0))),
        statistics=statistics,
        card={"name": "trees", "backend": "trees"},
        known=np.sort(smiles_hashes(["CCCC", "CCO"])),
        weights_sha256="0" * 64,
        ring_systems=np.sort(smiles_hashes(["c1ccccc1"])),
    )


if __name__ == "__main__":
    from molgen.optimisation.run import optimise

    optimise(model(), sys.argv[1], sys.argv[2], budget=int(sys.argv[3]), **OPTIONS)

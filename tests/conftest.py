"""A small world that every test can use: a few real molecules and an untrained model of each backend."""

import os

# before torch is loaded: its threads would wait for each other at tests as small as these
os.environ.setdefault("OMP_NUM_THREADS", "1")

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from molgen.data.dataset import GraphDataset, Statistics, TargetStatistics, group_by_size
from molgen.models.checkpoints import build_backend, save_checkpoint
from molgen.models.registry import BACKENDS
from molgen.molecules.encoding import mol_to_graph
from molgen.molecules.hashing import smiles_hashes
from molgen.molecules.parsing import clean, parse_smiles
from molgen.molecules.vocabulary import AtomClass, Vocabulary

SMILES = [
    "C", "O", "CC", "C#N", "CCO", "C1CC1", "CC(=O)N", "c1ccco1", "c1ccncc1", "Cc1ccccc1", "C[N+](C)(C)CC(=O)[O-]",
    "OC1CC1O", "N#CC1CN1", "FC(F)F", "CC1=CCOC1", "O=C1CCCN1", "c1cnoc1C",
]  # fmt: skip

# small enough for a test, with every part of the network in it
SIZES = {"layers": 2, "width": 32, "pair_width": 16, "heads": 4, "triangles": 4}
LATENT = {"layers": 2, "width": 32, "heads": 4, "latent": 8, "encoder_layers": 2, "encoder_width": 32}
LATENT |= {"decoder_layers": 1, "decoder_width": 16, "pair_width": 8}
TINY = {
    "digress": SIZES,
    "edge": {"layers": 2, "width": 32, "heads": 4, "node_width": 16},
    "edpgnn": SIZES,
    "nvdiff": LATENT,
}
# what else there is of a family, mostly methods as their authors have them: the family, and what chooses it
VARIANTS = {
    "edpgnn as published": ("edpgnn", {"process": "published"}),
    "edge as published": ("edge", {"process": "published", "timesteps": 24}),
    "edge with pairs": ("edge", {"pair_width": 16, "triangles": 4}),
    "digress as published": ("digress", {"network": "published", "global_width": 8}),
}


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return Vocabulary(tuple(AtomClass(*atom) for atom in [("C", 0), ("N", 0), ("O", 0), ("F", 0), ("N", 1), ("O", -1)]))


@pytest.fixture(scope="session")
def dataset(vocabulary) -> GraphDataset:
    graphs = (mol_to_graph(clean(parse_smiles(smiles)).mol, vocabulary.index) for smiles in SMILES)
    return group_by_size(vocabulary, graphs)


@pytest.fixture(scope="session")
def statistics(dataset) -> Statistics:
    """Of the data set, with two properties that a model can be told."""
    targets = (TargetStatistics("hydrogens", 6.0, 3.0, 1.0, 11.0), TargetStatistics("logp", 0.0, 1.0, -2.0, 2.0))
    return replace(dataset.statistics(), targets=targets)


@pytest.fixture(scope="session")
def plain_model(dataset, vocabulary, tmp_path_factory) -> Path:
    """The folder of an untrained DiGress that was not taught to take cores and targets."""
    torch.manual_seed(0)
    backend = build_backend("digress", TINY["digress"] | {"known_parts": False}, vocabulary, dataset.statistics())
    folder = tmp_path_factory.mktemp("models") / "plain"
    weights, known = backend.state_dict(), np.unique(smiles_hashes(SMILES))
    made_of = {"vocabulary": vocabulary, "statistics": dataset.statistics()}
    about = {"known": known, "card": {"name": "plain", "backend": "digress"}}
    save_checkpoint(folder, backend_name="digress", backend=backend, weights=weights, **made_of, **about)
    return folder


@pytest.fixture(params=[*BACKENDS, *VARIANTS])
def backend(request, vocabulary, statistics):
    """An untrained model whose outputs nevertheless depend on its inputs (the heads start at zero otherwise)."""
    torch.manual_seed(0)
    name, choice = VARIANTS.get(request.param, (request.param, {}))
    kind = BACKENDS[name]
    model = kind(kind.Config(**{**TINY[name], **choice}), vocabulary, statistics)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()

"""The moves with every family of models: what is known stays, from untrained networks as well."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from molgen.models.checkpoints import Model
from molgen.optimisation.log import Log
from molgen.optimisation.moves import Moves
from molgen.optimisation.objective import parse_objective
from molgen.optimisation.scorers import Place
from molgen.optimisation.search import Search, SearchSettings
from tests.optimisation.trees import model


@pytest.fixture
def made(backend, vocabulary, statistics) -> Model:
    return replace(model(), name="tiny", backend=backend, vocabulary=vocabulary, statistics=statistics)


def test_what_is_known_stays(made, tmp_path):
    objective = parse_objective('[[component]]\nproperty = "qed"', "o.toml", Place(made, tmp_path))
    moves = Moves(made, None, {"logp": 1.0})
    parents = [moves.parent(1, "O=C1CCCN1"), moves.parent(2, "CC(=O)N")]
    random = np.random.default_rng(0)
    with Log(tmp_path / "log") as log:
        search = Search(made, objective, SearchSettings(made.backend.samplers[0], 2, 0, "cpu"), log)
        search.moves = moves
        for move in moves.names:
            plans = [moves.plan(move, parents, 0.5, random) for _ in range(3)]
            for plan in plans:
                graphs = search._sample([plan, plan], torch.Generator().manual_seed(0))
                assert graphs.size == plan.size and len(graphs) == 2
                if made.backend.keeps_parts:
                    assert (graphs.nodes.numpy() == plan.nodes)[:, plan.known_nodes].all(), move
                    assert (graphs.pairs.numpy() == plan.pairs)[:, plan.known_pairs].all(), move
            for smiles in search.draw(plans, torch.Generator().manual_seed(0)):
                assert isinstance(smiles, str)

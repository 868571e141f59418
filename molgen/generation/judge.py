"""Of molecules that nothing is asked of, those that a model draws too often are refused in part, and drawn anew.

A molecule is kept with a probability in proportion to its critic's odds, so that what is kept is distributed as the
density of the model times these odds (discriminator rejection sampling, Azadi et al. 2019). As exact odds have no
bound, those above SURE count as SURE.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from molgen.generation.wanted import Wanted
from molgen.models.checkpoints import Model
from molgen.molecules.critic import Critic
from molgen.molecules.encoding import GraphDecoder
from molgen.molecules.graph import GraphBatch
from molgen.molecules.vocabulary import Vocabulary

SURE = 1.5  # odds of a molecule that is kept in any case


class Judge:
    """most: how often a molecule is drawn at most; the last is kept, whatever it is."""

    def __init__(self, critic: Critic, vocabulary: Vocabulary, most: int) -> None:
        self._critic, self._decoder, self._most = critic, GraphDecoder(vocabulary), most

    def kept(
        self, first: GraphBatch, draw: Callable[[np.ndarray], GraphBatch], random: np.random.Generator
    ) -> GraphBatch:
        """The first graphs, with others in the place of those refused; draw: new ones for rows, int64 [r]."""
        graphs, rows = first, self._refused(first, random)
        for _ in range(self._most - 1):
            if not len(rows):
                break
            drawn = draw(rows)
            graphs = graphs.put(torch.from_numpy(rows).to(drawn.nodes.device), drawn)
            rows = rows[self._refused(drawn, random)]
        return graphs

    def _refused(self, graphs: GraphBatch, random: np.random.Generator) -> np.ndarray:
        """Rows of the graphs that are refused, int64 [r]; what is no valid molecule is always."""
        mols = [
            self._decoder.decode_mol(nodes, pairs)[1]
            for nodes, pairs in zip(graphs.nodes.cpu().numpy(), graphs.pairs.cpu().numpy(), strict=True)
        ]
        odds = np.exp([-np.inf if mol is None else self._critic.log_odds(mol) for mol in mols])
        return np.flatnonzero(odds < SURE * random.random(len(mols)))


def judge(model: Model, wanted: Wanted, sampler: str, most: int | None) -> Judge | None:
    """What refuses molecules of a model, None where it has no critic, or one of other molecules than these."""
    if model.critic is None or not wanted.is_free or sampler != model.backend.samplers[0] or most in (None, 1):
        return None
    return Judge(model.critic, model.vocabulary, most)

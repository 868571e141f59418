"""Where nothing is asked for, some of the molecules that a model draws too often are refused and drawn anew.

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
from molgen.models.critic import Critic
from molgen.molecules.encoding import GraphDecoder
from molgen.molecules.graph import GraphBatch
from molgen.molecules.hashing import smiles_hashes
from molgen.molecules.substructures import parts
from molgen.molecules.vocabulary import Vocabulary

SURE = 1.5  # odds of a molecule that is kept in any case


class Judge:
    """most: how often a molecule is drawn at most; after that the last one that is valid is kept."""

    def __init__(self, critic: Critic, vocabulary: Vocabulary, most: int) -> None:
        self._critic, self._decoder, self._most = critic, GraphDecoder(vocabulary), most

    def kept(
        self, first: GraphBatch, draw: Callable[[np.ndarray], GraphBatch], random: np.random.Generator
    ) -> GraphBatch:
        """The first graphs, with others in the place of those refused; draw: new ones for rows, int64 [r].

        What is no valid molecule is always refused.
        """
        graphs, odds = first, self._log_odds(first)
        rows = np.flatnonzero(_refused(odds, random))
        for _ in range(self._most - 1):
            if not len(rows):
                break
            drawn = draw(rows)
            new = self._log_odds(drawn)
            taken = np.isfinite(new) | ~np.isfinite(odds[rows])
            places = torch.from_numpy(np.flatnonzero(taken)).to(drawn.nodes.device)
            graphs = graphs.put(torch.from_numpy(rows[taken]).to(drawn.nodes.device), drawn[places])
            odds[rows[taken]] = new[taken]
            rows = rows[_refused(new, random)]
        return graphs

    def _log_odds(self, graphs: GraphBatch) -> np.ndarray:
        """Of each graph, float64 [b]; of what is no valid molecule -infinity."""
        odds = np.full(len(graphs), -np.inf)
        for row, graph in enumerate(zip(graphs.nodes.cpu().numpy(), graphs.pairs.cpu().numpy(), strict=True)):
            mol = self._decoder.decode_mol(*graph)[1]
            if mol is not None:
                odds[row] = self._critic.log_odds(graphs.size, smiles_hashes(parts(mol)))
        return odds


def judge(model: Model, wanted: Wanted, sampler: str, most: int | None) -> Judge | None:
    """What refuses molecules of a model, None where it has no critic, or one of other molecules than these."""
    if model.critic is None or not wanted.is_free or sampler != model.backend.samplers[0] or most in (None, 1):
        return None
    return Judge(model.critic, model.vocabulary, most)


def _refused(log_odds: np.ndarray, random: np.random.Generator) -> np.ndarray:
    refused: np.ndarray = log_odds < np.log(SURE) + np.log(1 - random.random(len(log_odds)))
    return refused

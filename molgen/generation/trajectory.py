"""Diffusion as a film: a graph from noise to molecule, one picture for each step."""

from typing import NamedTuple

import numpy as np
import torch

from molgen.device import place
from molgen.generation.sampling import Settings, draw_graphs
from molgen.models.checkpoints import Model
from molgen.molecules.drawing import graph_svg, places_of
from molgen.molecules.encoding import GraphDecoder
from molgen.molecules.graph import GraphBatch

SIDE = 420


class Film(NamedTuple):
    """smiles: of the molecule at the end, reason: "" or why it is none. pictures: an SVG of each step, noise first."""

    smiles: str
    reason: str
    pictures: tuple[str, ...]


def films(model: Model, settings: Settings) -> list[Film]:
    """One film of each sample of the settings (its first shard), the same molecules as `draw_shard` makes.

    Each atom stays at its place in the final molecule, so that only elements and bonds change.
    """
    assert settings.seed is not None
    place(model.backend, settings.device)
    decoder = GraphDecoder(model.vocabulary)
    made: list[Film | None] = [None] * settings.shard_samples(0)
    recorded: list[GraphBatch] = []
    batches = draw_graphs(
        model.backend,
        model.statistics,
        len(made),
        sampler=settings.sampler,
        steps=settings.steps,
        seed=settings.seed,
        each_step=lambda graphs: recorded.append(graphs.to("cpu")),
    )
    for positions, batch in batches:
        steps = [*recorded, batch.to("cpu")]
        recorded.clear()
        nodes = torch.stack([graphs.nodes for graphs in steps], 1).numpy()
        pairs = torch.stack([graphs.pairs for graphs in steps], 1).numpy()
        for row, position in enumerate(positions.tolist()):
            made[position] = _film(decoder, nodes[row], pairs[row])
    return [film for film in made if film is not None]


def _film(decoder: GraphDecoder, nodes: np.ndarray, pairs: np.ndarray) -> Film:
    verdict = decoder.decode(nodes[-1], pairs[-1])
    places = places_of(decoder.to_mol(nodes[-1], pairs[-1]))
    pictures = [
        graph_svg(decoder.to_mol(*graph), places, width=SIDE, height=SIDE) for graph in zip(nodes, pairs, strict=True)
    ]
    return Film(verdict.smiles, verdict.reason, tuple(pictures))

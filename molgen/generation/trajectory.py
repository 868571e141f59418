"""How a graph forms: a picture for each step from noise to molecule."""

from typing import NamedTuple

import numpy as np

from molgen.device import place
from molgen.generation.sampling import draw_graphs
from molgen.generation.settings import Settings, drafts_of, judge_of, wanted_of
from molgen.models.checkpoints import Model
from molgen.molecules.drawing import graph_svg, places_of
from molgen.molecules.encoding import GraphDecoder
from molgen.molecules.graph import GraphBatch

SIDE = 420  # of a picture, in pixels


class Trajectory(NamedTuple):
    """smiles: of the molecule at the end, reason: "" or why it is none. pictures: an SVG of each step, noise first."""

    smiles: str
    reason: str
    pictures: tuple[str, ...]


def trajectories(model: Model, settings: Settings) -> list[Trajectory]:
    """One of each sample of the settings' first shard, the same graphs as `Shards` draws; the settings have a seed.

    Each atom stays at its place in the final molecule, so that only elements and bonds change.
    """
    assert settings.seed is not None
    place(model.backend, settings.device)
    decoder = GraphDecoder(model.vocabulary)
    recorded: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}

    def record(positions: np.ndarray, begins: bool, graphs: GraphBatch) -> None:
        for position, nodes, pairs in zip(positions.tolist(), *_arrays(graphs), strict=True):
            if begins:
                recorded[position] = []
            recorded[position].append((nodes, pairs))

    made: dict[int, Trajectory] = {}
    for positions, batch in draw_graphs(
        model.backend,
        model.statistics,
        settings.shard_samples(0),
        sampler=settings.sampler,
        steps=settings.steps,
        seed=settings.seed,
        wanted=wanted_of(model, settings),
        drafts=drafts_of(model, settings),
        judge=judge_of(model, settings),
        each_step=record,
    ):
        for position, *final in zip(positions.tolist(), *_arrays(batch), strict=True):
            # more than the settings say where some graphs of a batch were drawn again
            nodes, pairs = map(np.stack, zip(*recorded.pop(position, []), final, strict=True))
            last = _last_change(nodes, pairs, settings.steps)
            made[position] = _trajectory(decoder, nodes[: last + 1], pairs[: last + 1])
    return [made[position] for position in sorted(made)]


def _arrays(graphs: GraphBatch) -> tuple[np.ndarray, np.ndarray]:
    return graphs.nodes.cpu().numpy(), graphs.pairs.cpu().numpy()


def _last_change(nodes: np.ndarray, pairs: np.ndarray, steps: int) -> int:
    """The picture from which on a graph stays as it is, at least `steps`: others of its batch may be drawn again."""
    last = len(nodes) - 1
    while last > steps and (nodes[last] == nodes[last - 1]).all() and (pairs[last] == pairs[last - 1]).all():
        last -= 1
    return last


def _trajectory(decoder: GraphDecoder, nodes: np.ndarray, pairs: np.ndarray) -> Trajectory:
    verdict = decoder.decode(nodes[-1], pairs[-1])
    places = places_of(decoder.to_mol(nodes[-1], pairs[-1]))
    pictures = [
        graph_svg(decoder.to_mol(*graph), places, width=SIDE, height=SIDE) for graph in zip(nodes, pairs, strict=True)
    ]
    return Trajectory(verdict.smiles, verdict.reason, tuple(pictures))

"""What a model is shown of a molecule larger than those that it makes: the part around the atoms that may change.

A core is cut between blocks (`molgen.molecules.substructures.blocks`), where it is a tree. What is not shown stays as
it is, and is put back afterwards. An atom that has lost a neighbour by the cut gets no further bond.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components

from molgen.errors import InputError
from molgen.generation.cores import Core
from molgen.generation.leads import Lead
from molgen.molecules.graph import GraphBatch, from_square, pair_indices


@dataclass(frozen=True, eq=False)
class Excerpt:
    """A core of k atoms, and which s of them the model is shown: int64 [s], in order."""

    core: Core
    shown: np.ndarray

    @property
    def hidden(self) -> int:
        """Number of atoms that are not shown."""
        return self.core.size - len(self.shown)

    @property
    def part(self) -> Core:
        """What is shown, as a core: closed where the core is, and where a neighbour is not shown."""
        core, shown = self.core, self.shown
        cut = np.ones(core.size, bool)
        cut[shown] = False
        lost = (core.bonds[:, cut] > 0).any(1)
        first, second = (index.numpy() for index in pair_indices(len(shown)))
        pairs = core.bonds[np.ix_(shown, shown)][first, second]
        closed = (core.closed | lost)[shown]
        return Core(core.smiles, core.nodes[shown], pairs, core.piece[shown], closed, core.block[shown])

    def restored(self, batch: GraphBatch) -> GraphBatch:
        """Graphs whose first s nodes are what is shown, with the whole core as their first k nodes."""
        core, device = self.core, batch.nodes.device
        nodes = torch.from_numpy(core.nodes).to(batch.nodes).expand(len(batch), -1)
        nodes = torch.cat([nodes, batch.nodes[:, len(self.shown) :]], 1)
        size = nodes.shape[1]
        bonds = batch.pairs.new_zeros(len(batch), size, size)
        bonds[:, : core.size, : core.size] = torch.from_numpy(core.bonds).to(batch.pairs)
        places = torch.from_numpy(np.append(self.shown, np.arange(core.size, size))).to(device)
        bonds[:, places[:, None], places] = batch.bonds()
        return GraphBatch(nodes, from_square(bonds))


def least_shown(core: Core) -> int:
    """Of how many atoms of a core a model has to be shown, so that one of each of its pieces may grow."""
    return sum(int(_needed(core)[(core.piece == piece) & ~core.closed].min()) for piece in np.unique(core.piece))


def around_growth(core: Core, most: int, random: np.random.Generator) -> Excerpt:
    """Up to `most` atoms of a core around one that may grow, in each of its pieces: drawn anew with each call.

    Raises InputError where that is fewer than `least_shown`.
    """
    needed = _needed(core)
    pieces = [np.flatnonzero((core.piece == piece) & ~core.closed) for piece in np.unique(core.piece)]
    least = [int(needed[atoms].min()) for atoms in pieces]
    if sum(least) > most:
        raise InputError(
            f"of the core {core.smiles} the model has to be shown {sum(least)} atoms around those that may grow, and "
            f"has room for {most}"
        )
    centres: list[int] = []
    for number, atoms in enumerate(pieces):
        room = most - int(needed[centres].sum()) - sum(least[number + 1 :])
        centres.append(int(random.choice(atoms[needed[atoms] <= room])))
    return Excerpt(core, np.flatnonzero(_widened(core, _with_neighbours(core, centres), most)))


def around_open(core: Core, most: int) -> Excerpt | None:
    """Up to `most` atoms of a core around all that may grow; None where that takes more.

    None as well where two of them would seem to belong to different molecules, as what lies between is not shown.
    """
    needed = _with_neighbours(core, np.flatnonzero(~core.closed))
    if not 0 < needed.sum() <= most:
        return None
    shown = np.flatnonzero(_widened(core, needed, most))
    apart = [connected_components(bonds)[0] for bonds in (core.bonds, core.bonds[np.ix_(shown, shown)])]
    return Excerpt(core, shown) if apart[0] == apart[1] else None


def around_change(
    lead: Lead, kept: Core | None, most: int, largest: int, random: np.random.Generator
) -> tuple[Lead, Excerpt]:
    """Up to `most` atoms of a lead that are connected and may change: drawn anew with each call.

    kept: the first atoms of the lead, which stay. The lead comes back as what the model is shown of it, up to `largest`
    atoms with those that change last; the excerpt is of all that stays.
    Raises InputError where no part of the lead is small enough.
    """
    free = np.arange(lead.size) >= (0 if kept is None else kept.size)
    for start in random.permutation(np.unique(lead.block[free])):
        part = np.zeros(lead.size, bool)
        tried: set[int] = set()
        reached = [int(start)]
        while reached:
            block = reached[int(random.integers(len(reached)))]
            tried.add(block)
            grown = part | (free & (lead.block == block))
            if grown.sum() <= most and grown.sum() + _beside(lead, grown).sum() <= largest:
                part = grown
            beside = free & ~part & (lead.bonds[part] > 0).any(0)
            reached = [int(block) for block in np.unique(lead.block[beside]) if block not in tried]
        if part.any():
            break
    else:
        raise InputError(
            f"the molecule {lead.smiles} has {lead.size} heavy atoms and no part that the model, which makes up to "
            f"{largest}, could change by itself"
        )
    rest = _rest(lead, part)
    shown = np.flatnonzero(_widened(rest, _beside(lead, part)[~part], largest - int(part.sum())))
    visible = lead.in_order(np.append(np.flatnonzero(~part)[shown], np.flatnonzero(part)))
    return visible, Excerpt(rest, shown)


def _rest(lead: Lead, part: np.ndarray) -> Core:
    """What stays of a lead when a part changes, bool [n]; open where it is bound to the part."""
    atoms = np.flatnonzero(~part)
    rest = lead.in_order(atoms)
    closed = ~np.any(lead.bonds[np.ix_(atoms, np.flatnonzero(part))] > 0, axis=1)
    return Core(lead.smiles, rest.nodes, rest.pairs, np.zeros(len(atoms), np.int64), closed, rest.block)


def _beside(lead: Lead, part: np.ndarray) -> np.ndarray:
    """What has to be shown with a part of a lead: the blocks that it is bound to, and theirs; bool [n]."""
    bound = np.flatnonzero(~part & (lead.bonds[part] > 0).any(0))
    return np.asarray(_with_neighbours(lead, bound) & ~part)


def _needed(core: Core) -> np.ndarray:
    """How many atoms have to be shown so that each atom may grow, int64 [k]; 0 for closed ones."""
    needed = [0 if core.closed[atom] else _with_neighbours(core, [atom]).sum() for atom in range(core.size)]
    return np.array(needed, np.int64)


def _with_neighbours(graph: Core | Lead, atoms: Sequence[int] | np.ndarray) -> np.ndarray:
    """The blocks of some atoms and of their neighbours, bool [k]."""
    near: np.ndarray = np.isin(np.arange(graph.size), atoms) | (graph.bonds[atoms] > 0).any(0)
    return np.asarray(np.isin(graph.block, graph.block[near]))


def _widened(core: Core, shown: np.ndarray, most: int) -> np.ndarray:
    """As many of the blocks around what is shown, nearest first, as make up to `most` atoms, bool [k]."""
    while True:
        beside = ~shown & (core.bonds[shown] > 0).any(0)
        before = shown.sum()
        for block in np.unique(core.block[beside]):
            wider = shown | (core.block == block)
            if wider.sum() <= most:
                shown = wider
        if shown.sum() == before:
            return shown

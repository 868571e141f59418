"""How a molecule is changed: which atoms stay as they are, and which the model draws anew.

    fresh     all is drawn
    targets   all is drawn, by a model that is told the property values that the objective wants
    regrow    a random connected piece is drawn anew, with as many atoms
    grow      the same with more atoms, or atoms are put on the whole molecule
    shrink    the same with fewer atoms
    combine   a random piece of one molecule takes the place of one of another, with a few atoms drawn between
    noise     the whole molecule is noised a part of the way and denoised again

What stays is known to the model, and only the atoms at the cut may bind to what is drawn. Of molecules on a core that
is too large for the model it is shown a part (`molgen.generation.excerpts`). A model that takes no known parts but
starts from molecules has no regrow and combine, and grows and shrinks by noise: atoms are added or left out first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from rdkit import Chem

from molgen.errors import InputError
from molgen.generation.cores import Core
from molgen.generation.excerpts import Excerpt, around_open
from molgen.generation.leads import parse_lead, with_core
from molgen.generation.wanted import Span, Wanted
from molgen.models.checkpoints import Model
from molgen.molecules.encoding import GraphDecoder
from molgen.molecules.graph import pair_count, pair_indices
from molgen.optimisation.parents import Parent, Piece, ring_system_numbers

FRESH, TARGETS, REGROW, GROW, SHRINK, COMBINE, NOISE = MOVES = (
    "fresh", "targets", "regrow", "grow", "shrink", "combine", "noise",
)  # fmt: skip
NOISES = (0.2, 0.3, 0.4, 0.5, 0.6)  # shares of the way to pure noise
MOST_CHANGE = 3  # atoms that a molecule grows or shrinks by
LINK = 2  # atoms drawn between two pieces that are combined, at most


class Plan(NamedTuple):
    """A graph to be drawn.

    size: its atoms n; nodes int64 [n], pairs int64 [n(n-1)/2]: classes, of which known_nodes and known_pairs, bool of
    the same shapes, stay; noise: None to begin from noise alone, else how far the graph is noised; told: whether the
    model is told the targets; excerpt: what stays where that is more than the graph has room for.
    """

    move: str
    parents: tuple[int, ...]
    size: int
    nodes: np.ndarray
    pairs: np.ndarray
    known_nodes: np.ndarray
    known_pairs: np.ndarray
    noise: float | None = None
    told: bool = False
    excerpt: Excerpt | None = None

    @property
    def is_part(self) -> bool:
        """Whether what is known are parts of parents, so that little is left to draw."""
        return bool(self.parents) and self.noise is None


class Moves:
    """The moves of a model under an objective. Raises InputError for a model that cannot change a molecule."""

    def __init__(self, model: Model, core: Core | None, aims: dict[str, float]) -> None:
        backend = model.backend
        self.model, self.core = model, core
        self.parts, self.starts = backend.config.known_parts, backend.starts
        if not (self.parts or self.starts):
            raise InputError(
                f"model {model.name} ({model.backend_name}) was not trained to keep known parts and cannot start from "
                "a molecule, so it cannot change one; choose another model"
            )
        self.free = Wanted(core=core)
        is_large = self.free.is_large(model.statistics)
        # of the properties of what it sees only a part of a model knows nothing
        self.aims = {} if is_large else {name: aim for name, aim in aims.items() if name in backend.targets}
        self.names = [FRESH]
        self.names += [TARGETS] if self.aims else []
        self.names += [REGROW, GROW, SHRINK, COMBINE] if self.parts else [GROW, SHRINK]
        self.names += [NOISE] if self.starts else []
        self.told = Wanted(core=core, targets={name: Span(aim, aim) for name, aim in self.aims.items()})
        possible = np.flatnonzero(model.statistics.sizes)
        self.smallest, self.largest = int(possible[0]), int(possible[-1])
        self.most = self.largest  # atoms of a molecule
        if core is not None and is_large:
            if not (self.parts and backend.keeps_parts):
                raise InputError(
                    f"the core {core.smiles} has {core.size} heavy atoms; model {model.name} makes molecules of up to "
                    f"{self.largest}"
                )
            self.most = int(np.flatnonzero(self.free.size_weights(model.statistics))[-1])
        self.decoder = GraphDecoder(model.vocabulary)
        self._parents: dict[int, Parent] = {}

    def parent(self, number: int, smiles: str) -> Parent:
        """A molecule that was drawn, ready to be changed; kept for the next time.

        Raises InputError for one in which the core, though drawn with it, is not found again: a ring of it has become
        aromatic, or is not any more.
        """
        if number not in self._parents:
            lead = parse_lead(smiles, self.model.vocabulary)
            closed, core_size = np.zeros(lead.size, bool), 0
            if self.core is not None:
                lead, core = with_core(lead, self.core, self.model.vocabulary)
                core_size = core.size
                closed[:core_size] = core.closed
            mol = self.decoder.to_mol(lead.nodes, lead.pairs)
            Chem.SanitizeMol(mol)
            hydrogens = np.array([mol.GetAtomWithIdx(atom).GetTotalNumHs() for atom in range(lead.size)])
            self._parents[number] = Parent(number, lead, core_size, closed, hydrogens, ring_system_numbers(mol))
        return self._parents[number]

    def fresh_size(self, move: str, random: np.random.Generator) -> int:
        """Number of atoms of a molecule that is drawn as a whole, by FRESH or TARGETS."""
        weights = (self.told if move == TARGETS else self.free).size_weights(self.model.statistics)
        return int(random.choice(len(weights), p=weights / weights.sum()))

    def plan(
        self,
        move: str,
        parents: Sequence[Parent],
        noise: float,
        random: np.random.Generator,
        sizes: Mapping[str, int] = MappingProxyType({}),
    ) -> Plan:
        """One random change. parents: of fresh and targets none, of combine two, of the others one.

        noise: of NOISES, how far a molecule is noised; sizes: atoms of what is fresh or told targets, else drawn. A
        change that a molecule is too small or too large for becomes another one.
        """
        if move not in (FRESH, TARGETS):
            changed = self._changed(move, parents, noise, random)
            if changed is not None:
                return changed
            move = FRESH
        return self._fresh(move, sizes.get(move) or self.fresh_size(move, random), random)

    def _changed(self, move: str, parents: Sequence[Parent], noise: float, random: np.random.Generator) -> Plan | None:
        """A plan with parents; None where nothing of them would stay."""
        parent = parents[0]
        free = np.arange(parent.lead.size) >= parent.core_size
        if move == NOISE or not self.parts:
            if parent.lead.size > self.largest:
                return self._noised_part(parent, noise, random) if free.any() else None
            return self._noised(move, parent, free, noise, random)
        if not free.any():
            move = GROW
        if move == COMBINE and len(parents) > 1:
            return self._combined(parents[0], parents[1], free, random)
        if move == GROW and parent.lead.size < self.most and (random.random() < 0.5 or not free.any()):
            is_open = (parent.hydrogens > 0) & ~parent.closed
            if is_open.any():
                new = int(random.integers(1, MOST_CHANGE + 1))
                # at a single atom, too, where not all that may grow can be shown
                if random.random() < 0.5 or parent.lead.size + new > self.largest:
                    is_open = np.arange(len(is_open)) == random.choice(np.flatnonzero(is_open))
                return self._plan(GROW, [parent], [parent.piece(np.ones(len(free), bool), is_open)], new)
        if not free.any():  # nothing but the core, which cannot grow
            return None
        change = {GROW: 1, SHRINK: -1}.get(move, 0) * int(random.integers(1, MOST_CHANGE + 1))
        piece = parent.grown_piece(self._cut_size(int(free.sum()), random), free, random)
        if piece.all():
            return None
        kept = parent.piece(~piece, parent.cut(~piece))
        return self._plan(move, [parent], [kept], max(1, int(piece.sum()) + change))

    def _cut_size(self, most: int, random: np.random.Generator) -> int:
        """How many atoms are drawn anew: up to half of the molecule, mostly few."""
        return 1 + int(random.random() ** 2 * max(1, most // 2))

    def _combined(self, first: Parent, second: Parent, free: np.ndarray, random: np.random.Generator) -> Plan | None:
        most = min(int(free.sum()), second.lead.size)
        count = 1 + int(random.random() * max(1, most * 2 // 3))
        lost = first.grown_piece(count, free, random)
        if lost.all():
            return None
        change = int(random.integers(-MOST_CHANGE, MOST_CHANGE + 1))
        room = self.most - int((~lost).sum())
        count = min(room, max(1, int(lost.sum()) + change))
        gained = second.grown_piece(count, np.ones(second.lead.size, bool), random)
        kept = first.piece(~lost, first.cut(~lost))
        if gained.sum() > room:  # a ring system that is too large
            return self._plan(REGROW, [first], [kept], int(lost.sum()))
        pieces = [kept, second.piece(gained, second.cut(gained))]
        if not pieces[1].is_open.any():  # the whole of a small molecule
            pieces[1] = pieces[1]._replace(is_open=second.hydrogens[gained] > 0)
        return self._plan(COMBINE, [first, second], pieces, int(random.integers(0, LINK + 1)))

    def _fresh(self, move: str, size: int, random: np.random.Generator) -> Plan:
        if self.core is None:
            nodes, pairs = np.zeros(size, np.int64), np.zeros(pair_count(size), np.int64)
            return Plan(move, (), size, nodes, pairs, nodes > 0, pairs > 0, told=move == TARGETS)
        shown, excerpt = self.free.shown(self.model.statistics, size, random)
        assert shown.core is not None
        plan = self._kept(move, (), shown.core, size - (excerpt.hidden if excerpt else 0))
        return plan._replace(told=move == TARGETS, excerpt=excerpt)

    @staticmethod
    def _kept(move: str, parents: tuple[int, ...], core: Core, size: int) -> Plan:
        """A graph of `size` atoms of which the first are those of a core."""
        known = core.condition(size, 1, torch.zeros(1, 0))
        graph = (known.graph.nodes, known.graph.pairs, known.known_nodes, known.known_pairs)
        nodes, pairs, known_nodes, known_pairs = (values[0].numpy().copy() for values in graph)
        return Plan(move, parents, size, nodes, pairs, known_nodes, known_pairs)

    def _plan(self, move: str, parents: Sequence[Parent], pieces: Sequence[Piece], new: int) -> Plan | None:
        """Pieces that stay, in order, and up to `new` atoms; as few or many as the model's sizes allow.

        None where what has to be shown of them is too large.
        """
        kept = _together(pieces)
        numbers = tuple(parent.number for parent in parents)
        size = max(min(kept.size + new, self.most), self.smallest, kept.size)
        if size <= self.largest:
            return self._kept(move, numbers, kept, size)
        excerpt = around_open(kept, self.largest - (size - kept.size))
        if excerpt is None:
            return None
        return self._kept(move, numbers, excerpt.part, size - excerpt.hidden)._replace(excerpt=excerpt)

    def _noised_part(self, parent: Parent, noise: float, random: np.random.Generator) -> Plan | None:
        """A part of a molecule that is too large for the model, to be noised; None where no part is small enough."""
        core = _together([parent.piece(np.arange(parent.lead.size) < parent.core_size, ~parent.closed)])
        try:
            wanted, excerpt = Wanted(core=core, lead=parent.lead).shown(self.model.statistics, parent.lead.size, random)
        except InputError:
            return None
        assert wanted.core is not None and wanted.lead is not None and excerpt is not None
        plan = self._kept(NOISE, (parent.number,), wanted.core, wanted.lead.size)
        return plan._replace(nodes=wanted.lead.nodes, pairs=wanted.lead.pairs, noise=noise, excerpt=excerpt)

    def _noised(self, move: str, parent: Parent, free: np.ndarray, noise: float, random: np.random.Generator) -> Plan:
        """The molecule to be noised, with a few atoms more or less where it is to grow or shrink."""
        lead = parent.lead
        nodes, bonds = lead.nodes, parent.bonds
        most = min(MOST_CHANGE, self.largest - lead.size if move == GROW else lead.size - self.smallest)
        if move == GROW and most > 0:
            new = int(random.integers(1, most + 1))
            shares = np.array(self.model.statistics.atoms)
            nodes = np.append(nodes, random.choice(len(shares), size=new, p=shares / shares.sum()))
            bonds = np.pad(bonds, (0, new))
        elif move == SHRINK and most > 0 and free.sum() > 1:
            fewer = min(int(random.integers(1, most + 1)), int(free.sum()) - 1)
            stays = ~parent.grown_piece(fewer, free, random)
            if stays.sum() >= self.smallest and (stays & free).any():
                nodes, bonds = nodes[stays], bonds[np.ix_(stays, stays)]
        size = len(nodes)
        first, second = (index.numpy() for index in pair_indices(size))
        known_nodes, known_pairs = np.zeros(size, bool), np.zeros(pair_count(size), bool)
        if self.core is not None:
            known_nodes[: parent.core_size] = True
            inside = second < parent.core_size
            closed = np.pad(parent.closed, (0, max(0, size - len(parent.closed))))[:size]
            known_pairs = (inside & self._together(first, second)) | closed[first] | closed[second]
        return Plan(move, (parent.number,), size, nodes, bonds[first, second], known_nodes, known_pairs, noise)

    def _together(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Which pairs of atoms of the core belong to one piece of it, bool; of other pairs anything."""
        assert self.core is not None
        piece = np.append(self.core.piece, -1)
        last = len(piece) - 1
        return np.asarray(piece[np.minimum(first, last)] == piece[np.minimum(second, last)])


def _together(pieces: Sequence[Piece]) -> Core:
    """Pieces as one core, in order."""
    sizes = [len(piece.nodes) for piece in pieces]
    bonds = np.zeros((sum(sizes), sum(sizes)), np.int64)
    blocks: list[np.ndarray] = []
    start = blocks_before = 0
    for piece in pieces:
        end = start + len(piece.nodes)
        bonds[start:end, start:end] = piece.bonds
        blocks.append(piece.block + blocks_before)
        start, blocks_before = end, int(blocks[-1].max()) + 1
    first, second = (index.numpy() for index in pair_indices(start))
    return Core(
        "",
        np.concatenate([piece.nodes for piece in pieces]),
        bonds[first, second],
        np.repeat(np.arange(len(pieces)), sizes),
        ~np.concatenate([piece.is_open for piece in pieces]),
        np.concatenate(blocks),
    )

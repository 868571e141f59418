"""The search: the best molecules asked so far are changed by the model, the most promising are scored, and so on.

A generation depends on the settings, the seed and what was asked and found before it: a search that is resumed goes on
as if it had not been stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from rdkit import Chem

from molgen.device import place
from molgen.errors import InputError, MolgenError
from molgen.generation.cores import parse_core
from molgen.generation.faults import choice, familiar
from molgen.generation.sampling import ENTRIES_PER_BATCH
from molgen.generation.wanted import Wanted
from molgen.models.base import Callback, Start
from molgen.models.checkpoints import Model
from molgen.models.conditions import Condition
from molgen.molecules.graph import GraphBatch, pair_count
from molgen.molecules.substructures import scaffold, unseen_ring_systems
from molgen.optimisation.external import External
from molgen.optimisation.log import Asked, Log
from molgen.optimisation.moves import COMBINE, FRESH, NOISES, TARGETS, Moves, Plan
from molgen.optimisation.objective import Objective
from molgen.optimisation.parents import Parent
from molgen.optimisation.scorers import Likelihood
from molgen.optimisation.surrogate import Surrogate
from molgen.progress import Progress, silent

ROUNDS = 12  # of drawing, in which a generation has to find something new
PART_STEPS = 0.2  # of the network evaluations, where most of the molecule is known
YIELD = 0.75  # share of what is drawn that is usually new and valid
MOST_CANDIDATES = 100
ENOUGH = 0.8  # share of the candidates that is as good as all
LEARNT_FROM = 50  # scores, from which on candidates are judged before they are asked
RECENT = 5  # generations by which moves are judged
LEAST = 0.04  # share of a generation that each move keeps, however it does
FRESH_SHARE = 0.5  # of what is drawn from noise in the first generation, where the model can be told targets too
PRESSURE = 3.0  # the best of a population is a parent e**3 times as often as the last
GUIDANCE = 1.0  # of molecules drawn under targets
TOP = 100  # molecules that a collapse is told by
COLLAPSED = 0.5  # share of them with one scaffold

Molecule = tuple[str, str, tuple[int, ...]]  # SMILES, move, parents


@dataclass(frozen=True)
class SearchSettings:
    """What a search depends on beside the objective and the model.

    batch: molecules asked in a generation; candidates: molecules drawn for each that is asked, from which a surrogate
    of the score chooses (1: none); population: the best that are changed; per_scaffold: how many of these may have one
    Murcko scaffold (those without rings are not limited); any_rings: also ask for molecules with ring systems that no
    training molecule and no core has. Raises InputError for a number out of range.
    """

    sampler: str
    steps: int
    seed: int
    device: str
    core: str | None = None
    batch: int = 50
    candidates: int = 3
    population: int = 100
    per_scaffold: int = 10
    any_rings: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "candidates", "population", "per_scaffold"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} should be at least 1, got {getattr(self, name)}")
        if self.candidates > MOST_CANDIDATES:
            raise InputError(f"candidates should be at most {MOST_CANDIDATES}, got {self.candidates:,}")
        if self.seed < 0:
            raise InputError(f"seed should be 0 or more, got {self.seed}")


class Search:
    """A search that goes on from a log. Raises InputError for a model that cannot change molecules."""

    def __init__(self, model: Model, objective: Objective, settings: SearchSettings, log: Log) -> None:
        self.model, self.objective, self.settings, self.log = model, objective, settings, log
        core = None if settings.core is None else parse_core(settings.core, model.vocabulary)
        self.moves = Moves(model, core, objective.aims)
        for each in objective.components:  # one that has answered before this start is not at fault when it fails
            if isinstance(each.scorer, External):
                each.scorer.worked |= bool(np.isfinite(log.values(each.name)).any())
        if self.moves.free.is_large(model.statistics) and any(
            isinstance(each.scorer, Likelihood) for each in objective.components
        ):
            raise InputError(
                f"the core {settings.core} takes all the room of the model's largest molecule, and it finds no "
                "likelihood of larger ones; leave out the component"
            )
        self._scaffolds: dict[int, str] = {}
        wanted = Wanted(core=core)
        self._rings = None if settings.any_rings else familiar(model, wanted).ring_systems
        self._drafts = choice(model, wanted, known_rings=not settings.any_rings)
        place(model.backend, settings.device)

    def run(self, budget: int, progress: Progress = silent) -> Iterator[None]:
        """Ask for molecules until there are `budget`; yields after every generation, and before the first new one.

        Ends earlier where nothing new is found any more. progress: of the molecules scored; also told after each
        network evaluation, so that it can end a search soon.
        """

        def evaluated(*_: object) -> None:
            progress("drawing", len(self.log), budget)

        self._score(budget, progress)
        yield
        while len(self.log) < budget:
            evaluated()
            new = self._new(min(self.settings.batch, budget - len(self.log)), evaluated)
            if not new:
                return
            self.log.ask(self.log.generation + 1, new)
            self._score(budget, progress)
            yield

    def scores(self) -> np.ndarray:
        """Of every molecule asked, float64 [m]; NaN where a component is missing."""
        values = {each.name: self.log.values(each.name) for each in self.objective.components}
        return self.objective.scores(self.objective.desirabilities(values))

    def scaffold(self, row: Asked) -> str:
        """The Murcko scaffold of a molecule asked, "" where it has no ring."""
        if row.number not in self._scaffolds:
            self._scaffolds[row.number] = scaffold(Chem.MolFromSmiles(row.smiles))
        return self._scaffolds[row.number]

    def best(self, scores: np.ndarray, count: int, per_scaffold: int | None = None) -> list[Asked]:
        """The `count` molecules with the highest scores, of equal ones the first, so many of a scaffold at most."""
        taken: list[Asked] = []
        seen: Counter[str] = Counter()
        order = np.argsort(-scores, kind="stable")
        for row in (self.log.rows[position] for position in order[: int(np.isfinite(scores).sum())]):
            if len(taken) == count:
                break
            if per_scaffold is not None:
                text = self.scaffold(row)
                if text and seen[text] >= per_scaffold:
                    continue
                seen[text] += 1
            taken.append(row)
        return taken

    def collapse(self, scores: np.ndarray) -> tuple[str, int, int] | None:
        """The scaffold that most of the best TOP have, how many have it, and of how many; None where none has."""
        best = self.best(scores, TOP)
        common = Counter(filter(None, map(self.scaffold, best))).most_common(1)
        if len(best) < TOP // 2 or not common or common[0][1] < COLLAPSED * len(best):
            return None
        return common[0][0], common[0][1], len(best)

    def _score(self, budget: int, progress: Progress) -> None:
        """Ask every component for what it has not answered yet; each answer is written down as it comes."""
        names = [component.name for component in self.objective.components]
        progress("scoring", min(map(self.log.answered, names)), budget)
        for component in self.objective.components:
            lacking = {row.smiles: row for row in self.log.lacking(component.name)}
            try:
                for part in component.scorer.answers(list(lacking)) if lacking else ():
                    component.curve(np.array(part.values))  # a value that the curve refuses is not kept
                    self.log.keep(component.name, [lacking[text] for text in part.smiles], part.values)
                    progress("scoring", min(map(self.log.answered, names)), budget)
            except MolgenError as error:
                raise type(error)(f"component {component.name}: {error}") from None

    def _new(self, count: int, evaluated: Callback) -> list[Molecule]:
        """Up to `count` molecules that were never asked; fewer where few are found, in the end none.

        From LEARNT_FROM scores on these are the most promising of several times as many.
        """
        scores = self.scores()
        judged = self.settings.candidates > 1 and np.isfinite(scores).sum() >= LEARNT_FROM
        most = count * self.settings.candidates if judged else count
        found = self._candidates(most, ceil(ENOUGH * most) if judged else most, scores, evaluated)
        if len(found) <= count:
            return found
        surrogate = Surrogate([row.smiles for row in self.log.rows], scores)
        promise = surrogate.promise([smiles for smiles, _, _ in found])
        return [found[place] for place in np.sort(np.argsort(-promise, kind="stable")[:count])]

    def _candidates(self, count: int, least: int, scores: np.ndarray, evaluated: Callback) -> list[Molecule]:
        """`least` to `count` molecules that were never asked; fewer where few are found."""
        generation = self.log.generation + 1
        population = self.best(scores, self.settings.population, self.settings.per_scaffold)
        parents = [parent for row in population if (parent := self._parent(row)) is not None]
        shares = self._shares(population)
        found: dict[str, Molecule] = {}
        for turn in range(ROUNDS):
            if len(found) >= least:
                break
            seeds = np.random.SeedSequence(self.settings.seed, spawn_key=(generation, turn, 0)).spawn(2)
            random = np.random.default_rng(seeds[0])
            noise = torch.Generator().manual_seed(int(seeds[1].generate_state(1, np.uint64)[0] >> np.uint64(1)))
            # one noise, and one size of what has no parents, for all, so that they are drawn together
            level = float(random.choice(NOISES))
            sizes = {move: self.moves.fresh_size(move, random) for move in (FRESH, TARGETS)} if parents else {}
            number = ceil((count - len(found)) / YIELD) + 4
            plans = [self._planned(shares, parents, level, sizes, random) for _ in range(number)]
            for smiles, plan in zip(self.draw(plans, noise, evaluated), plans, strict=True):
                new = smiles and smiles not in self.log.smiles and smiles not in found
                if new and len(found) < count and self._is_familiar(smiles):
                    found[smiles] = (smiles, plan.move, plan.parents)
        return list(found.values())

    def _is_familiar(self, smiles: str) -> bool:
        return self._rings is None or not unseen_ring_systems(Chem.MolFromSmiles(smiles), self._rings)

    def _parent(self, row: Asked) -> Parent | None:
        try:
            return self.moves.parent(row.number, row.smiles)
        except InputError:
            return None

    def _shares(self, population: Sequence[Asked]) -> dict[str, float]:
        """How often each move is tried: as often as what it made lately is now among the best, but for LEAST."""
        names = self.moves.names
        since = self.log.generation - RECENT
        made = Counter(row.move for row in self.log.rows if row.generation > since)
        kept = Counter(row.move for row in population if row.generation > since)
        rates = {name: (1 + kept[name]) / (10 + made[name]) for name in names}
        total = sum(rates.values())
        return {name: LEAST + (1 - LEAST * len(names)) * rate / total for name, rate in rates.items()}

    def _planned(
        self,
        shares: dict[str, float],
        parents: Sequence[Parent],
        level: float,
        sizes: Mapping[str, int],
        random: np.random.Generator,
    ) -> Plan:
        names = list(shares)
        if not parents:
            told = TARGETS in names and random.random() > FRESH_SHARE
            return self.moves.plan(TARGETS if told else FRESH, [], level, random)
        move = str(random.choice(names, p=list(shares.values())))
        ranks = np.exp(-PRESSURE * np.arange(len(parents)) / len(parents))
        count = min(len(parents), 2 if move == COMBINE else 1)
        chosen = random.choice(len(parents), size=count, replace=False, p=ranks / ranks.sum())
        return self.moves.plan(move, [parents[place] for place in chosen], level, random, sizes)

    def draw(self, plans: Sequence[Plan], generator: torch.Generator, evaluated: Callback | None = None) -> list[str]:
        """The canonical SMILES that each plan came to, "" where it is no valid molecule."""
        smiles = [""] * len(plans)
        for positions in _batches(plans):
            chosen = [plans[position] for position in positions]
            graphs = self._sample(chosen, generator, evaluated)
            for position, plan, nodes, pairs in zip(
                positions, chosen, graphs.nodes.cpu().numpy(), graphs.pairs.cpu().numpy(), strict=True
            ):
                known = (nodes == plan.nodes)[plan.known_nodes].all() and (pairs == plan.pairs)[plan.known_pairs].all()
                if plan.excerpt is not None:
                    one = GraphBatch(torch.from_numpy(nodes)[None], torch.from_numpy(pairs)[None])
                    whole = plan.excerpt.restored(one)
                    nodes, pairs = whole.nodes[0].numpy(), whole.pairs[0].numpy()
                verdict = self.moves.decoder.decode(nodes, pairs)
                if known and verdict.valid:
                    smiles[position] = verdict.smiles
        return smiles

    def _sample(
        self, plans: Sequence[Plan], generator: torch.Generator, evaluated: Callback | None = None
    ) -> GraphBatch:
        """One batch of graphs of one size, all with or all without noise, targets and parents."""
        backend, first, count = self.model.backend, plans[0], len(plans)

        def stacked(name: str) -> torch.Tensor:
            return torch.from_numpy(np.stack([getattr(plan, name) for plan in plans]))

        graph = GraphBatch(stacked("nodes"), stacked("pairs"))
        condition = Condition.nothing(first.size, count, len(backend.targets))
        condition = Condition(graph, stacked("known_nodes"), stacked("known_pairs"), condition.targets)
        if first.told:
            for name, aim in self.moves.aims.items():
                condition.targets[:, backend.targets.index(name)] = aim
        asked = first.told or bool(condition.known_nodes.any() or condition.known_pairs.any())
        return backend.sample(
            first.size,
            count,
            steps=ceil(PART_STEPS * self.settings.steps) if first.is_part else self.settings.steps,
            sampler=self.settings.sampler,
            generator=generator,
            callback=evaluated,
            condition=condition if asked else None,
            guidance=GUIDANCE if first.told else 0.0,
            start=None if first.noise is None else Start(graph, first.noise),
            drafts=self._drafts,
        )


def _batches(plans: Sequence[Plan]) -> Iterator[list[int]]:
    """Positions of plans that can be drawn together."""
    groups: dict[tuple[int, float, bool, bool], list[int]] = {}
    for position, plan in enumerate(plans):
        groups.setdefault((plan.size, plan.noise or 0.0, plan.told, plan.is_part), []).append(position)
    for (size, *_), positions in sorted(groups.items()):
        limit = max(1, ENTRIES_PER_BATCH // (pair_count(size) + size))
        for start in range(0, len(positions), limit):
            yield positions[start : start + limit]

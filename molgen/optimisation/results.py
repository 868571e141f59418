"""What came out of a search, as tables: every molecule asked, the best, and how high the best were after each call."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd
from rdkit import Chem

from molgen.generation.typical import TypicalBounds, percentiles
from molgen.models.checkpoints import Model
from molgen.molecules.substructures import unseen_ring_systems
from molgen.optimisation.search import TOP, Search
from molgen.progress import Progress, silent

STEP = 10  # calls between points of the curve
PMO_STEP = 100  # calls between points of the area under it, as in the benchmark of Gao et al. 2022
DECIMALS = 6


@dataclass(frozen=True)
class Results:
    """molecules: a row for each molecule, in the order asked; best: the TOP of them, highest score first; curve: the
    score of the best and the mean of the best 10 and 100 after so many calls. Scores are NaN where one is missing."""

    molecules: pd.DataFrame
    best: pd.DataFrame
    curve: pd.DataFrame


def results(search: Search, progress: Progress = silent, *, likelihood: bool = True) -> Results:
    """Of what a search has asked so far.

    nll_percentile (molgen.generation.typical), of the best alone, and unseen_rings, the number of ring systems that no
    training molecule has, stand beside the score: a high score of molecules that the model finds odd may be a gap in
    the objective and not a good molecule. They are missing where the training molecules are not at hand; nll_percentile
    takes a while, and is also left out without `likelihood`. progress: of what it takes.
    """
    log, objective, model = search.log, search.objective, search.model
    values = {each.name: log.values(each.name) for each in objective.components}
    desirabilities = objective.desirabilities(values)
    scores = objective.scores(desirabilities)
    table: dict[str, object] = {
        "number": [row.number for row in log.rows],
        "smiles": pd.Series([row.smiles for row in log.rows], dtype="str"),
        "score": scores.round(DECIMALS),
    }
    for each in objective.components:
        table[each.name] = values[each.name].round(DECIMALS)
        table[f"{each.name} desirability"] = desirabilities[each.name].round(DECIMALS)
    table |= {
        "move": pd.Series([row.move for row in log.rows], dtype="str"),
        "parents": pd.Series([" ".join(map(str, row.parents)) for row in log.rows], dtype="str"),
        "generation": [row.generation for row in log.rows],
        "unseen_rings": pd.array([_count_unseen(model, row.smiles) for row in log.rows], dtype="Int64"),
    }
    taken = search.best(scores, TOP)
    places = np.array([row.number - 1 for row in taken], int)
    typical = np.full(len(log), nan)
    if likelihood:
        typical[places] = np.round(percentiles(TypicalBounds(model), [row.smiles for row in taken], progress), 1)
    molecules = pd.DataFrame(table | {"nll_percentile": typical})
    best = molecules.iloc[places].assign(scaffold=pd.Series([search.scaffold(row) for row in taken], index=places))
    return Results(molecules, best.reset_index(drop=True), curve(scores))


def curve(scores: np.ndarray) -> pd.DataFrame:
    """calls, best, best_10, best_100: the highest score and the mean of the highest after every STEP calls.

    Where fewer have a score, the mean is of these; a missing score counts as a call and as nothing else.
    """
    calls = [*range(STEP, len(scores), STEP), len(scores)] if len(scores) else []
    rows = [(count, *(top_mean(scores[:count], number) for number in (1, 10, 100))) for count in calls]
    return pd.DataFrame(rows, columns=["calls", "best", "best_10", "best_100"]).round(DECIMALS)


def top_mean(scores: np.ndarray, number: int) -> float:
    """The mean of the `number` highest scores, NaN without any."""
    there = np.sort(scores[np.isfinite(scores)])[-number:]
    return float(there.mean()) if len(there) else nan


def auc_top10(scores: np.ndarray, budget: int) -> float:
    """Area under the mean of the best 10 against calls, as a share of `budget` calls at 1.

    By the trapezoid rule at every PMO_STEP calls; what is left of the budget counts with the last value (PMO: Gao, Fu,
    Sun and Coley 2022). No score at all is 0.
    """
    points = [0, *range(PMO_STEP, min(len(scores), budget), PMO_STEP), min(len(scores), budget)]
    heights = np.nan_to_num([top_mean(scores[:count], 10) if count else 0.0 for count in points])
    area = float((np.diff(points) * (heights[1:] + heights[:-1]) / 2).sum())
    return float(area + (budget - points[-1]) * heights[-1]) / budget


def _count_unseen(model: Model, smiles: str) -> int | None:
    return None if model.ring_systems is None else unseen_ring_systems(Chem.MolFromSmiles(smiles), model.ring_systems)

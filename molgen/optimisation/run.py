"""A search in a folder, which goes on where it was stopped, whatever stopped it.

settings.json       all that the search depends on, with its seed
search.sqlite       the log: every molecule and every value, from which everything else is made
molecules.csv       every molecule in the order asked, with its values, parents and how it was made
best.csv            the best 100, with their scaffolds
curve.csv, .png     the mean of the best 10 after each call
report.html         the curve, and the best with their structures
record.json         settings, versions, counts and figures
"""

from __future__ import annotations

import dataclasses
import json
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from filelock import FileLock, Timeout

from molgen.data.dataset import read_json
from molgen.data.writers import open_writer
from molgen.device import pick_device
from molgen.errors import InputError
from molgen.files import atomic_write, sealed, unsealed
from molgen.generation.cores import parse_core
from molgen.generation.runs import versions
from molgen.models.checkpoints import Model
from molgen.optimisation.log import Log
from molgen.optimisation.moves import Moves
from molgen.optimisation.objective import Objective, load_objective, values_asked
from molgen.optimisation.page import page
from molgen.optimisation.plots import curve_png
from molgen.optimisation.results import Results, auc_top10, results, top_mean
from molgen.optimisation.search import Search, SearchSettings
from molgen.progress import Progress, silent

SETTINGS, LOG, LOCK, RECORD = "settings.json", "search.sqlite", "lock", "record.json"
STEPS = 20  # of the network for each molecule, where the model's own choice is more: changed molecules need fewer
MOST_CALLS = 10_000_000


@dataclass(frozen=True)
class Optimised:
    """What a search came to: its tables, its record, and warnings in words."""

    results: Results
    record: dict[str, object]
    warnings: list[str]


def optimise(
    model: Model,
    objective: Path | str | Objective,
    folder: Path | str,
    *,
    budget: int,
    seed: int | None = None,
    core: str | None = None,
    sampler: str | None = None,
    steps: int | None = None,
    batch: int | None = None,
    candidates: int | None = None,
    population: int | None = None,
    per_scaffold: int | None = None,
    any_rings: bool = False,
    device: str = "auto",
    progress: Progress = silent,
    watch: Callable[[Search], object] = lambda search: None,
    likelihood: bool = True,
) -> Optimised:
    """Search for molecules with a high score, asking for the score of `budget` different molecules.

    objective: a TOML file (molgen.optimisation.objective), or what was read of one, which is closed in the end; core:
    SMILES that every molecule contains; batch to any_rings: see `SearchSettings`. A search that was
    stopped is resumed by the same call, and with a larger budget goes on. progress: of the molecules scored; watch:
    called with the search at its beginning and after every generation, when all that was asked is scored; likelihood:
    that of the best, see `results`.
    Raises InputError for what cannot be used, and where the folder holds another search; MolgenError where the user's
    own scorer gives nothing at all.
    """
    folder = Path(folder)
    if not 1 <= budget <= MOST_CALLS:
        raise InputError(f"budget should be 1 to {MOST_CALLS:,} molecules, got {budget:,}", "budget")
    numbers = {"batch": batch, "candidates": candidates, "population": population, "per_scaffold": per_scaffold}
    settings = _settings(model, seed, core, sampler, steps, numbers, any_rings, device)
    wanted = objective if isinstance(objective, Objective) else load_objective(objective, model)
    try:
        # raises what is wrong with model and core before a folder is made
        Moves(model, None if core is None else parse_core(core, model.vocabulary), wanted.aims)
        with _locked(folder):
            settings, anew = _resumed(folder, model, wanted, settings, seed)
            started = time.monotonic()
            with Log(folder / LOG) as log:
                earlier = len(log)
                if budget < earlier:
                    raise InputError(
                        f"{folder} holds {earlier:,} molecules, more than a budget of {budget:,}", "budget"
                    )
                if anew is not None:
                    wanted.desirabilities({each.name: log.values(each.name) for each in wanted.components})
                    _write_settings(folder / SETTINGS, anew)
                    logging.getLogger(__name__).warning(
                        "Warning: curves, weights or the mean of the objective have changed; the search goes on with "
                        "the values that it has, scored anew"
                    )
                search = Search(model, wanted, settings, log)
                finished = False
                try:
                    for _ in search.run(budget, progress):
                        watch(search)
                    finished = True
                finally:  # also of a search that was stopped there is something to see, and what follows takes a while
                    facts: dict[str, object] = {"finished": finished, "asked_in_earlier_starts": earlier}
                    facts["seconds"] = round(time.monotonic() - started, 2)
                    if len(log):
                        done = _write(folder, search, results(search, likelihood=False), budget, facts)
                if len(log) and not likelihood:
                    return done
                return _write(folder, search, results(search, progress, likelihood=likelihood), budget, facts)
    finally:
        wanted.close()


def _settings(
    model: Model,
    seed: int | None,
    core: str | None,
    sampler: str | None,
    steps: int | None,
    numbers: Mapping[str, int | None],
    any_rings: bool,
    device: str,
) -> SearchSettings:
    backend = model.backend
    if sampler is not None and sampler not in backend.samplers:
        raise InputError(f"model {model.name} has no sampler {sampler!r}; choose from {', '.join(backend.samplers)}")
    if steps is not None and steps > backend.max_steps:
        raise InputError(f"model {model.name} takes at most {backend.max_steps} steps, got {steps}")
    if core is not None and not backend.config.known_parts:
        raise InputError(f"model {model.name} was not trained to keep a core; choose another model")
    return SearchSettings(
        sampler=sampler or backend.samplers[0],
        steps=min(backend.default_steps, STEPS) if steps is None else steps,
        seed=secrets.randbits(32) if seed is None else seed,
        device=pick_device(device).type,
        core=core,
        any_rings=any_rings,
        **{name: value for name, value in numbers.items() if value is not None},
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder of a search, made where it is not there, for this process alone."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give the name of a folder", "output")
    if not folder.resolve().parent.is_dir():
        raise InputError(f"the folder {folder.resolve().parent} does not exist", "output")
    there = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    others = [name for name in there if name != LOCK and not name.startswith(f".{SETTINGS}.")]
    if others and SETTINGS not in others:
        raise InputError(f"{folder} holds files that are not of a search, such as {others[0]}; choose another folder")
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"another molgen is searching in {folder}; wait for it, or choose another folder") from None
    try:
        yield
    finally:
        lock.release()


def _resumed(
    folder: Path, model: Model, objective: Objective, settings: SearchSettings, seed: int | None
) -> tuple[SearchSettings, dict[str, object] | None]:
    """The settings that hold, with the seed of the search in the folder if there is one; of a new one they are written.

    The values of molecules are kept as they were given, so that the same components may be weighed and judged anew:
    then also what is to be written in place of the old settings.
    Raises InputError where that search had other settings, with the differences.
    """
    path = folder / SETTINGS
    now = {
        "model": model.name,
        "weights_sha256": model.weights_sha256,
        **dataclasses.asdict(settings),
        "objective": objective.record,
    }
    now = cast(dict[str, object], json.loads(json.dumps(now)))
    if not path.exists():
        _write_settings(path, now)
        return settings, None
    then = unsealed(read_json(path))
    if then is None:
        raise InputError(f"{path} is damaged, so the search cannot be resumed; choose another folder")
    if seed is None:
        now["seed"] = then.get("seed")
    objectives = [cast(dict[str, object], each["objective"]) for each in (now, then)]
    weighed_anew = objectives[0] != objectives[1] and values_asked(objectives[0]) == values_asked(objectives[1])
    if weighed_anew:
        then["objective"] = now["objective"]
    differences = [
        f"{name} ({_short(then.get(name))} then, {_short(now.get(name))} now)"
        for name in sorted({*now, *then})
        if now.get(name) != then.get(name)
    ]
    if differences:
        raise InputError(
            f"{folder} holds a search with other settings: {', '.join(differences)}; go on with those, or choose "
            "another folder"
        )
    return dataclasses.replace(settings, seed=cast(int, then["seed"])), now if weighed_anew else None


def _write_settings(path: Path, settings: Mapping[str, object]) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(sealed(settings), indent=1) + "\n")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) < 300 else text[:300] + "..."


def _write(folder: Path, search: Search, found: Results, budget: int, facts: Mapping[str, object]) -> Optimised:
    """Write the tables, the pictures and the record. facts: how the search ended, for the record."""
    scores = search.scores()
    log, objective = search.log, search.objective
    warnings = []
    collapse = search.collapse(scores)
    if collapse is not None:
        scaffold, count, of = collapse
        warnings.append(
            f"{count} of the best {of} molecules have the scaffold {scaffold}: the search has collapsed onto it"
        )
    missing = {
        each.name: int(np.isnan(log.values(each.name)).sum()) - len(log.lacking(each.name))
        for each in objective.components
    }
    warnings += [
        f"{name} gave no value for {count:,} of {len(log):,} molecules" for name, count in missing.items() if count
    ]
    if facts["finished"] and len(log) < budget:
        warnings.append(f"nothing new was found after {len(log):,} of {budget:,} molecules")
    record: dict[str, object] = {
        "model": search.model.name,
        "weights_sha256": search.model.weights_sha256,
        **dataclasses.asdict(search.settings),
        "objective": objective.record,
        **versions(),
        "budget": budget,
        "asked": len(log),
        "without_score": int(np.isnan(scores).sum()),
        "missing": missing,
        "moves": dict(Counter(row.move for row in log.rows).most_common()),
        "generations": log.generation + 1,
        "best": _rounded(top_mean(scores, 1)),
        "best_10": _rounded(top_mean(scores, 10)),
        "best_100": _rounded(top_mean(scores, 100)),
        "auc_top10": _rounded(auc_top10(scores, budget)),
        "scaffolds_of_best": int(found.best["scaffold"].nunique()),
        "warnings": warnings,
        **facts,
    }
    for name, table in (("molecules", found.molecules), ("best", found.best), ("curve", found.curve)):
        with open_writer(folder / f"{name}.csv") as writer:
            writer.write(table)
    picture = curve_png(found.curve)
    with atomic_write(folder / "curve.png", "wb") as image:
        image.write(picture)
    with atomic_write(folder / "report.html") as file:
        file.write(page(found, record, picture, [each.name for each in objective.components]))
    with atomic_write(folder / RECORD) as file:
        file.write(json.dumps(record, indent=1) + "\n")
    return Optimised(found, record, warnings)


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)

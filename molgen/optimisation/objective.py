"""What is searched for: components with weights and curves, from a TOML file, and the score that they make together.

mean = "geometric"

[[component]]
property = "logp"
range = {low = 1, high = 3}
weight = 2
"""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from molgen.errors import InputError, MolgenError
from molgen.files import check_regular, sha256_of
from molgen.models.checkpoints import Model
from molgen.optimisation.curves import CURVES, AsItIs, Curve, parse_curve
from molgen.optimisation.external import External, Function, OnnxModel, Program
from molgen.optimisation.scorers import BUILT_IN, Place, Scorer, pinned_files, usual_name

MEANS = ("geometric", "arithmetic")
EXTERNAL = ("function", "program", "onnx")
COMMON = ("name", "weight", "penalty", *CURVES)
CALLED = ("batch", "time_limit")  # of a function or program
MOST_BYTES = 1_000_000
SECONDS, BATCH = 60.0, 50
NAME = re.compile(r"\w[\w .+-]{0,39}", re.ASCII)
RESERVED = ("number", "smiles", "score", "scaffold", "move", "parents", "generation", "nll_percentile", "unseen_rings")


@dataclass(frozen=True, eq=False)
class Component:
    """A part of the score.

    name: its column; kind: what is scored, with its value as written; weight: in the mean, at least 0; penalty: the
    mean is multiplied by its desirability, which has no weight; curve: from value to desirability; pinned: SHA-256 of
    the files that it reads.
    """

    name: str
    kind: str
    value: object
    weight: float
    penalty: bool
    curve: Curve
    scorer: Scorer
    pinned: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Objective:
    """mean: one of MEANS; record: all that the score depends on, as JSON can hold it."""

    mean: str
    components: tuple[Component, ...]
    record: dict[str, object]

    def desirabilities(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Of each component, float64 [m], from its values [m]; NaN where one is missing.

        Raises InputError for a value that is outside 0 to 1 and has no curve.
        """
        found = {}
        for component in self.components:
            try:
                found[component.name] = component.curve(values[component.name])
            except InputError as error:
                raise InputError(f"component {component.name}: {error}") from None
        return found

    def scores(self, desirabilities: Mapping[str, np.ndarray]) -> np.ndarray:
        """The score from 0 to 1, float64 [m]; NaN where a component is missing.

        The weighted geometric or arithmetic mean, as REINVENT 4 has them (Loeffler et al. 2024), times the penalties.
        """
        entering = [each for each in self.components if not each.penalty]
        weights = np.array([each.weight for each in entering])
        columns = np.stack([desirabilities[each.name] for each in entering], axis=-1)
        if self.mean == "geometric":
            with np.errstate(divide="ignore"):  # log 0 is a score of 0, unless its weight is 0
                logs = np.where(weights > 0, np.log(columns), 0.0 * columns)
            score = np.exp((logs * np.where(weights > 0, weights, 1)).sum(-1) / weights.sum())
        else:
            score = (columns * weights).sum(-1) / weights.sum()
        for each in self.components:
            if each.penalty:
                score = score * desirabilities[each.name]
        return np.asarray(score)

    @property
    def aims(self) -> dict[str, float]:
        """The values that are wanted of properties, by name."""
        return {
            str(each.value): each.curve.aim
            for each in self.components
            if each.kind == "property" and each.curve.aim is not None
        }

    def close(self) -> None:
        """End what scorers have started."""
        for component in self.components:
            component.scorer.close()


def load_objective(path: Path | str, model: Model) -> Objective:
    """The objective of a TOML file, for molecules of a model; everything in it is checked, and nothing scored.

    Files that it names are looked for beside it. Close it in the end. Raises InputError that names the key at fault.
    """
    path = Path(path)
    try:
        check_regular(path, MOST_BYTES)
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"the objective {path} cannot be read ({error.strerror})") from None
    return parse_objective(text, str(path), Place(model, path.resolve().parent))


def parse_objective(text: str, label: str, place: Place) -> Objective:
    """The same from its text; label: what errors call it.

    Where the place has no folder, a component that brings files or code is refused.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{label} is not TOML: {error}") from None
    for key in table:
        if key not in ("mean", "component"):
            raise InputError(f"{label} has no {key!r}; it takes mean and [[component]]")
    mean = table.get("mean", "geometric")
    if mean not in MEANS:
        raise InputError(f"{label}: mean should be {' or '.join(MEANS)}, got {mean!r}")
    parts = table.get("component", [])
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        raise InputError(f"{label}: it needs components, each a table [[component]]")
    made: list[Component] = []
    try:
        for number, part in enumerate(parts, 1):
            try:
                made.append(parse_component(part, place))
            except MolgenError as error:
                raise InputError(f"{label}, component {number}: {error}") from None
        names = [each.name for each in made]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f'{label}: two components are called {name!r}; give one another: name = "..."')
            if f"{name} desirability" in names:
                raise InputError(f"{label}: a component cannot be called '{name} desirability', a column of {name!r}")
        if not sum(each.weight for each in made if not each.penalty):
            raise InputError(f"{label}: at least one component should have a weight above 0 and be no penalty")
    except BaseException:
        for each in made:
            each.scorer.close()
        raise
    record = {"mean": mean, "components": [_record(part, each) for part, each in zip(parts, made, strict=True)]}
    return Objective(mean, tuple(made), record)


def values_asked(record: Mapping[str, object]) -> list[dict[str, object]]:
    """What the components of an `Objective.record` ask of molecules, without how the values are judged and weighed."""
    judging = ("weight", "penalty", *CURVES)
    components = cast(list[dict[str, object]], record["components"])
    return [{key: value for key, value in part.items() if key not in judging} for part in components]


def parse_component(part: Mapping[str, object], place: Place) -> Component:
    """One component from what stands below its [[component]]. Raises InputError that names the key at fault."""
    kinds = [key for key in part if key in (*BUILT_IN, *EXTERNAL)]
    if len(kinds) != 1:
        got = " and ".join(kinds) or "none"
        raise InputError(f"it should have one of {', '.join((*BUILT_IN, *EXTERNAL))}, got {got}")
    kind, value = kinds[0], part[kinds[0]]
    called = CALLED if kind in ("function", "program") else ()
    for key in part:
        if key not in (kind, *COMMON, *called):
            raise InputError(f"{kind} has no {key!r}; it takes {', '.join((*COMMON, *called))}")
    name = part.get("name", usual_name(kind, value))
    if not isinstance(name, str) or not NAME.fullmatch(name) or name in RESERVED:
        raise InputError(f"name should be a short text of letters, digits and spaces and no other column, got {name!r}")
    weight = part.get("weight", 1)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
        raise InputError(f"weight should be a number, 0 or more, got {weight!r}")
    penalty = part.get("penalty", False)
    if not isinstance(penalty, bool):
        raise InputError(f"penalty should be true or false, got {penalty!r}")
    if penalty and "weight" in part:
        raise InputError("a penalty has no weight: the mean is multiplied by it")
    curves = [key for key in CURVES if key in part]
    if len(curves) > 1:
        raise InputError(f"it should have one curve, got {' and '.join(curves)}")
    given = parse_curve(curves[0], part[curves[0]]) if curves else None
    scorer, files = _scorer(kind, value, part, place)
    curve = given or scorer.curve
    if curve is None:
        scorer.close()
        raise InputError(f"{name} needs a curve: {', '.join(CURVES)}; for example range = {{low = 1, high = 3}}")
    pinned = tuple(sha256_of(file) for file in files)
    return Component(name, kind, value, float(weight), penalty, curve, scorer, pinned)


def _scorer(kind: str, value: object, part: Mapping[str, object], place: Place) -> tuple[Scorer, list[Path]]:
    """The scorer, and the files that it reads."""
    if kind in BUILT_IN:
        try:
            return BUILT_IN[kind](value, place), pinned_files(kind, value, place.folder)
        except InputError as error:
            raise InputError(f"{kind}: {error}") from None
    folder = place.folder
    if folder is None:
        raise InputError(
            f"{kind}: code and files of your own are not run here; molgen optimize in a terminal runs them"
        )
    seconds, batch = part.get("time_limit", SECONDS), part.get("batch", BATCH)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise InputError(f"time_limit should be seconds for a molecule, above 0, got {seconds!r}")
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise InputError(f"batch should be a number of molecules, at least 1, got {batch!r}")
    if kind == "program":
        words, files = _words(value, folder)
        return External(Program(words, folder, float(seconds)), batch, AsItIs()), files
    if not isinstance(value, str):
        raise InputError(f"{kind} should be a text, got {value!r}")
    if kind == "onnx":
        path = folder / value
        if not path.is_file():
            raise InputError(f"onnx: there is no file {path}")
        return External(OnnxModel(path), batch, AsItIs()), [path]
    module, _, function = value.partition(":")
    if not re.fullmatch(r"\w+(\.\w+)*", module) or not function.isidentifier():
        raise InputError(f"function should be module:function, such as mine:affinity, got {value!r}")
    called = Function(module, function, folder, float(seconds))
    files = [Path(called.path)] if Path(called.path).is_file() else []
    return External(called, batch, AsItIs()), files


def _words(value: object, folder: Path) -> tuple[list[str], list[Path]]:
    """The words of a program's command, the first a file that can be run, and the files among them."""
    words = value
    if isinstance(value, str):
        with suppress(ValueError):  # a quotation mark without its partner
            words = shlex.split(value)
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
        raise InputError(
            f'program should be a command, such as "./dock.sh fast" or ["./dock.sh", "fast"], got {value!r}'
        )
    beside = folder / words[0]
    found = str(beside) if beside.is_file() else shutil.which(words[0])
    if found is None:
        raise InputError(f"program: there is no {words[0]} in {folder} or on the path")
    if shutil.which(found) is None:
        raise InputError(f"program: {found} cannot be run; is it executable (chmod +x)?")
    files = [path for word in words if (path := folder / word).is_file()]
    return [found, *words[1:]], files


def _record(part: Mapping[str, object], made: Component) -> dict[str, object]:
    return {**part, "name": made.name, **({"sha256": list(made.pinned)} if made.pinned else {})}

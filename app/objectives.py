"""Objectives as the editor has them: components as tables, from TOML and to TOML."""

import json
import tomllib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from molgen.evaluation.extras import installed
from molgen.models.checkpoints import Model
from molgen.optimisation.objective import Objective, parse_objective
from molgen.optimisation.scorers import Place, usual_name

Part = dict[str, Any]  # what stands below a [[component]]
LABEL = "the objective"
# what a person's own code is needed for is left to the command line
KINDS = {
    "property": "property",
    "similar_to": "similar to",
    "unlike": "unlike",
    "has": "has SMARTS",
    "lacks": "lacks SMARTS",
    "alerts": "structural alerts",
    "unseen_rings": "unseen ring systems",
    "novel": "novel",
    "likelihood": "likelihood",
    **({"admet": "ADMET prediction"} if installed("admet") else {}),
    **({"buyable": "can be bought"} if installed("buyable") else {}),
}
MEAN = "geometric"
EXAMPLE: tuple[Part, ...] = (
    {"property": "qed"},
    {"property": "logp", "range": {"low": 1.0, "high": 3.0}},
    {"similar_to": ["CC(C)Cc1ccc(cc1)C(C)C(=O)Nc1ccccc1"], "sigmoid": {"zero": 0.1, "one": 0.6}},
)


def kind_of(part: Part) -> str:
    """The kind of a component."""
    return next(kind for kind in KINDS if kind in part)


def read(text: str, label: str, model: Model) -> tuple[str, list[Part]]:
    """The mean and the components of a TOML text. Raises InputError for what is wrong, and for a person's own code."""
    parse_objective(text, label, Place(model, None))
    table = tomllib.loads(text)
    return table.get("mean", MEAN), table["component"]


def parsed(text: str, model: Model) -> Objective:
    """The objective that the editor has made. Raises InputError for what is wrong."""
    return parse_objective(text, LABEL, Place(model, None))


def named(parts: Sequence[Part]) -> list[Part]:
    """The same components; where several have no name and would have the same, all but the first get a number."""
    seen: Counter[str] = Counter()
    found = []
    for part in parts:
        kind = kind_of(part)
        usual = usual_name(kind, part[kind])
        seen[usual] += "name" not in part
        again = "name" not in part and seen[usual] > 1
        found.append({**part, "name": f"{usual} {seen[usual]}"} if again else part)
    return found


def to_toml(mean: str, parts: Sequence[Part]) -> str:
    """The text that `read` reads."""
    lines = [f"mean = {_value(mean)}"]
    for part in parts:
        lines += ["", "[[component]]", *(f"{key} = {_value(value)}" for key, value in part.items())]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_value(one)}' for key, one in value.items())}}}"
    return f"{value:.12g}"

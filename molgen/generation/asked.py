"""What a user asks for, as text, becomes what is wanted of a model; or an error that says what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from molgen.errors import InputError
from molgen.generation.cores import parse_core
from molgen.generation.leads import Lead, parse_lead, with_core
from molgen.generation.wanted import Sizes, Span, Wanted
from molgen.models.base import Backend
from molgen.models.checkpoints import Model
from molgen.models.registry import families
from molgen.molecules.composition import Request, atoms_request, formula_request

SAME = 0.5  # by which a target may be off what a formula settles


def parse_wanted(
    model: Model,
    *,
    formula: str | None = None,
    atoms: str | None = None,
    core: str | None = None,
    targets: Sequence[str] = (),
    guidance: float = 0.0,
    size: str | None = None,
    like: str | None = None,
    noise: float | None = None,
) -> Wanted:
    """What is wanted of a model, from text.

    formula, atoms: see molgen.molecules.composition; core: SMILES; targets: such as "logp=2.5" or "mw=250:350", where
    an end left out is that of 90 % of the training molecules; size: heavy atoms, such as "24" or "20:27"; like: SMILES
    of a lead, noise: how far it is noised, where that is known.
    Raises InputError for what cannot be read, what the model cannot do or was not trained to be told, and for what
    does not go together.
    """
    request = _parse_request(model, formula, atoms)
    if not (np.isfinite(guidance) and guidance >= 0):
        raise InputError(f"guidance should be 0 or more, got {guidance:g}")
    if guidance and not targets and model.backend.heard_hydrogens(request) is None:
        raise InputError(
            f"guidance {guidance:g} goes with targets, or with a formula where the model knows hydrogens as a target; "
            "none are given"
        )
    if core is not None and not model.backend.config.known_parts:
        raise InputError(f"model {model.name} was not trained to keep a core; choose another model")
    spans = [_parse_target(text, model) for text in targets]
    values = dict(spans)
    if len(values) < len(spans):
        twice = next(name for name, count in Counter(name for name, _ in spans).items() if count > 1)
        raise InputError(f"target {twice!r} is given more than once; give one value, or one range")
    kept = None if core is None else parse_core(core, model.vocabulary)
    sizes = None if size is None else _parse_sizes(size)
    lead = None if like is None else replace(_parse_like(like, model), noise=noise)
    if lead is not None:
        if request is not None:
            raise InputError("ask either for analogues of a molecule or for a formula or atoms, not for both")
        if sizes is not None:
            raise InputError(f"analogues have as many heavy atoms as their lead, {lead.size}; leave out size {sizes}")
        if kept is not None:
            lead, kept = with_core(lead, kept, model.vocabulary)
            if kept.size == lead.size and (kept.piece == 0).all():
                raise InputError(f"the core {core} is the whole molecule {lead.smiles}: nothing is left to change")
    wanted = Wanted(kept, values, guidance, request, sizes, lead)
    if wanted.is_large(model.statistics):
        _check_large(wanted, model)
    if request is None and lead is None:
        wanted.size_weights(model.statistics)  # is there room for the core, and a size that the model knows?
    elif request is not None:
        _check_request(wanted, request, model)
    return wanted


def _parse_like(text: str, model: Model) -> Lead:
    if not model.backend.starts:
        but = ", with a process of ours" if type(model.backend).starts else ""
        raise InputError(
            f"model {model.name} ({model.backend_name}) makes no analogues; {families(_starts)} models do{but}"
        )
    lead = parse_lead(text, model.vocabulary)
    possible = np.flatnonzero(model.statistics.sizes)
    if lead.size < possible[0]:
        raise InputError(
            f"the molecule {lead.smiles} has {lead.size} heavy atoms; the model makes molecules of {possible[0]} to "
            f"{possible[-1]}"
        )
    return lead


def _check_large(wanted: Wanted, model: Model) -> None:
    """Raises InputError where a core or lead is too large for the model, and it cannot be shown a part of it."""
    large = wanted.lead or wanted.core
    assert large is not None
    what = f"{'molecule' if wanted.lead else 'core'} {large.smiles} has {large.size} heavy atoms"
    what += f", size {wanted.sizes} is asked for" if wanted.sizes else ""
    largest = len(model.statistics.sizes) - 1
    if not (model.backend.config.known_parts and model.backend.keeps_parts):
        raise InputError(f"the {what}; model {model.name} makes molecules of up to {largest}")
    if wanted.targets:
        raise InputError(
            f"the {what}, and the model makes molecules of up to {largest}: it is shown a part of it, and cannot be "
            "told properties of the whole; leave out targets"
        )
    if wanted.lead is not None:
        wanted.shown(model.statistics, wanted.lead.size, np.random.default_rng(0))


def _starts(family: type[Backend]) -> bool:
    return family.starts


def _check_request(wanted: Wanted, request: Request, model: Model) -> None:
    """Raises InputError where the atoms asked for contradict the size or the core, or the model takes no both."""
    what = f"{'atoms' if request.degrees else 'formula'} {request.text}"
    settled = {} if request.hydrogens is None else {"hydrogens": request.hydrogens, "mw": round(request.weight, 3)}
    for name, value in settled.items():
        if name in wanted.targets and wanted.targets[name].off(pd.Series([value]))[0] > SAME:
            raise InputError(f"{what} has {name}={value:g}, and {name}={wanted.targets[name]} is asked for")
    if wanted.sizes is not None and not wanted.sizes.low <= request.size <= wanted.sizes.high:
        raise InputError(f"{what} has {request.size} heavy atoms, and size {wanted.sizes} is asked for")
    if wanted.core is None:
        return
    if request.degrees or not model.backend.core_with_formula:
        raise InputError(f"ask either for a core or for {'atoms' if request.degrees else 'a formula'}, not for both")
    elements = Counter(model.vocabulary.atoms[node].element for node in wanted.core.nodes.tolist())
    lacking = elements - Counter(request.elements)
    if lacking:
        missing = ", ".join(f"{count} {element}" for element, count in lacking.items())
        raise InputError(f"{what} lacks atoms of the core {wanted.core.smiles}: {missing}")
    if wanted.core.size == request.size:
        raise InputError(f"{what} has no atom beyond those of the core {wanted.core.smiles}")


def _parse_request(model: Model, formula: str | None, atoms: str | None) -> Request | None:
    for kind, text in (("formula", formula), ("atoms", atoms)):
        if text is not None and kind not in model.backend.requests:
            takers = families(partial(_takes, kind))
            raise InputError(f"model {model.name} ({model.backend_name}) takes no {kind}; {takers} models do")
    if formula is not None and atoms is not None:
        raise InputError("ask either for a formula or for atoms, not for both")
    if formula is not None:
        return formula_request(formula, model.vocabulary, model.statistics.sizes)
    return None if atoms is None else atoms_request(atoms, model.vocabulary, model.statistics.sizes)


def _takes(kind: str, family: type[Backend]) -> bool:
    return kind in family.requests


def _parse_target(text: str, model: Model) -> tuple[str, Span]:
    name, _, value = (part.strip() for part in text.rpartition("="))  # a column may be called anything
    ends = [part.strip() for part in value.split(":")]
    try:
        numbers = [float(end) if end else None for end in ends]
    except ValueError:
        numbers = []
    if not name or len(numbers) not in (1, 2) or numbers in ([None], [None, None]):
        raise InputError(
            f"target {text!r} should be a property and a number, such as logp=2.5, or a range, such as logp=2:3"
        )
    known = {target.name.strip(): target for target in model.statistics.targets}
    if name not in known:
        names = ", ".join(known) or "none: it was not trained with properties"
        raise InputError(f"unknown target {name!r}; this model knows {names}")
    # an end left out is that of most training molecules, but never on the other side of the one given
    given = [number for number in numbers if number is not None]
    low = numbers[0] if numbers[0] is not None else min(known[name].low, given[0])
    high = numbers[-1] if numbers[-1] is not None else max(known[name].high, given[0])
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"target {text!r} should be a finite number")
    if low > high:
        raise InputError(f"target {text!r}: the range should go upwards")
    return known[name].name, Span(low, high, numbers[0] is None, numbers[-1] is None)


def _parse_sizes(text: str) -> Sizes:
    ends = [part.strip() for part in text.split(":")]
    if len(ends) > 2 or not all(end.isascii() and end.isdigit() and len(end) < 5 for end in ends):
        raise InputError(f"size {text!r} should be a number of heavy atoms, such as 24, or a range, such as 20:27")
    low, high = int(ends[0]), int(ends[-1])
    if not 1 <= low <= high:
        raise InputError(f"size {text!r} should be at least 1 and go upwards, such as 20:27")
    return Sizes(low, high)

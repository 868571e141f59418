"""Drawing node parts that a request asks for: a formula, or atoms with their numbers of neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from molgen.errors import InputError
from molgen.models.edge.degrees import part_of, tokens_of
from molgen.models.edge.node_part import NodePartModel
from molgen.models.edge.node_part_sampling import PROPOSALS, ROUNDS, Walk
from molgen.models.edge.process import NodePart
from molgen.models.noise import sample_classes, sample_rows
from molgen.molecules.vocabulary import Vocabulary

if TYPE_CHECKING:
    from molgen.molecules.composition import Request

SPARE = 4  # fitting proposals for each draw


@torch.no_grad()
def sample_requested(
    model: NodePartModel,
    vocabulary: Vocabulary,
    request: Request,
    count: int,
    generator: torch.Generator | None,
    told: Tensor | None = None,
    guidance: float = 0.0,
) -> NodePart:
    """Node parts drawn under a request: its atoms, its hydrogens, no charge over all, an even sum of degrees.

    told: float [count, width], encoded targets; graphs with the same ones are drawn together. Raises InputError for a
    request that the model never meets.
    """
    from molgen.molecules.encoding import implied_hydrogens  # training does without RDKit

    device = model.token.weight.device
    every = part_of(torch.arange(model.count))
    atoms = [vocabulary.atoms[number] for number in every.atoms.tolist()]
    valences, degrees = every.valence.tolist(), every.degree.tolist()
    hydrogens = [implied_hydrogens(atom, valence) for atom, valence in zip(atoms, valences, strict=True)]
    # a request for degrees is for so many atoms of each element and degree, another for so many of each element
    by_degree = request.degrees is not None
    asked = list(zip(request.elements, request.degrees or [0] * request.size, strict=True))
    groups = sorted(set(asked))
    group = [
        groups.index(kind) if kind in groups and hydrogen is not None else -1
        for atom, degree, hydrogen in zip(atoms, degrees, hydrogens, strict=True)
        for kind in [(atom.element, degree if by_degree else 0)]
    ]
    wanted = torch.tensor([asked.count(kind) for kind in groups], device=device)
    charge = torch.tensor([atom.charge for atom in atoms], device=device)
    held = torch.tensor([hydrogen or 0 for hydrogen in hydrogens], device=device)
    ends = torch.tensor(degrees, device=device)

    def fits(tokens: Tensor) -> Tensor:
        bonds = ends[tokens].sum(1)
        fine = (charge[tokens].sum(1) == 0) & (bonds % 2 == 0) & (bonds >= 2 * (tokens.shape[1] - 1))
        if request.hydrogens is not None:
            fine &= held[tokens].sum(1) == request.hydrogens
        return fine

    tokens = torch.zeros(count, request.size, dtype=torch.int64, device=device)
    groups_of = torch.tensor(group, device=device)
    asked_of: list[Tensor | None] = [None]
    kind = torch.zeros(count, dtype=torch.int64, device=device)
    if told is not None:
        distinct, kind = told.unique(dim=0, return_inverse=True)  # type: ignore[no-untyped-call]  # as in torch
        asked_of = list(distinct.split(1))
    for number, one in enumerate(asked_of):
        rows = (kind == number).nonzero()[:, 0]
        part = draw_given(model, len(rows), groups_of, wanted, fits, generator, one, guidance)
        if part is None:
            raise InputError(f"the model finds no atoms for {request.text}: none like it were in its training data")
        tokens[rows] = tokens_of(part)
    return part_of(tokens)


@torch.no_grad()
def draw_given(
    model: NodePartModel,
    count: int,
    group: Tensor,
    wanted: Tensor,
    fits: Callable[[Tensor], Tensor],
    generator: torch.Generator | None,
    told: Tensor | None = None,
    guidance: float = 0.0,
) -> NodePart | None:
    """`count` draws from p(node part | a request), by importance resampling; None if nothing was found.

    group: int64 [tokens], the group that a token counts for, -1 where it may not come; wanted: int64 [groups], nodes of
    each group; fits: tokens [k, n] -> bool [k], what the numbers of each group do not settle; told: float [1, width].
    Tokens are drawn one by one from those that leave room for the rest, which counts against their weight.
    """
    tokens, weights = [], []
    for _ in range(ROUNDS):
        drawn, log_weight = _proposals(model, PROPOSALS, group, wanted, generator, told, guidance)
        good = log_weight.isfinite()
        good[good.clone()] = fits(drawn[good])
        tokens.append(drawn[good])
        weights.append(log_weight[good])
        if sum(map(len, tokens)) >= SPARE * count:
            break
    found, log_weights = torch.cat(tokens), torch.cat(weights)
    if not len(found):
        return None
    return part_of(found[sample_rows(log_weights.softmax(0), count, generator)])


def _proposals(
    model: NodePartModel,
    count: int,
    group: Tensor,
    wanted: Tensor,
    generator: torch.Generator | None,
    told: Tensor | None,
    guidance: float,
) -> tuple[Tensor, Tensor]:
    """Tokens [count, n] with the wanted number of each group, and log of p over their chance to be drawn, [count]."""
    walk = Walk(model, count, None if told is None else told.expand(count, -1), None, guidance)
    positions = torch.arange(model.count, device=group.device)
    # tokens rise, so a group can be served as long as its largest token is not passed
    last = torch.stack([positions[group == number].max() for number in range(len(wanted))])
    left = wanted.expand(count, -1).clone()
    log_weight = walk.hidden.new_zeros(count)
    tokens = []
    for position in range(int(wanted.sum()), 0, -1):
        log_p = walk.log_p(position)
        limit = torch.where(left > 0, last, model.count).min(dim=1, keepdim=True).values
        open_groups = torch.cat([left > 0, torch.zeros_like(left[:, :1], dtype=torch.bool)], dim=1)  # the last is -1's
        allowed = open_groups[:, group] & (positions <= limit)
        masked = log_p.masked_fill(~allowed, -torch.inf)
        total = masked.logsumexp(1)
        log_weight = log_weight + total
        alive = total.isfinite()[:, None]
        p = torch.where(alive, (masked - total[:, None]).exp(), allowed / allowed.sum(1, keepdim=True).clamp(min=1))
        previous = sample_classes(p, generator)
        walk.take(previous)
        left = left.scatter_add(1, group[previous].clamp(min=0)[:, None], -torch.ones_like(left[:, :1]))
        tokens.append(previous)
    return torch.stack(tokens, dim=1), log_weight

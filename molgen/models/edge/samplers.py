"""The reverse process of EDGE: bonds come back at active nodes.

A sampler is a function of (network, state, steps, generator, guidance, callback) -> the state with its bonds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from molgen.models.base import Callback
from molgen.models.conditions import guided
from molgen.models.edge.network import BondLogits
from molgen.models.edge.process import (
    TRIPLE,
    Partial,
    active_probability,
    allowed_orders,
    alpha_bar,
    candidate_pairs,
    return_probability,
    unbonded,
)
from molgen.models.edge.structure import Pieces
from molgen.models.noise import uniform

# how often the bonds of a graph are drawn again from their start where the last of them found no place
AGAIN = 4
# of a sampler's steps, the share at its end in which graphs that still lack bonds get them one by one
COMPLETION = 0.125
# of the bonds that are there, and not known, the share that `revising` takes back before each step but those
TAKEN_BACK = 0.03


def ancestral(
    network: BondLogits,
    state: Partial,
    steps: int,
    generator: torch.Generator | None,
    guidance: float,
    callback: Callback | None,
    *,
    masked: bool = True,
    taken_back: float = 0.0,
) -> Partial:
    """Draws from q(bonds at s | bonds at t, node part) at even times, each missing bond from the network.

    masked: only bonds that can be in a connected graph with these degrees and valences. taken_back: the share of the
    bonds that are removed again before each step but those of COMPLETION, as the forward process would take them; the
    step back is that much longer.
    """
    planned = steps - int(COMPLETION * steps)
    known = len(state.first)
    for done in range(1, steps + 1):
        now, then = 1 - min(done - 1, planned - 1) / planned, 1 - min(done, planned) / planned
        if taken_back and done <= planned:
            kept = uniform(state.first.shape, generator, state.first.device) >= taken_back
            kept[:known] = True
            state, now = state.with_kept(kept), 1 - (1 - now) * (1 - taken_back)
        state = _reverse(network, state, now, then, done > planned, generator, guidance, masked)
        if callback is not None:
            callback(done, steps, state.graphs)
    return state


def ancestral_to_the_end(
    network: BondLogits,
    state: Partial,
    steps: int,
    generator: torch.Generator | None,
    guidance: float,
    callback: Callback | None,
    *,
    taken_back: float = 0.0,
) -> Partial:
    """`ancestral` with masks; graphs that end with fewer bonds than their node parts are drawn again, AGAIN times.

    So the bonds are a draw given that all of them find a place; the callback sees the first time alone.
    """
    drawn = ancestral(network, state, steps, generator, guidance, callback, taken_back=taken_back)
    for _ in range(AGAIN):
        lacking = (drawn.missing()[0] > 0).view(-1, state.part.size).any(1)
        if not lacking.any():
            break
        fresh = ancestral(network, state.of_graphs(lacking), steps, generator, guidance, None, taken_back=taken_back)
        drawn = drawn.with_graphs(lacking, fresh)
    return drawn


SAMPLERS: dict[str, Callable[[BondLogits, Partial, int, torch.Generator | None, float, Callback | None], Partial]] = {
    "ancestral": ancestral_to_the_end,
    "revising": partial(ancestral_to_the_end, taken_back=TAKEN_BACK),
    "unmasked": partial(ancestral, masked=False),
}


def _reverse(
    network: BondLogits,
    state: Partial,
    now: float,
    then: float,
    late: bool,
    generator: torch.Generator | None,
    guidance: float,
    masked: bool,
) -> Partial:
    """One step from time `now` to `then`; late: every graph that lacks bonds has one active node.

    The network sees the graphs with active nodes alone.
    """
    size, count = state.part.size, len(state.part.atoms)
    missing, _ = state.missing()
    if late:
        # one missing end of each graph: the largest of its nodes' exponential clocks
        clock = missing / -torch.log(uniform(missing.shape, generator, missing.device).clamp(1e-12, 1 - 1e-7))
        best = clock.view(count, size).max(1, keepdim=True).values
        active = ((clock.view(count, size) == best) & (best > 0)).flatten()
    else:
        p = return_probability(alpha_bar(torch.tensor(now)), alpha_bar(torch.tensor(then))).to(missing.device)
        active = uniform(missing.shape, generator, missing.device) < active_probability(missing, p)
    chosen = active.view(count, size).any(1)
    if not chosen.any():
        return state
    first, second, order = _draw_bonds(
        network,
        state.of_graphs(chosen),
        active.view(count, size)[chosen].flatten(),
        (missing > 0).view(count, size)[chosen].flatten(),
        generator,
        guidance,
        masked,
    )
    graphs = chosen.nonzero()[:, 0]
    back = graphs[first // size] * size - (first // size) * size
    first, second = first + back, second + back
    # distinct numbers, so that no two bonds of a graph come first
    priority = torch.argsort(uniform(order.shape, generator, order.device)).float()
    return accepted(state, first, second, order, priority, masked=masked)


def _draw_bonds(
    network: BondLogits,
    state: Partial,
    active: Tensor,
    open_nodes: Tensor,
    generator: torch.Generator | None,
    guidance: float,
    masked: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """A bond for each active node that can have one: its nodes and order, int64 [k] each."""
    first, second = candidate_pairs(active, open_nodes, state.part.size)
    fresh = unbonded(state, first, second)
    first, second = first[fresh], second[fresh]
    if not len(first):
        return first, second, first
    logits_of = network if masked else network.unmasked
    logits = logits_of(state, first, second)
    if guidance and state.given is not None:
        # of unnormalised logits: what is left out is the same for all bonds that a node draws from
        logits = guided(logits, logits_of(state.untold(), first, second), guidance)
    # both ends of a pair may be active, and each draws for itself: the largest of the logits with Gumbel noise
    nodes = torch.cat([first, second[active[second]]])
    rows = torch.cat([torch.arange(len(first), device=first.device), active[second].nonzero()[:, 0]])
    scores = logits[rows] - torch.log(
        -torch.log(uniform((len(rows), TRIPLE), generator, rows.device).clamp(1e-7, 1 - 1e-7))
    )
    best, order = scores.max(1)
    highest = best.new_full((state.nodes,), -torch.inf).scatter_reduce(0, nodes, best, "amax")
    taken = (best == highest[nodes]) & best.isfinite()
    return first[rows[taken]], second[rows[taken]], order[taken] + 1


def accepted(
    state: Partial, first: Tensor, second: Tensor, order: Tensor, priority: Tensor, *, masked: bool = True
) -> Partial:
    """The state with those of the drawn bonds that fit together, taken one in each graph at a time, by priority.

    Not masked: all of them, but of those between the same two nodes the first.
    """
    size, count = state.part.size, len(state.part.atoms)
    while len(first):
        best = priority.new_full((count,), -1.0).scatter_reduce(0, first // size, priority, "amax")
        chosen = priority == best[first // size]
        one, other, orders = first[chosen], second[chosen], order[chosen]
        fits = unbonded(state, one, other)
        if masked:
            degree, valence = state.missing()
            fits &= allowed_orders(degree, valence, one, other).gather(1, orders[:, None] - 1)[:, 0]
            fits &= Pieces.of(state, degree).joinable(one, other)
        state = state.with_bonds(one[fits], other[fits], orders[fits])
        first, second, order, priority = (values[~chosen] for values in (first, second, order, priority))
    return state

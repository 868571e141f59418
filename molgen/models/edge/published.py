"""The process of EDGE as its authors have it (Chen et al., ICML 2023, section 3), for bonds of several orders.

Bonds are removed independently in T steps of the published linear schedule. A node is active in step t if it lost a
bond in it; on the way back active nodes are drawn independently of each other from q(s_t | degree at t, final degree),
and every pair of active nodes that has no bond yet gets one, or none, from the network. Nothing is masked: no valence,
no degree, no piece that is closed too early. The authors have one class of bonds; here the network says which order.
"""

from __future__ import annotations

import torch
from torch import Tensor

from molgen.models.base import Callback
from molgen.models.conditions import Condition, guided
from molgen.models.edge.process import (
    Given,
    NodePart,
    Partial,
    bonds_of,
    candidate_pairs,
    pair_keys,
    return_probability,
    unbonded,
)
from molgen.models.edge.published_network import ActiveNetwork
from molgen.models.noise import sample_classes, uniform
from molgen.molecules.graph import GraphBatch

# beta of the published linear schedule, from first to last step, times the number of steps
FIRST_BETA, LAST_BETA = 0.1, 20.0


def levels(timesteps: int) -> Tensor:
    """Share of the bonds left after 0 to T steps, float64 [T + 1]; none after the last, of whose 1e-5 it makes 0."""
    beta = torch.linspace(FIRST_BETA, LAST_BETA, timesteps, dtype=torch.float64) / timesteps
    left = (1 - beta).cumprod(0)
    left[-1] = 0.0
    return torch.cat([left.new_ones(1), left])


def active_pairs(state: Partial, active: Tensor) -> tuple[Tensor, Tensor]:
    """The pairs of active nodes of a graph that have no bond, int64 [q] each; active: bool [b * n]."""
    first, second = candidate_pairs(active, active, state.part.size)
    fresh = unbonded(state, first, second)
    return first[fresh], second[fresh]


def log_active(active: Tensor, missing: Tensor, p: Tensor) -> Tensor:
    """log q(active or not) of nodes that lack `missing` bonds, each of which comes back with p, all [b * n]."""
    log_none = torch.special.xlog1py(missing.to(p.dtype), -p)
    # a node that lacks nothing is never active: its logarithm is only looked up, not used
    some = -torch.expm1(log_none)
    return torch.where(active, some.clamp(min=1e-30).log(), log_none)


def step_nats(
    network: ActiveNetwork,
    batch: GraphBatch,
    now: Tensor,
    then: Tensor,
    time: Tensor,
    given: Given | None = None,
) -> Tensor:
    """-log p(bonds at t - 1 | bonds at t, active nodes) of each graph, float [b]: what is trained.

    now, then: bool [m], which of the bonds (in the order of `bonds_of`) are there at t and at t - 1; time: t / T, [b].
    """
    first, second, order = bonds_of(batch)
    state = Partial(NodePart.of(batch), first[now], second[now], order[now], given)
    back = then & ~now
    first, second, order = first[back], second[back], order[back]
    active = torch.zeros(state.nodes, dtype=torch.bool, device=first.device)
    active[first] = True
    active[second] = True
    one, other = active_pairs(state, active)
    total = torch.zeros(len(batch), device=first.device)
    if not len(one):
        return total
    keys, rank = pair_keys(one, other, state.nodes).sort()
    goal = torch.zeros_like(one)
    goal[rank[torch.searchsorted(keys, pair_keys(first, second, state.nodes))]] = order
    log_p = network(state, one, other, active, time).log_softmax(-1)
    return total.index_add(0, one // batch.size, -log_p.gather(1, goal[:, None])[:, 0])


def step_constant(batch: GraphBatch, now: Tensor, then: Tensor, p: Tensor) -> Tensor:
    """What the bound has besides `step_nats`: -log q(active nodes) + log q(bonds at t - 1 | bonds at t, graph), [b].

    The network has no part in it. p: of a missing bond to come back in the step, float [b].
    """
    first, second, order = bonds_of(batch)
    state = Partial(NodePart.of(batch), first[now], second[now], order[now])
    back = then & ~now
    active = torch.zeros(state.nodes, dtype=torch.bool, device=first.device)
    active[first[back]] = True
    active[second[back]] = True
    of_nodes = log_active(active, state.missing()[0], p.repeat_interleave(batch.size)).view(-1, batch.size)
    graph = first // batch.size
    returned = torch.where(now, 0.0, torch.where(then, p[graph].log(), torch.log1p(-p[graph])))
    return torch.zeros_like(p).index_add(0, graph, returned) - of_nodes.sum(1)


def drawn_bonds(
    batch: GraphBatch, step: Tensor, timesteps: int, generator: torch.Generator | None, condition: Condition | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Which bonds are there at t and at t - 1, bool [m] each, and p of `step_constant`, float [b]; step: t, [b]."""
    left = levels(timesteps).to(step.device)
    graph = bonds_of(batch)[0] // batch.size
    draw = uniform((len(graph),), generator, graph.device)
    now, then = draw < left[step][graph], draw < left[step - 1][graph]
    if condition is not None:
        known = condition.known_pairs[batch.pairs > 0]  # in the order of bonds_of
        now, then = now | known, then | known
    return now, then, return_probability(left[step], left[step - 1]).float()


def bond_loss(
    network: ActiveNetwork,
    batch: GraphBatch,
    step: Tensor,
    timesteps: int,
    generator: torch.Generator | None,
    condition: Condition | None = None,
    told: Tensor | None = None,
) -> Tensor:
    """The bound's part that the network learns from, for each bond of the graph, from one step of T, float [b].

    Known bonds are there at any time; told: float [b, width], encoded targets.
    """
    now, then, _ = drawn_bonds(batch, step, timesteps, generator, condition)
    given = None if condition is None else Given.of(condition, told)
    nats = step_nats(network, batch, now, then, step / timesteps, given)
    return timesteps * nats / (batch.pairs > 0).sum(1).clamp(min=1)


def bound_term(
    network: ActiveNetwork, batch: GraphBatch, step: Tensor, timesteps: int, generator: torch.Generator | None
) -> Tensor:
    """The bound on -log p(bonds | node part) in nats, from one step of T for each graph, float [b]; step: t, [b]."""
    now, then, p = drawn_bonds(batch, step, timesteps, generator, None)
    nats = step_nats(network, batch, now, then, step / timesteps)
    return timesteps * (nats + step_constant(batch, now, then, p))


def ancestral(
    network: ActiveNetwork,
    state: Partial,
    timesteps: int,
    steps: int,
    generator: torch.Generator | None,
    guidance: float,
    callback: Callback | None,
) -> Partial:
    """Active nodes, then bonds between them, in all T steps, or in fewer between some of the T levels."""
    left = levels(timesteps)
    times = torch.linspace(timesteps, 0, steps + 1, dtype=torch.float64).round().long()
    for done in range(1, steps + 1):
        now, then = int(times[done - 1]), int(times[done])
        p = return_probability(left[now], left[then]).float()
        state = _reverse(network, state, now / timesteps, p.to(state.part.atoms.device), generator, guidance)
        if callback is not None:
            callback(done, steps, state.graphs)
    return state


def _reverse(
    network: ActiveNetwork, state: Partial, time: float, p: Tensor, generator: torch.Generator | None, guidance: float
) -> Partial:
    """One step back; the network sees the graphs with active pairs alone."""
    size = state.part.size
    missing = state.missing()[0].clamp(min=0)  # nothing keeps a node from having more bonds than it should
    draws = uniform(missing.shape, generator, missing.device)
    active = draws < 1 - (1 - p) ** missing
    first, _ = active_pairs(state, active)
    if not len(first):
        return state
    graphs = (first // size).unique()  # type: ignore[no-untyped-call]  # as in torch
    chosen = torch.zeros(len(state.part.atoms), dtype=torch.bool, device=first.device)
    chosen[graphs] = True
    part, active = state.of_graphs(chosen), active.view(-1, size)[chosen].flatten()
    first, second = active_pairs(part, active)
    times = torch.full((len(graphs),), time, device=first.device)
    logits = network(part, first, second, active, times)
    if guidance and part.given is not None:
        logits = guided(logits, network(part.untold(), first, second, active, times), guidance)
    order = sample_classes(logits.softmax(-1), generator)
    new = order > 0
    back = graphs[first // size] * size - (first // size) * size
    return state.with_bonds((first + back)[new], (second + back)[new], order[new])

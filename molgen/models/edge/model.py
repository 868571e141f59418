"""EDGE: bonds added at few active nodes, guided by degrees (Chen et al., ICML 2023), for typed atoms and bonds.

The authors' graphs have neither classes of nodes nor of edges; their process is a choice of the configuration
(`molgen.models.edge.published`). Here the node part, drawn first or given, holds each node's class, degree and valence
(sum of bond orders), so that in our process valences are right by construction wherever the degrees are obtained. Known
bonds are there from the start, known atoms get node parts that have room for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from molgen.data.dataset import Statistics
from molgen.device import autocast
from molgen.models.base import Backend, Callback, Drawing
from molgen.models.conditions import Condition
from molgen.models.config import BackendConfig
from molgen.models.digress.network import Denoiser
from molgen.models.edge import published
from molgen.models.edge.config import EDGEConfig
from molgen.models.edge.degrees import KINDS, graphical, tokens_of
from molgen.models.edge.likelihood import bond_loss, log_arrangements
from molgen.models.edge.network import BondLogits, BondNetwork
from molgen.models.edge.node_part import NodePartModel
from molgen.models.edge.node_part_requests import sample_requested
from molgen.models.edge.node_part_sampling import ROUNDS, sample_known_node_parts, sample_node_parts
from molgen.models.edge.pair_network import PairBondNetwork
from molgen.models.edge.process import Given, NodePart, Partial, bonds_of, known_graph
from molgen.models.edge.published_network import ActiveNetwork
from molgen.models.edge.samplers import SAMPLERS
from molgen.models.noise import spread_uniforms
from molgen.molecules.graph import GraphBatch
from molgen.molecules.vocabulary import Vocabulary


class EDGE(Backend):
    """The backend: node part, bonds and sampler. See molgen.models.base.Backend."""

    Config: ClassVar[type[BackendConfig]] = EDGEConfig
    atom_axes: ClassVar[dict[str, tuple[int, int, int]]] = {
        "network.node_in.0.weight": (1, 1, 1),
        "node_part.token.weight": (0, 1, KINDS),
        "node_part.out.2.weight": (0, 1, KINDS),
        "node_part.out.2.bias": (0, 1, KINDS),
    }
    known_axes: ClassVar[tuple[str, ...]] = ("network.node_in.0.weight", "node_part.left.weight")
    new_modules: ClassVar[tuple[str, ...]] = ("node_part",)  # which a DiGress lacks
    adopts: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "digress": ("layers", "width", "heads", "pair_width", "triangles")
    }
    requests: ClassVar[tuple[str, ...]] = ("formula", "atoms")
    core_with_formula: ClassVar[bool] = False
    chooses = True
    as_published: ClassVar[tuple[str, ...]] = ("unmasked",)
    again = 1.0
    sampler_help: ClassVar[Mapping[str, str]] = {
        "ancestral": "add bonds at a few active atoms at each step",
        "revising": "the same, and take a few bonds back before each step",
        "unmasked": "the same without masks, for measurements: next to nothing is valid of a model trained with them",
    }
    forming: ClassVar[str] = (
        "The atoms and their numbers of bonds are drawn first. Then, step by step, a few atoms become active and bonds "
        "are added between them."
    )
    samplers = tuple(SAMPLERS)
    default_steps = 64
    config: EDGEConfig
    network: BondLogits | ActiveNetwork

    def __init__(self, config: EDGEConfig, vocabulary: Vocabulary, statistics: Statistics) -> None:
        super().__init__(config, vocabulary, statistics)
        atoms = len(vocabulary.atoms)
        self.node_part = NodePartModel(atoms, config.node_width, known_parts=config.known_parts)
        kind: Callable[..., BondLogits | ActiveNetwork] = BondNetwork
        if config.pair_width:
            kind = partial(PairBondNetwork, pair_width=config.pair_width, triangles=config.triangles)
        words = {name: self.sampler_help[name] for name in sorted(SAMPLERS, key=lambda name: name != config.sampler)}
        self.default_steps = config.sampling_steps
        if config.process == "published":
            kind = ActiveNetwork
            words = {"ancestral": "add bonds among a few active atoms at each step"}
            self.default_steps = self.max_steps = config.timesteps
        elif not config.masks:
            words = {"unmasked": "add bonds at a few active atoms at each step, with nothing left out"}
        self.samplers = tuple(words)
        if config.process == "published":  # draws once
            self.chooses = False
            self.as_published = self.samplers  # type: ignore[misc]  # of this model alone
        elif not config.masks:  # its only sampler is its own
            self.as_published = ()  # type: ignore[misc]
        self.sampler_help = words  # type: ignore[misc]  # the samplers are the model's own as well
        self.network = kind(
            atoms,
            layers=config.layers,
            width=config.width,
            heads=config.heads,
            node_width=config.node_width,
            known_parts=config.known_parts,
            targets=statistics.targets,
        )
        if isinstance(self.network, BondLogits):
            self.network.masked = config.masks

    def weights_of(self, other: Backend) -> Mapping[str, Tensor] | None:
        """Of an EDGE its own; of a DiGress those that a network with a track of pairs can take over, else None."""
        denoiser = other.network
        if not (isinstance(self.network, PairBondNetwork) and isinstance(denoiser, Denoiser)):
            return super().weights_of(other)
        weights = self.network.weights_of(denoiser, targets=self.targets == other.targets)
        return {f"network.{name}": tensor for name, tensor in weights.items()}

    def _loss(self, batch: GraphBatch, generator: torch.Generator | None, condition: Condition | None) -> Tensor:
        """-log p of the node part per node, plus the mean -log p of the missing bonds at a uniform time, [b].

        Known bonds are never missing, and of the node part counts what the known atoms and bonds leave open.
        """
        time = 1 - spread_uniforms(len(batch), generator, batch.nodes.device)
        part = NodePart.of(batch)
        for_bonds, for_nodes = self._encoded(condition)
        tokens, known = self.node_part.arranged(part, self._known(condition))
        nodes = -self.node_part.log_probability(tokens, for_nodes, known) / batch.size
        if isinstance(self.network, ActiveNetwork):
            step, timesteps = self._step(1 - time), self.config.timesteps
            return nodes + published.bond_loss(self.network, batch, step, timesteps, generator, condition, for_bonds)
        return nodes + bond_loss(self.network, batch, part, time, generator, condition, for_bonds)

    def _step(self, uniform: Tensor) -> Tensor:
        """The step 1..T of the published process, int64 [b], of numbers in [0, 1]."""
        return (uniform * self.config.timesteps).long().clamp(max=self.config.timesteps - 1) + 1

    def _sample(self, size: int, count: int, drawing: Drawing) -> GraphBatch:
        """Node parts under what is known, then their bonds, of which the known ones are there from the start.

        A graph may end with fewer bonds than its node part asks for, where no pair is left that could take one. Drawn
        again, it gets all bonds that are not known anew, see `_nodes_again`.
        """
        condition = self.told(drawing.request, drawing.condition, count)
        if condition is not None and drawing.request is not None:
            # an atom of a request may have a charge, so that its class is not known before it is drawn
            condition = replace(condition, known_nodes=torch.zeros_like(condition.known_nodes))
        part = self._draw_nodes(size, count, condition, drawing)
        if drawing.start is not None:
            part = self._nodes_again(drawing.start.graph, part)
        state = self._without_bonds(part)
        if condition is not None:
            first, second, order = bonds_of(known_graph(condition))
            state = state.with_bonds(first, second, order)
            state = replace(state, given=Given.of(condition, self._encoded(condition)[0]))
        return self._bonded(state, drawing)

    def _bonded(self, state: Partial, drawing: Drawing) -> GraphBatch:
        options = (drawing.steps, drawing.generator, drawing.guidance, drawing.callback)
        if isinstance(self.network, ActiveNetwork):
            return published.ancestral(self.network, state, self.config.timesteps, *options).graphs()
        return SAMPLERS[drawing.sampler](self.network, state, *options).graphs()

    @torch.no_grad()
    def sample_bonds(
        self,
        part: NodePart,
        *,
        steps: int,
        generator: torch.Generator | None,
        callback: Callback | None = None,
        sampler: str | None = None,
    ) -> GraphBatch:
        """Graphs of the nodes, degrees and valences of a node part, as class indices int64; see `_sample`."""
        state = self._without_bonds(part.to(self.device))
        return self._bonded(state, Drawing(steps, sampler or self.samplers[0], generator, callback, None, None, 0.0))

    @staticmethod
    def _without_bonds(part: NodePart) -> Partial:
        nothing = torch.zeros(0, dtype=torch.int64, device=part.atoms.device)
        return Partial(part, nothing, nothing, nothing)

    def _draw_nodes(self, size: int, count: int, condition: Condition | None, drawing: Drawing) -> NodePart:
        """Node parts [count, size] under a request or a condition."""
        _, told = self._encoded(condition)
        generator, guidance = drawing.generator, drawing.guidance
        if drawing.request is not None:
            return sample_requested(self.node_part, self.vocabulary, drawing.request, count, generator, told, guidance)
        known = self._known(condition)
        # without masks, what no connected graph has is not drawn again
        masked = self.config.process != "published" and drawing.sampler != "unmasked"
        rounds = ROUNDS if masked else 0
        if known is None:
            return sample_node_parts(self.node_part, count, size, generator, told, guidance, rounds=rounds)
        return sample_known_node_parts(self.node_part, known, generator, told, guidance, rounds=rounds)

    def _nodes_again(self, graphs: GraphBatch, fresh: NodePart) -> NodePart:
        """The node parts of graphs, or fresh ones where a graph lacks so many bonds that none can be made of its own.

        Without masks all are fresh, as a graph may have bonds that its node part did not ask for.
        """
        own = NodePart.of(graphs)
        kept = (graphical(own) & self.config.masks)[:, None]
        pairs = ((own.atoms, fresh.atoms), (own.degree, fresh.degree), (own.valence, fresh.valence))
        return NodePart(*(torch.where(kept, mine, new) for mine, new in pairs))

    def _encoded(self, condition: Condition | None) -> tuple[Tensor | None, Tensor | None]:
        """The targets as the network of bonds and as the model of node parts are told them, float [b, width] each."""
        if condition is None or self.network.targets is None:
            return None, None
        with autocast(condition.targets.device):
            encoded = self.network.targets(condition.targets).float()
        for_bonds, for_nodes = encoded.split([self.config.width, self.config.node_width], dim=1)
        return for_bonds, for_nodes

    def _known(self, condition: Condition | None) -> Condition | None:
        """The condition where something is known in any of its graphs and the model sees it, else None."""
        if condition is None or not self.config.known_parts:
            return None
        return condition if bool(condition.known_nodes.any() or condition.known_pairs.any()) else None

    def _bound_estimate(self, batch: GraphBatch, generator: torch.Generator | None) -> Callable[[Tensor], Tensor]:
        """The variational bound in nats, of the graph with its nodes in the given order, from one time for each graph.

        For bonds that come back one by one, the limit of many steps: -log p(node part) + the sum over the m bonds of
        -log p(bond k | the k - 1 before). As a uniform time leaves 0 to m bonds with equal probability, that sum is
        (m + 1) times the mean over times.
        Of the published process: the steps are those of sampling, and the active nodes count as well.
        """
        part = NodePart.of(batch)
        tokens = tokens_of(part).sort(dim=1).values
        nodes = -self.node_part.log_probability(tokens) + log_arrangements(tokens)
        stages = part.degree.sum(1) / 2 + 1
        network, timesteps = self.network, self.config.timesteps

        def estimate(uniform: Tensor) -> Tensor:
            if isinstance(network, ActiveNetwork):
                return nodes + published.bound_term(network, batch, self._step(uniform), timesteps, generator)
            return nodes + stages * bond_loss(network, batch, part, 1 - uniform, generator)

        return estimate

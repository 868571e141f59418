"""How likely a model finds molecules: a column of a run, or of one molecule."""

from collections.abc import Sequence

import numpy as np
import torch

from molgen.errors import InputError
from molgen.generation.streams import torch_generator
from molgen.models.base import Backend
from molgen.models.checkpoints import Model
from molgen.molecules.encoding import mol_to_graph
from molgen.molecules.graph import GraphBatch
from molgen.molecules.parsing import Rejected, clean, parse_smiles

LIKELIHOOD_DRAWS = 32


def likelihood_columns(
    backend: Backend, graphs: GraphBatch, chosen: Sequence[int], generator: torch.Generator
) -> dict[str, np.ndarray]:
    """nll and nll_se, float64 [b] each: the bound on -log p of the chosen graphs and its error; NaN for the others."""
    table = {name: np.full(len(graphs), np.nan) for name in ("nll", "nll_se")}
    if chosen:
        part = graphs[torch.tensor(chosen, device=graphs.nodes.device)]
        bound = backend.likelihood(part, draws=LIKELIHOOD_DRAWS, generator=generator)
        table["nll"][chosen] = bound.nats.cpu().numpy()
        table["nll_se"][chosen] = bound.standard_error.cpu().numpy()
    return table


def likelihood_of(model: Model, smiles: str, *, draws: int = LIKELIHOOD_DRAWS, seed: int = 0) -> tuple[float, float]:
    """Bound on -log p(molecule | its size) in nats, and its standard error. Raises InputError as `canonical_graph`."""
    graph = canonical_graph(model, smiles)  # the draws belong to atoms in their order
    if graph.size >= len(model.statistics.sizes) or not model.statistics.sizes[graph.size]:
        raise InputError(f"model {model.name} knows no molecules of {graph.size} heavy atoms")
    bound = model.backend.likelihood(graph, draws=draws, generator=torch_generator(seed, 0, "likelihood"))
    return float(bound.nats[0]), float(bound.standard_error[0])


def canonical_graph(model: Model, smiles: str) -> GraphBatch:
    """The same graph however the molecule is written: atoms and Kekulé form of its canonical SMILES.

    Raises InputError as `molecule_graph`.
    """
    molecule_graph(model, smiles)
    return molecule_graph(model, clean(parse_smiles(smiles)).smiles)


def molecule_graph(model: Model, smiles: str) -> GraphBatch:
    """One molecule in the classes of a model, int64. Raises InputError for one that the model cannot hold."""
    try:
        nodes, pairs = mol_to_graph(clean(parse_smiles(smiles)).mol, model.vocabulary.index)
    except Rejected as reason:
        raise InputError(f"{smiles!r} cannot be used: {reason}") from None
    return GraphBatch(torch.from_numpy(nodes)[None], torch.from_numpy(pairs)[None]).to(torch.int64)

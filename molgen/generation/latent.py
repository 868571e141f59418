"""Molecules as vectors, for models that have a latent space: embeddings of a file of molecules, paths between two.

A molecule's vectors may depend on the Kekulé form that its aromatic rings got, and by rounding on the order of its
atoms. So every molecule is read again from its canonical SMILES first, and is then the same however it was written.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd
import torch

from molgen.data.importing import import_molecules
from molgen.data.readers import Row
from molgen.errors import InputError
from molgen.generation.likelihood import canonical_graph
from molgen.models.base import LatentSpace
from molgen.models.checkpoints import Model
from molgen.models.registry import families
from molgen.molecules.encoding import Decoded, GraphDecoder
from molgen.molecules.graph import GraphBatch
from molgen.progress import Progress

CELLS = 50_000  # of the square matrices of a batch


def embeddings(
    model: Model,
    rows: Iterable[Row],
    *,
    workers: int | None = None,
    on_reject: Callable[[Row, str], None] | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """One row for each usable molecule, in order: line, name, smiles (canonical), embedding (float32 [width]).

    Rows of one molecule have one embedding, whatever the order of their atoms.
    Raises InputError where the model has no embedding or no row is usable.
    """
    space = latent_space(model)
    seen: list[tuple[int, str]] = []
    rejected: set[int] = set()

    def numbered() -> Iterator[Row]:
        for row in rows:
            seen.append((row.line, row.name))
            yield row._replace(line=len(seen) - 1)

    def refuse(row: Row, reason: str) -> None:
        rejected.add(row.line)
        if on_reject is not None:
            on_reject(row._replace(line=seen[row.line][0]), reason)

    found = import_molecules(
        numbered(),
        vocabulary=model.vocabulary,
        deduplicate=False,
        workers=workers,
        on_reject=refuse,
        progress=progress,
    )
    vectors = _vectors(space, model, found.smiles, workers)
    kept = [entry for position, entry in enumerate(seen) if position not in rejected]
    table: list[tuple[int, str, str, np.ndarray]] = []
    for (line, name), smiles in zip(kept, found.smiles, strict=True):
        if smiles in vectors:
            table.append((line, name, smiles, vectors[smiles]))
        elif on_reject is not None:
            on_reject(Row(line, name, smiles), "canonical SMILES cannot be read again")
    return pd.DataFrame(table, columns=["line", "name", "smiles", "embedding"])


def _vectors(space: LatentSpace, model: Model, smiles: list[str], workers: int | None) -> dict[str, np.ndarray]:
    """The embedding of each distinct canonical SMILES that can be read again, float32 [width]."""
    distinct = list(dict.fromkeys(smiles))
    rows = (Row(number, "", text) for number, text in enumerate(distinct))
    unread: set[int] = set()
    found = import_molecules(
        rows,
        vocabulary=model.vocabulary,
        deduplicate=False,
        workers=workers,
        on_reject=lambda row, _: unread.add(row.line),
    )
    readable = [text for number, text in enumerate(distinct) if number not in unread]
    vectors: dict[str, np.ndarray] = {}
    for size, (positions, nodes, pairs) in found.by_size.items():
        graphs = GraphBatch(torch.from_numpy(nodes), torch.from_numpy(pairs))
        count = max(1, CELLS // size**2)
        for start in range(0, len(positions), count):
            part = space.embed(graphs[slice(start, start + count)].to(torch.int64)).cpu().numpy()
            for position, vector in zip(positions[start : start + count].tolist(), part, strict=True):
                vectors[readable[position]] = vector
    return vectors


def neighbours(model: Model, smiles: str, others: list[str], count: int) -> list[tuple[str, float]]:
    """The `count` others whose embeddings are nearest to a molecule's, with the Euclidean distance; itself left out.

    Others that the model cannot hold are left out. Raises InputError where the model has no embedding or cannot hold
    the molecule.
    """
    space = latent_space(model)
    own = space.embed(canonical_graph(model, smiles)).cpu().numpy()[0]
    rows = (Row(number, "", text) for number, text in enumerate(others, 1))
    table = embeddings(model, rows, workers=1)
    table["distance"] = np.linalg.norm(np.stack(table["embedding"].to_list()) - own, axis=1)
    nearest = table[table["smiles"] != smiles].nsmallest(count, "distance")
    return list(zip(nearest["smiles"], nearest["distance"], strict=True))


def path(model: Model, first: str, second: str, count: int) -> list[Decoded]:
    """`count` decoded molecules from the SMILES `first` to `second`, the ends included; not all need be valid.

    Raises InputError where the model has no latent space, a SMILES is unusable, or their sizes differ.
    """
    space = latent_space(model)
    graphs = space.interpolate(canonical_graph(model, first), canonical_graph(model, second), count)
    decoder = GraphDecoder(model.vocabulary)
    nodes, pairs = graphs.nodes.cpu().numpy(), graphs.pairs.cpu().numpy()
    return [decoder.decode(nodes[row], pairs[row]) for row in range(count)]


def latent_space(model: Model) -> LatentSpace:
    """The model as a latent space. Raises InputError where it has none."""
    if not isinstance(model.backend, LatentSpace):
        having = families(lambda family: issubclass(family, LatentSpace))
        raise InputError(f"model {model.name} ({model.backend_name}) has no latent space; {having} models have one")
    return model.backend

"""A small data set, and what is checked of any prepared one."""

from pathlib import Path

import numpy as np

from molgen.data.prepared import PreparedSet, prepare
from molgen.molecules.encoding import GraphDecoder
from molgen.molecules.parsing import parse_smiles
from molgen.molecules.properties import targets

ALKANES = ["C" * n for n in range(1, 9)]
ALCOHOLS = ["C" * n + "O" for n in range(1, 9)]
AMINES = ["C" * n + "N" for n in range(1, 9)]
SMILES = ALKANES + ALCOHOLS + AMINES


def small_set(folder: Path) -> PreparedSet:
    """SMILES, prepared; train has 20, valid and test 2."""
    (folder / "x.smi").write_text("\n".join(SMILES), encoding="utf-8")
    return prepare(str(folder / "x.smi"), cache=folder / "cache", workers=1)


def expected_targets(smiles: list[str]) -> np.ndarray:
    return np.array([targets(parse_smiles(text)) for text in smiles], np.float32)


def check_aligned(found: PreparedSet) -> None:
    decoder = GraphDecoder(found.vocabulary)
    for split, count in found.splits.items():
        graphs, smiles = found.graphs(split), found.smiles(split)
        decoded = [
            decoder.decode(nodes, pairs).smiles
            for size in sorted(graphs.by_size)
            for nodes, pairs in zip(graphs.by_size[size].nodes.numpy(), graphs.by_size[size].pairs.numpy(), strict=True)
        ]
        assert decoded == smiles
        assert len(smiles) == count

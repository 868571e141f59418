"""`molgen embed` and `molgen interpolate`, on a small untrained model."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from rdkit import Chem

from molgen.cli import cli
from molgen.errors import InputError
from molgen.generation.likelihood import canonical_graph
from molgen.models.checkpoints import load_checkpoint, save_checkpoint
from molgen.models.nvdiff.model import NVDiff, NVDiffConfig
from molgen.molecules.hashing import smiles_hashes
from tests.conftest import SMILES, TINY


@pytest.fixture(autouse=True)
def model(tmp_path, monkeypatch, vocabulary, dataset) -> None:
    """In a folder with a checkpoint `model` and a file of molecules."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    backend = NVDiff(NVDiffConfig(**TINY["nvdiff"]), vocabulary, dataset.statistics())
    save_checkpoint(
        tmp_path / "model",
        backend_name="nvdiff",
        backend=backend,
        weights=backend.state_dict(),
        vocabulary=vocabulary,
        statistics=dataset.statistics(),
        known=np.sort(smiles_hashes(SMILES)),
        card={"name": "tiny"},
    )
    lines = [f"{smiles} m{number}" for number, smiles in enumerate([*SMILES, "CCO", "C1CC", "CBr"])]
    (tmp_path / "molecules.smi").write_text("\n".join(lines) + "\n", encoding="utf-8")


def call(*arguments: str) -> str:
    return CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False).output


def test_each_usable_molecule_has_a_vector():
    told = call("embed", "molecules.smi", "--model", "model", "--output", "e.parquet", "--rejects", "r.csv")
    assert f"Wrote {len(SMILES) + 1} vectors of 32 numbers to e.parquet" in told
    assert "1 unparsable" in told
    table = pd.read_parquet("e.parquet")
    assert table["name"].tolist() == [f"m{number}" for number in range(len(SMILES) + 1)]
    assert table["line"].tolist() == list(range(1, len(SMILES) + 2))
    vectors = np.stack(table["embedding"])
    assert vectors.shape == (len(SMILES) + 1, 32) and vectors.dtype == np.float32
    ethanol = [position for position, smiles in enumerate(table["smiles"]) if smiles == "CCO"]
    assert len(ethanol) == 2
    assert np.allclose(vectors[ethanol[0]], vectors[ethanol[1]], atol=0.05)
    assert not np.allclose(vectors[0], vectors[1], atol=0.05)
    with Path("r.csv").open(encoding="utf-8") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["m18", "m19"]


AROMATIC = ["c1ccc2ccccc2c1", "Cc1ccccc1C", "C1CC1", "CC(C)C", "c1ccccc1", "C1CCC1", "FC(F)(F)F", "CC(C)(C)C"]


@pytest.mark.parametrize("name", ["model", "qm9-nvdiff"])
def test_a_molecule_has_one_vector_however_it_is_written(name: str):
    """Twenty molecules, most of them symmetric, each written eight ways; also as a file of one writing each."""
    chosen = [*AROMATIC, *SMILES[2:14]]
    written = [Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 8, randomSeed=7) for smiles in chosen]
    apart = []
    for way in (0, 3, 7):
        Path("one.smi").write_text("\n".join(several[way] for several in written), encoding="utf-8")
        call("embed", "one.smi", "--model", name, "--output", "one.parquet")
        apart.append(np.stack(pd.read_parquet("one.parquet")["embedding"]))
    Path("all.smi").write_text("\n".join(text for several in written for text in several), encoding="utf-8")
    call("embed", "all.smi", "--model", name, "--output", "all.parquet")
    vectors = np.stack(pd.read_parquet("all.parquet")["embedding"]).reshape(len(chosen), 8, -1)
    assert np.abs(vectors - vectors[:, :1]).max() <= 1e-5
    assert all(np.abs(vectors[:, 0] - one).max() <= 1e-5 for one in apart)


@pytest.mark.parametrize("other", ["Cc1ccccc1", "C1=CC=CC=C1C", "c1c(C)cccc1", "CC1=CC=CC=C1"])
def test_the_ends_of_a_path_are_canonical(other: str):
    """Atoms and Kekulé form are those of the canonical SMILES."""
    loaded = load_checkpoint("model")
    one, same = canonical_graph(loaded, "c1cc(C)ccc1"), canonical_graph(loaded, other)
    assert torch.equal(one.nodes, same.nodes) and torch.equal(one.pairs, same.pairs)


def test_a_path_has_the_points_asked_for():
    lines = call("interpolate", "CCO", "C1CC1", "--model", "model", "--num", "3").splitlines()
    assert [line[:4] for line in lines] == ["0.00", "0.50", "1.00"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("embed", "molecules.smi", "--model", "qm9-digress"), "qm9-digress .* has no latent space"),
        (("embed", "molecules.smi", "--model", "model", "--output", "e.csv"), "should end in .parquet, got e.csv"),
        (("embed", "nothing.smi", "--model", "model"), "no such file: nothing.smi"),
        (("interpolate", "CCO", "CC", "--model", "model"), "same number of heavy atoms"),
        (("interpolate", "CCO", "CCC(", "--model", "model"), "'CCC\\(' cannot be used: unparsable"),
        (("interpolate", "CCO", "CCBr", "--model", "model"), "'CCBr' cannot be used"),
    ],
)
def test_bad_requests_are_told(arguments, message):
    with pytest.raises(InputError, match=message):
        call(*arguments)
    assert not Path("embeddings.parquet").exists()

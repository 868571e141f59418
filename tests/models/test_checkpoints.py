import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from molgen.errors import CheckpointError, InputError
from molgen.files import sha256_of
from molgen.models.checkpoints import (
    BOUNDS,
    CALIBRATION,
    CARD,
    CHECKSUMS,
    CRITIC,
    KNOWN,
    MODEL,
    WEIGHTS,
    build_backend,
    list_models,
    load_checkpoint,
    save_checkpoint,
    write_bounds,
    write_calibration,
    write_card,
    write_critic,
)
from molgen.models.critic import Critic
from molgen.models.digress.config import DiGressConfig
from molgen.models.digress.model import DiGress
from molgen.molecules.encoding import mol_to_graph
from molgen.molecules.graph import GraphBatch
from molgen.molecules.hashing import smiles_hashes
from molgen.molecules.parsing import clean, parse_smiles
from tests.conftest import SMILES, TINY

CARD_RECORD = {"name": "tiny", "backend": "digress", "figures": {"valid": "12 %"}, "limits": "none to speak of"}


@pytest.fixture
def checkpoint(dataset, vocabulary, tmp_path):
    torch.manual_seed(0)
    backend = DiGress(DiGressConfig(**TINY["digress"]), vocabulary, dataset.statistics())
    save_checkpoint(
        tmp_path / "tiny",
        backend_name="digress",
        backend=backend,
        weights=backend.state_dict(),
        vocabulary=vocabulary,
        statistics=dataset.statistics(),
        known=np.unique(smiles_hashes(SMILES)),
        card=CARD_RECORD,
    )
    return tmp_path / "tiny"


def test_a_checkpoint_alone_rebuilds_the_model(checkpoint, dataset, vocabulary):
    model = load_checkpoint(str(checkpoint))
    assert model.name == "tiny"
    assert model.vocabulary == vocabulary
    assert model.statistics.sizes == dataset.statistics().sizes
    assert model.card == CARD_RECORD
    assert len(model.known) == len(SMILES)
    assert not model.backend.training
    batch = model.backend.sample(5, 2, steps=2, sampler="ancestral", generator=torch.Generator().manual_seed(0))
    assert len(batch) == 2


def test_saving_over_a_checkpoint_replaces_it_whole(checkpoint):
    model = load_checkpoint(str(checkpoint))
    save_checkpoint(
        checkpoint,
        backend_name="digress",
        backend=model.backend,
        weights=model.backend.state_dict(),
        vocabulary=model.vocabulary,
        statistics=model.statistics,
        known=model.known,
        card=CARD_RECORD | {"name": "second"},
    )
    again = load_checkpoint(str(checkpoint))
    assert again.name == "second"
    assert again.weights_sha256 == model.weights_sha256
    assert [path.name for path in checkpoint.parent.iterdir()] == ["tiny"]


def test_a_new_card_keeps_the_checkpoint_whole(checkpoint):
    write_card(checkpoint, CARD_RECORD | {"figures": {"valid": "99 %"}})
    assert load_checkpoint(str(checkpoint)).card["figures"] == {"valid": "99 %"}
    assert "| valid | 99 % |" in (checkpoint / "README.md").read_text(encoding="utf-8")


def test_bounds_come_along_and_may_be_missing(checkpoint):
    assert load_checkpoint(str(checkpoint)).bounds == {}
    write_bounds(checkpoint, {2: np.array([1.0, 2.5]), 3: np.array([4.0])})
    found = load_checkpoint(str(checkpoint)).bounds
    assert {size: row.tolist() for size, row in found.items()} == {2: [1.0, 2.5], 3: [4.0]}
    write_card(checkpoint, CARD_RECORD)
    assert len(load_checkpoint(str(checkpoint)).bounds) == 2
    (checkpoint / BOUNDS).unlink()  # as where writing them was cut off
    assert load_checkpoint(str(checkpoint)).bounds == {}


def test_a_calibration_comes_along_and_may_be_missing(checkpoint):
    assert load_checkpoint(str(checkpoint)).backend.calibration is None
    shifts = {"levels": torch.tensor([0.2, 0.6]), "nodes": torch.full((2, 6), 0.5), "pairs": torch.zeros(2, 4)}
    write_calibration(checkpoint, shifts)
    write_card(checkpoint, CARD_RECORD)
    kept = load_checkpoint(str(checkpoint)).backend.calibration
    assert all(torch.equal(values, shifts[name]) for name, values in kept._asdict().items())
    write_calibration(checkpoint, shifts | {"levels": torch.tensor([0.6, 0.2])})
    with pytest.raises(CheckpointError, match=f"{CALIBRATION}: the levels of a calibration should rise"):
        load_checkpoint(str(checkpoint))


def test_a_critic_comes_along_and_may_be_missing(checkpoint):
    found = load_checkpoint(str(checkpoint))
    assert found.critic is None and found.critic_sha256 is None
    sizes = np.zeros(len(found.statistics.sizes), np.float32)
    critic = Critic(sizes, np.array([3, 7], np.uint64), np.array([0.5, -0.5], np.float32))
    write_critic(checkpoint, critic)
    write_card(checkpoint, CARD_RECORD)
    kept = load_checkpoint(str(checkpoint))
    assert kept.critic_sha256 == sha256_of(checkpoint / CRITIC)
    assert all(np.array_equal(values, critic._asdict()[name]) for name, values in kept.critic._asdict().items())
    write_critic(checkpoint, critic._replace(sizes=sizes[1:]))
    with pytest.raises(CheckpointError, match=f"{CRITIC}: sizes of a critic should be float32"):
        load_checkpoint(str(checkpoint))


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        ({99: [1.0]}, "99 atoms, which the model does not know"),
        ({2: [2.0, 1.0]}, "ascending"),
        ({2: [math.inf]}, "finite"),
        ({2: [[1.0]]}, "one row"),
    ],
)
def test_wrong_bounds_are_refused(checkpoint, bounds, told):
    write_bounds(checkpoint, {size: np.array(row) for size, row in bounds.items()})
    with pytest.raises(CheckpointError, match=f"{BOUNDS}: .*{told}"):
        load_checkpoint(str(checkpoint))


@pytest.mark.parametrize("file", [WEIGHTS, MODEL, KNOWN, CARD])
def test_damage_is_told(checkpoint, file):
    data = bytearray((checkpoint / file).read_bytes())
    data[len(data) // 2] ^= 1
    (checkpoint / file).write_bytes(data)
    with pytest.raises(CheckpointError, match=f"{file} is damaged"):
        load_checkpoint(str(checkpoint))
    (checkpoint / file).unlink()
    with pytest.raises(CheckpointError, match="not a usable molgen checkpoint"):
        load_checkpoint(str(checkpoint))


def test_what_shipped_models_know_lies_there_once(tmp_path):
    folder = list_models()["qm9-edge"]
    shared = folder.parent / "known" / "qm9.safetensors"
    assert not (folder / KNOWN).exists()
    copied = Path(shutil.copytree(folder, tmp_path / "copied"))
    assert np.array_equal(load_checkpoint(str(copied)).known, safetensors.numpy.load_file(shared)["hashes"])
    sums = json.loads((copied / CHECKSUMS).read_text())
    write_card(copied, {"name": "renamed"})
    assert json.loads((copied / CHECKSUMS).read_text())[KNOWN] == sums[KNOWN]
    assert load_checkpoint(str(copied)).name == "renamed"
    (copied / CHECKSUMS).write_text(json.dumps(sums | {CARD: sha256_of(copied / CARD), KNOWN: "0" * 64}))
    with pytest.raises(CheckpointError, match=r"known\.safetensors is missing, and what it held"):
        load_checkpoint(str(copied))


def test_foreign_folders_and_unknown_names_are_told(tmp_path):
    (tmp_path / "checksums.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="not a usable molgen checkpoint"):
        load_checkpoint(str(tmp_path))
    with pytest.raises(CheckpointError, match="no model 'qm9-magic'; choose from"):
        load_checkpoint("qm9-magic")


def test_a_config_of_another_version_is_told(checkpoint, vocabulary, dataset):
    with pytest.raises(InputError, match="unknown setting 'magic' for backend digress; it takes layers"):
        build_backend("digress", {"magic": 1}, vocabulary, dataset.statistics())
    with pytest.raises(InputError, match="unknown backend 'magic'; choose from digress"):
        build_backend("magic", {}, vocabulary, dataset.statistics())
    assert json.loads((checkpoint / MODEL).read_text(encoding="utf-8"))["config"]["layers"] == 2


def test_the_shipped_model_tells_molecules_from_shuffled_ones():
    """The same atoms and bonds on other pairs of atoms are less likely: in each of these molecules by far."""
    model = load_checkpoint("qm9-digress")
    smiles = ["CC1(C)CC(O)C1=O", "CCOC(=O)CC#N", "Cc1ccc(N)nc1", "OC1C2CC1C2C=O", "CN1C=NC(=O)C1C"]
    for one in smiles:
        nodes, pairs = mol_to_graph(clean(parse_smiles(one)).mol, model.vocabulary.index)
        real = GraphBatch(torch.from_numpy(nodes)[None], torch.from_numpy(pairs)[None]).to(torch.int64)
        order = torch.randperm(real.pairs.shape[1], generator=torch.Generator().manual_seed(0))
        generator = torch.Generator().manual_seed(1)
        bounds = [
            model.backend.likelihood(GraphBatch(real.nodes, bonds), draws=64, generator=generator)
            for bonds in (real.pairs, real.pairs[:, order])
        ]
        assert float(bounds[0].nats) + 10 < float(bounds[1].nats), one


def test_a_model_from_before_there_were_conditions_loads(dataset, vocabulary, tmp_path):
    """Its configuration says nothing of known parts and its statistics nothing of targets."""
    backend = DiGress(DiGressConfig(**TINY["digress"], known_parts=False), vocabulary, dataset.statistics())
    folder = tmp_path / "old"
    save_checkpoint(
        folder,
        backend_name="digress",
        backend=backend,
        weights=backend.state_dict(),
        vocabulary=vocabulary,
        statistics=dataset.statistics(),
        known=np.sort(smiles_hashes(SMILES)),
        card=CARD_RECORD,
    )
    record = json.loads((folder / MODEL).read_text(encoding="utf-8"))
    assert "targets" not in record["statistics"] and not record["config"].pop("known_parts")
    (folder / MODEL).write_text(json.dumps(record), encoding="utf-8")
    write_card(folder, CARD_RECORD)  # and with it the checksums
    model = load_checkpoint(str(folder))
    assert not model.backend.config.known_parts and model.backend.targets == ()

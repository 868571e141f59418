"""Checkpoints whose checksums are right and whose content is not: each is refused before anything is built from it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from molgen.errors import CheckpointError
from molgen.models.checkpoints import CARD, CHECKSUMS, KNOWN, MODEL, WEIGHTS, load_checkpoint, save_checkpoint
from molgen.models.checkpoints import _write_checksums as write_checksums
from molgen.models.record import ELEMENTS
from molgen.models.registry import BACKENDS
from molgen.molecules.hashing import smiles_hashes
from tests.conftest import SMILES, TINY


@pytest.fixture
def checkpoint(dataset, statistics, vocabulary, tmp_path):
    torch.manual_seed(0)
    kind = BACKENDS["digress"]
    backend = kind(kind.Config(**TINY["digress"]), vocabulary, statistics)
    save_checkpoint(
        tmp_path / "tiny",
        backend_name="digress",
        backend=backend,
        weights=backend.state_dict(),
        vocabulary=vocabulary,
        statistics=statistics,
        known=np.unique(smiles_hashes(SMILES)),
        card={"name": "tiny"},
    )
    load_checkpoint(str(tmp_path / "tiny"))
    return tmp_path / "tiny"


def refused(folder, file, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(str(folder))
    assert f"{folder} is not a usable molgen checkpoint: " in str(caught.value) and file in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("backend", ["digress"], "backend should be a JSON string"),
        ("backend", "magic", "unknown backend 'magic'"),
        ("config", [], "config should be a JSON object"),
        ("config.layers", 10**9, "layers should be at most 200, got 1000000000"),
        ("config.layers", -(10**400), "layers should be at least 1"),
        ("config.layers", 2.5, "layers should be a whole number, got 2.5"),
        ("config.layers", True, "layers should be a whole number, got True"),
        ("config.layers", "2", "layers should be a whole number, got '2'"),
        ("config.width", 10**400, "width should be at most 10,000"),
        ("config.width", 9_984, "should have the shape"),
        ("config.timesteps", 10**8, "timesteps should be at most 10,000"),
        ("config.bond_weight", float("inf"), "bond_weight should be at most 10,000, got inf"),
        ("config.bond_weight", float("nan"), "bond_weight should be at least 1, got nan"),
        ("config.sampler", {}, "sampler should be a text"),
        ("config.known_parts", 1, "known_parts should be true or false"),
        ("config.magic", 1, "unknown setting 'magic'"),
        ("vocabulary", [], "vocabulary should have 1 to 256 atom classes, got 0"),
        ("vocabulary", [["C", charge] for charge in range(300)], "vocabulary should have 1 to 256 atom classes"),
        ("vocabulary.0", ["Xx", 0], "the symbol of an element, got 'Xx'"),
        ("vocabulary.0", ["C", 1.5], "a charge should be a whole number"),
        ("vocabulary.0", ["C", 10**6], "a charge should be a whole number up to 127"),
        ("vocabulary.0", ["N", 0], "duplicate atom class"),
        ("vocabulary.0", "C", "an atom class should be an element and a charge"),
        ("statistics", None, "statistics should be a JSON object"),
        ("statistics.sizes", [], "sizes should be a list of 2 to 1001 counts, got 0"),
        ("statistics.sizes", [0] * 10**5 + [1], "sizes should be a list of 2 to 1001 counts, got 100001"),
        ("statistics.sizes", [0, float("inf")], "sizes should be whole numbers"),
        ("statistics.sizes", [0, -3, 5], "sizes should be whole numbers .* got -3"),
        ("statistics.sizes", [0, 0, 0], "at least one graph"),
        ("statistics.sizes", [4, 5], "none of 0 nodes"),
        ("statistics.atoms", [1.0], "atoms should be a list of 6 numbers"),
        ("statistics.atoms.0", float("nan"), "atoms should be finite numbers"),
        ("statistics.bonds", [0.5, 0.7, 0.0, 0.0], "bonds should be shares that add up to 1"),
        ("statistics.bonds", [1.5, -0.5, 0.0, 0.0], "bonds should be shares that add up to 1"),
        ("statistics.targets.0", ["logp", 0.0, 0.0, 0.0, 0.0], "a deviation above 0"),
        ("statistics.targets.0", [1, 2], "a name and four numbers"),
        ("statistics.target_sizes", [[[0.0]], [[1.0]]], "the means of target_sizes should have"),
    ],
)  # fmt: skip
def test_a_model_record_out_of_bounds_is_refused(checkpoint, path, value, message):
    record = json.loads((checkpoint / MODEL).read_text(encoding="utf-8"))
    *parents, last = (int(key) if key.isdecimal() else key for key in path.split("."))
    inner = record
    for key in parents:
        inner = inner[key]
    inner[last] = value
    (checkpoint / MODEL).write_text(json.dumps(record), encoding="utf-8")
    write_checksums(checkpoint)
    refused(checkpoint, WEIGHTS if "shape" in message else MODEL, message)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"backend": 1', "[]", "\0"])
def test_a_record_that_is_no_object_is_refused(checkpoint, text):
    (checkpoint / MODEL).write_text(text, encoding="utf-8")
    write_checksums(checkpoint)
    refused(checkpoint, MODEL, "JSON")


def test_a_number_that_no_float_holds_is_refused(checkpoint):
    text = (checkpoint / MODEL).read_text(encoding="utf-8")
    record = json.loads(text)
    record["statistics"]["sizes"] = [0, "HUGE"]
    (checkpoint / MODEL).write_text(json.dumps(record).replace('"HUGE"', "1e999"), encoding="utf-8")
    write_checksums(checkpoint)
    refused(checkpoint, MODEL, "sizes should be whole numbers .* got inf")


def first_matrix(weights):
    return next(name for name, tensor in weights.items() if tensor.ndim == 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor.index_fill(0, torch.tensor([0]), float("nan")), "numbers that are not finite"),
        (lambda tensor: tensor.index_fill(0, torch.tensor([0]), float("-inf")), "numbers that are not finite"),
        (lambda tensor: torch.full(tensor.shape, 1e300, dtype=torch.float64), "numbers that are not finite"),
        (lambda tensor: tensor.to(torch.int64), "should be of type torch.float32, got torch.int64"),
        (lambda tensor: tensor[:-1].clone(), "should have the shape"),
        (lambda tensor: None, "there is no tensor"),
    ],
)
def test_weights_that_do_not_fit_are_refused(checkpoint, change, message):
    weights = safetensors.torch.load_file(checkpoint / WEIGHTS)
    name = first_matrix(weights)
    changed = change(weights.pop(name))
    if changed is not None:
        weights[name] = changed
    safetensors.torch.save_file(weights, checkpoint / WEIGHTS)
    write_checksums(checkpoint)
    refused(checkpoint, WEIGHTS, message)


def test_a_tensor_too_many_is_refused(checkpoint):
    weights = safetensors.torch.load_file(checkpoint / WEIGHTS)
    safetensors.torch.save_file(weights | {"magic": torch.zeros(1)}, checkpoint / WEIGHTS)
    write_checksums(checkpoint)
    refused(checkpoint, WEIGHTS, "the model has no tensor 'magic'")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"hashes": np.array([3, 1, 2], np.uint64)}, "hashes should be in ascending order"),
        ({"hashes": np.array([1.0, 2.0, 3.0])}, "hashes should be uint64 in one row, got float64"),
        ({"hashes": np.array([[1, 2], [3, 4]], np.uint64)}, "hashes should be uint64 in one row"),
        ({"others": np.array([1], np.uint64)}, "hashes"),
    ],
)
def test_hashes_that_cannot_be_searched_are_refused(checkpoint, tensors, message):
    safetensors.numpy.save_file(tensors, checkpoint / KNOWN)
    write_checksums(checkpoint)
    refused(checkpoint, KNOWN, message)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes in the file system")
@pytest.mark.parametrize("file", [WEIGHTS, MODEL, KNOWN, CARD, CHECKSUMS])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_pipes_and_devices_are_not_waited_for(checkpoint, file, kind):
    (checkpoint / file).unlink()
    if kind == "pipe":
        os.mkfifo(checkpoint / file)
    else:
        (checkpoint / file).symlink_to("/dev/zero")
    # in a process of its own, which can be ended
    script = "import sys; from molgen.models.checkpoints import load_checkpoint; load_checkpoint(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", script, str(checkpoint)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.splitlines()[-1].endswith(f"{file} should be a regular file")


@pytest.mark.parametrize("file", [WEIGHTS, MODEL, KNOWN, CARD, CHECKSUMS])
def test_a_file_of_any_size_is_not_read(checkpoint, file):
    with (checkpoint / file).open("r+b") as sparse:
        sparse.truncate(2**40)
    refused(checkpoint, file, "should have at most .* bytes, got 1,099,511,627,776")


def test_the_elements_are_all_118():
    from rdkit import Chem

    table = Chem.GetPeriodicTable()
    assert {table.GetElementSymbol(number) for number in range(1, 119)} == ELEMENTS


@pytest.mark.parametrize("name", list(BACKENDS))
def test_a_backend_is_built_without_memory_first(name, vocabulary, statistics):
    """So that weights can be held against the configuration before it costs anything."""
    kind = BACKENDS[name]
    with torch.device("meta"):
        shapes = kind(kind.Config(**TINY[name]), vocabulary, statistics).state_dict()
    assert all(tensor.is_meta for tensor in shapes.values())
    real = kind(kind.Config(**TINY[name]), vocabulary, statistics).state_dict()
    assert {key: tensor.shape for key, tensor in shapes.items()} == {key: tensor.shape for key, tensor in real.items()}

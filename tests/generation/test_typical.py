"""The place of a bound among those of training molecules of the same size."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from molgen.data.prepared import prepare
from molgen.generation.molecules import LoadedModel
from molgen.generation.typical import FEWEST, SAMPLE, TypicalBounds
from molgen.molecules.hashing import smiles_hashes
from tests.generation.small_run import MODEL, generate

# chains of four and of five atoms, of which the first are too few for a percentile
CHAINS = ["CCCC", "CCCO", "CCCN", *(f"{a}C{b}{c}C" for a in "CNO" for b in "CNO" for c in "CNO"), "COCNCO", "C", "O"]


@pytest.fixture
def model(tmp_path, monkeypatch):
    """The fake model, as if it were trained on a set that is in the cache."""
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "chains.smi").write_text("\n".join(CHAINS), encoding="utf-8")
    prepared = prepare(str(tmp_path / "chains.smi"), workers=1)
    known = np.sort(smiles_hashes(prepared.smiles("train")))
    return replace(MODEL, card={"data": {"set": prepared.name}}, known=known)


def test_a_bound_has_its_place_among_training_molecules_of_its_size(model, tmp_path, monkeypatch):
    typical = TypicalBounds(model)
    bounds = typical.of_size(5)
    assert FEWEST <= len(bounds) <= SAMPLE and (np.diff(bounds) >= 0).all()
    assert typical.percentile(5, -1.0) == 0 and typical.percentile(5, math.inf) == 100
    assert typical.percentile(5, float(np.median(bounds))) == pytest.approx(50, abs=5)
    assert math.isnan(typical.percentile(4, 1.0)) and math.isnan(typical.percentile(30, 1.0))  # too few, none
    assert "training molecules of chains.smi" in typical.source
    # kept for the next time, and made again where the file is damaged
    monkeypatch.setattr(TypicalBounds, "training", None)
    assert np.array_equal(TypicalBounds(model).of_size(5), bounds)
    path = next((tmp_path / "cache" / "bounds").glob("*-5.npy"))
    path.write_bytes(path.read_bytes()[:90])
    assert len(TypicalBounds(model).of_size(5)) == 0
    monkeypatch.undo()
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path / "cache"))
    assert np.array_equal(TypicalBounds(model).of_size(5), bounds)


def test_a_model_brings_its_bounds_along(model, monkeypatch):
    computed = TypicalBounds(model)
    places = [computed.percentile(5, nats) for nats in (-1.0, float(np.median(computed.of_size(5))), math.inf)]
    brought = replace(model, bounds={5: computed.of_size(5).astype(np.float32)}, name="brought")
    monkeypatch.setattr(TypicalBounds, "training", None)
    typical = TypicalBounds(brought)
    assert [typical.percentile(5, nats) for nats in (-1.0, float(np.median(typical.of_size(5))), math.inf)] == places
    assert math.isnan(typical.percentile(4, 1.0))
    assert "training molecules of chains.smi" in typical.source


def test_a_run_has_the_percentile_of_every_molecule(model, tmp_path):
    record = generate(tmp_path / "m.csv", model=model, likelihood=True, num=300)
    rows = pd.read_csv(tmp_path / "m.csv")
    assert rows.columns[-3:].tolist() == record["columns"][-3:] == ["nll", "nll_se", "nll_percentile"]
    five = rows["smiles"].str.count("[CNO]") == 5
    assert five.any() and rows["nll_percentile"][five].between(0, 100).all()
    assert rows["nll_percentile"][~five].isna().all()
    assert np.corrcoef(rows["nll"][five], rows["nll_percentile"][five])[0, 1] > 0.8
    assert record["nll_percentile"] == (
        "among up to 100 training molecules of chains.smi of the same size; empty where they are below 20"
    )
    drawn = LoadedModel(model).sample(300, seed=5, likelihood=True, device="cpu")
    assert drawn.frame()["nll_percentile"].equals(rows["nll_percentile"])
    nats = float(rows["nll"][five].iloc[0])
    place = LoadedModel(model).percentile(rows["smiles"][five].iloc[0], nats)
    assert round(place, 1) == rows["nll_percentile"][five].iloc[0]


def test_without_the_training_set_the_column_is_empty_and_the_record_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLGEN_CACHE", str(tmp_path / "nothing"))
    record = generate(tmp_path / "m.csv", likelihood=True)
    assert pd.read_csv(tmp_path / "m.csv")["nll_percentile"].isna().all()
    assert record["nll_percentile"].startswith("among nothing: the training set of fake")
    assert not (tmp_path / "nothing").exists()


def test_another_set_of_the_same_name_is_not_the_training_set(model):
    stranger = replace(model, known=model.known[1:])
    assert TypicalBounds(stranger).training is None

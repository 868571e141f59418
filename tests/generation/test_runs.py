"""Runs: what is written, counted and recorded."""

import json

import pandas as pd
import pytest
import torch

from molgen.molecules.parsing import parse_smiles
from molgen.molecules.properties import properties
from tests.generation.small_run import all_samples, generate


def test_the_file_holds_every_valid_sample_in_order_with_its_properties(tmp_path):
    record = generate(tmp_path / "m.csv")
    rows = pd.read_csv(tmp_path / "m.csv", keep_default_na=False)
    samples = all_samples()
    assert samples["sample"].tolist() == list(range(1, 701))
    valid = samples[samples.reason == ""]
    assert 0 < len(valid) < 700
    assert rows["sample"].tolist() == valid["sample"].tolist()
    assert rows.smiles.tolist() == valid.smiles.tolist()
    for row in rows[:20].to_dict("records"):
        for name, value in properties(parse_smiles(row["smiles"])).items():
            assert row[name] == pytest.approx(value, abs=1e-4)
    known = rows.smiles.isin(["C", "O", "CO", "CC", "CCO"])
    assert known.any() and (rows.novel == ~known).all()
    counts = record["counts"]
    assert counts["requested"] == 700
    assert counts["sanitised"] == (samples.smiles != "").sum()
    assert counts["valid"] == len(valid) == record["rows"]
    assert counts["unique"] == valid.smiles.nunique()
    assert counts["novel"] == valid[valid.novel].smiles.nunique()
    assert sum(counts["reasons"].values()) == 700 - len(valid)
    assert any("valence" in reason for reason in counts["reasons"])
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8")) == record
    assert {path.name for path in tmp_path.iterdir()} == {"m.csv", "m.json"}


def test_fragments_are_sanitised_but_not_valid(tmp_path):
    counts = generate(tmp_path / "m.csv", sampler="other")["counts"]
    assert counts["reasons"].keys() == {"several fragments"}
    assert counts["sanitised"] == 700 > counts["valid"]


def test_seeds(tmp_path):
    texts = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1), ("d", None), ("e", None)):
        record = generate(tmp_path / f"{name}.csv", seed=seed, num=50)
        texts[name] = (tmp_path / f"{name}.csv").read_text(encoding="utf-8")
        assert record["seed"] == seed if seed is not None else record["seed"] >= 0
    assert texts["a"] == texts["b"]
    assert len(set(texts.values())) == 4
    drawn = json.loads((tmp_path / "d.json").read_text(encoding="utf-8"))["seed"]
    generate(tmp_path / "again.csv", seed=drawn, num=50)
    assert (tmp_path / "again.csv").read_text(encoding="utf-8") == texts["d"]


def test_the_likelihood_changes_no_molecule(tmp_path):
    generate(tmp_path / "without.csv")
    generate(tmp_path / "with.csv", likelihood=True)
    without, with_ = pd.read_csv(tmp_path / "without.csv"), pd.read_csv(tmp_path / "with.csv")
    pd.testing.assert_frame_equal(with_.drop(columns=["nll", "nll_se", "nll_percentile"]), without)
    assert with_.nll.notna().all() and (with_.nll_se > 0).all()
    # the fake's bound is the sum of its node classes (C 0, N 1, O 2) plus less than 1
    row = with_[with_.smiles == "CO"].iloc[0]
    assert 2 <= row.nll < 3


@pytest.mark.parametrize("wanted", [1, 40, 170])
def test_unique_stops_at_the_sample_that_completes_it(tmp_path, wanted):
    record = generate(tmp_path / "m.csv", num=None, unique=wanted)
    rows = pd.read_csv(tmp_path / "m.csv")
    assert len(rows) == rows.smiles.nunique() == wanted == record["rows"]
    assert record["counts"]["unique"] == wanted and not record["fell_short"]
    assert record["counts"]["requested"] == rows["sample"].iloc[-1]
    samples = all_samples(num=None, unique=wanted)[: rows["sample"].iloc[-1]]
    assert rows.smiles.tolist() == samples[samples.reason == ""].smiles.drop_duplicates().tolist()
    assert record["counts"]["valid"] == (samples.reason == "").sum()


def test_unique_ends_at_its_limit_and_says_so(tmp_path):
    record = generate(tmp_path / "m.csv", num=None, unique=200, max_samples=210)
    assert record["fell_short"] and record["counts"]["requested"] == 210
    assert record["rows"] == record["counts"]["unique"] < 200


def test_nothing_is_seeded_globally(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    generate(tmp_path / "m.csv", num=20)
    assert torch.equal(torch.rand(4), expected)

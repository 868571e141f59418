"""How many molecules have a part that the training molecules lack."""

import json
import math
from types import SimpleNamespace

import pandas as pd
import pytest

from molgen.data.readers import Row
from molgen.evaluation.assessment import assess_one
from molgen.evaluation.open_reference import prepared_reference
from molgen.evaluation.strange import strange_shares, training_parts


@pytest.fixture
def prepared(tmp_path) -> SimpleNamespace:
    sets = {"train": ["CCO", "C1CCNCC1", "CC(=O)c1ccccc1", "Cn1cccc1"]}
    return SimpleNamespace(
        folder=tmp_path, name="mine", smiles=sets.__getitem__, sets=sets, splits={"train": 4, "test": 1}
    )


def test_shares_of_unseen_and_of_large_rings(prepared):
    told: list[tuple] = []
    # known, known but for its charge, none; naphthalene, a ring of eight, and benzene beside cyclopropane are new
    smiles = ["c1ccccc1", "C1CC[NH2+]CC1", "CCN", "c1ccc2ccccc2c1", "C1CCCCCCC1", "c1ccc(C2CC2)cc1", "c1cc[nH]c1", "CC"]
    shares = strange_shares(smiles, prepared, 1, lambda *what: told.append(what))
    assert shares[:2] == (3 / 8, 1 / 8)
    assert told == [("parts of mine", 4, 4), ("parts", 8, 8)]
    assert all(math.isnan(share) for share in strange_shares([], prepared, 1))


def test_shares_of_unseen_surroundings(prepared):
    # training molecules; one with the ends of two others; a peroxide; pyrrole with NH, where only NMe was seen
    smiles = ["CCO", "C1CCNCC1", "CC(=O)c1ccccc1", "CCOOCC", "c1cc[nH]c1"]
    assert strange_shares(smiles, prepared, 1).unseen_surroundings == 2 / 5


def test_the_training_parts_are_kept_and_a_damaged_file_is_made_again(prepared):
    expected = training_parts(prepared, 1)
    assert expected.ring_systems == {"C1CCNCC1", "c1ccccc1", "c1cc[nH]c1"}
    assert "CH2D2(-CH3D1,-OH1D1)" in expected.surroundings and "NH0D3R(-CH3D1,:CH1D2R,:CH1D2R)" in expected.surroundings
    path = prepared.folder / "parts.json"
    kept = path.read_bytes()
    assert json.loads(kept)["ring_systems"] == sorted(expected.ring_systems)
    train = prepared.sets.pop("train")
    assert training_parts(prepared, 1) == expected  # not looked for again
    prepared.sets["train"] = train
    other = json.dumps(json.loads(kept) | {"rdkit": "2020.03.1"}).encode()
    for damaged in (kept[:40], b"[]", b"\xff", other):
        path.write_bytes(damaged)
        assert training_parts(prepared, 1) == expected
        assert path.read_bytes() == kept


def test_a_charged_ring_is_not_rare_whatever_an_older_version_kept(prepared):
    # as kept when a ring system still had its charges
    old = pd.DataFrame({"smiles": ["C"], "fingerprint": [bytes(256)], "ring_systems": ["C1CC[NH2+]CC1"]})
    old.to_parquet(prepared.folder / "reference.parquet")
    reference = prepared_reference(prepared)
    assert reference.rings == {"C1CCNCC1": 1, "c1ccccc1": 1, "c1cc[nH]c1": 1}
    charged = assess_one(Row(1, "", "CC1CC[NH2+]CC1"))
    assert charged["ring_systems"] == "C1CCNCC1" and reference.rare_rings(charged["ring_systems"]) == ""

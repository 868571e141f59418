"""Ring systems of known molecules, and how many molecules have one that the training molecules lack."""

import json
import math
from types import SimpleNamespace

import pandas as pd
import pytest
from rdkit import Chem

from molgen.data.readers import Row
from molgen.evaluation.assessment import assess_one
from molgen.evaluation.reference import prepared_reference
from molgen.evaluation.rings import has_large_ring, ring_systems, training_systems, unseen_rings

KNOWN = {
    "CCO": [],
    "c1ccccc1": ["c1ccccc1"],
    "c1ccc2ccccc2c1": ["c1ccc2ccccc2c1"],  # naphthalene: fused
    "c1ccc(-c2ccccc2)cc1": ["c1ccccc1", "c1ccccc1"],  # biphenyl: two
    "c1ccccc1C1CC1": ["C1CC1", "c1ccccc1"],
    "C1CCC2(CC1)CC2": ["C1CCC2(CC1)CC2"],  # spiro
    "CC1CC2CCC1C2": ["C1CC2CCC1C2"],  # bridged: methylnorbornane
    "c1ccc2c(c1)Cc1ccccc1-2": ["c1ccc2c(c1)Cc1ccccc1-2"],  # fluorene, with a single bond between aromatic atoms
    # what a double bond ties to a ring belongs to it
    "CC1CCCCC1": ["C1CCCCC1"],
    "CC1CCCCC1=O": ["O=C1CCCCC1"],
    "O=C1CCCN1C": ["O=C1CCCN1"],
    "O=S1(=O)CCCC1": ["O=S1(=O)CCCC1"],
    "C1CC(=C2CCC2)C1": ["C=C1CCC1", "C=C1CCC1"],
    # charges are taken off
    "C1CC[NH2+]CC1": ["C1CCNCC1"],
    "C[N+]1(C)CCCCC1": ["C1CCNCC1"],
    "CN1CCCCC1": ["C1CCNCC1"],
    "C[n+]1ccccc1": ["c1ccncc1"],
    "[O-][n+]1ccccc1": ["c1ccncc1"],
    "c1nnn[n-]1": ["c1nnn[nH]1"],
    "CN(C)C1=[N+](C)CCC1": ["C1=NCCC1"],
    # no molecule, yet a name
    "C1CC[N+]2(C1)CCCC2": ["C1CCN2(C1)CCCC2"],
    "c1cc[o+]cc1": ["c1ccocc1"],
    # a hydrogen or a substituent, it is the same
    "c1cc[nH]c1": ["c1cc[nH]c1"],
    "Cn1cccc1": ["c1cc[nH]c1"],
    "Cn1ncc2ccccc21": ["c1ccc2[nH]ncc2c1"],  # 1H-indazole and 2H-indazole are not
    "Cn1cc2ccccc2n1": ["c1ccc2n[nH]cc2c1"],
    "C[Si]1(C)CCCC1": ["C1CC[Si]C1"],
    "C[SiH]1CCCC1": ["C1CC[Si]C1"],
    # neither stereo nor isotopes
    "C[C@H]1CC[C@@H](C)O1": ["C1CCOC1"],
    "[13CH2]1CC1": ["C1CC1"],
}


@pytest.mark.parametrize(("smiles", "expected"), KNOWN.items())
def test_ring_systems(smiles, expected):
    assert ring_systems(Chem.MolFromSmiles(smiles)) == expected


@pytest.mark.parametrize("smiles", KNOWN)
def test_ring_systems_do_not_depend_on_the_order_of_atoms(smiles):
    for text in Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 5, randomSeed=1):
        assert ring_systems(Chem.MolFromSmiles(text)) == KNOWN[smiles]


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("CCO", False),
        ("C1CCCCCC1", False),
        ("C1CCCCCCC1", True),
        ("O=C1CCCCCCCCCCCCCCO1", True),  # a macrocycle
        ("c1ccc2cc3ccccc3cc2c1", False),  # anthracene: 14 atoms around, in rings of 6
    ],
)
def test_large_rings(smiles, expected):
    assert has_large_ring(Chem.MolFromSmiles(smiles)) == expected


@pytest.fixture
def prepared(tmp_path) -> SimpleNamespace:
    sets = {"train": ["CCO", "C1CCNCC1", "CC(=O)c1ccccc1", "Cn1cccc1"]}
    return SimpleNamespace(folder=tmp_path, name="mine", smiles=sets.__getitem__, sets=sets)


def test_shares_of_unseen_and_of_large_rings(prepared):
    told: list[tuple] = []
    # known, known but for its charge, none; naphthalene, a ring of eight, and benzene beside cyclopropane are new
    smiles = ["c1ccccc1", "C1CC[NH2+]CC1", "CCN", "c1ccc2ccccc2c1", "C1CCCCCCC1", "c1ccc(C2CC2)cc1", "c1cc[nH]c1", "CC"]
    shares = unseen_rings(smiles, prepared, 1, lambda *what: told.append(what))
    assert shares == {"unseen_rings": 3 / 8, "large_rings": 1 / 8}
    assert told == [("ring systems of mine", 4, 4), ("ring systems of FILE", 8, 8)]
    assert all(math.isnan(share) for share in unseen_rings([], prepared, 1).values())


def test_the_training_systems_are_kept_and_a_damaged_file_is_made_again(prepared):
    expected = {"C1CCNCC1", "c1ccccc1", "c1cc[nH]c1"}
    assert training_systems(prepared, 1) == expected
    path = prepared.folder / "ring-systems.json"
    kept = path.read_bytes()
    assert json.loads(kept)["systems"] == sorted(expected)
    train = prepared.sets.pop("train")
    assert training_systems(prepared, 1) == expected  # not looked for again
    prepared.sets["train"] = train
    other = json.dumps(json.loads(kept) | {"rdkit": "2020.03.1"}).encode()
    for damaged in (kept[:40], b"[]", b"\xff", other):
        path.write_bytes(damaged)
        assert training_systems(prepared, 1) == expected
        assert path.read_bytes() == kept


def test_a_charged_ring_is_not_rare_whatever_an_older_version_kept(prepared):
    # as kept when a ring system still had its charges
    old = pd.DataFrame({"smiles": ["C"], "fingerprint": [bytes(256)], "ring_systems": ["C1CC[NH2+]CC1"]})
    old.to_parquet(prepared.folder / "reference.parquet")
    reference = prepared_reference(prepared, 1)
    assert reference.rings == {"C1CCNCC1": 1, "c1ccccc1": 1, "c1cc[nH]c1": 1}
    charged = assess_one(Row(1, "", "CC1CC[NH2+]CC1"))
    assert charged["ring_systems"] == "C1CCNCC1" and reference.rare_rings(charged["ring_systems"]) == ""

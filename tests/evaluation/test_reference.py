"""Real molecules to compare with: what a name, a file or a folder stands for, what is new and near, the floor."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from molgen.data.readers import Row
from molgen.errors import InputError
from molgen.evaluation import open_reference as opening
from molgen.evaluation.assessment import assess_one
from molgen.evaluation.draws import sample
from molgen.evaluation.fcd import chemnet_activations, fcd_distance
from molgen.evaluation.open_reference import open_reference, prepared_reference
from molgen.models.checkpoints import list_models
from molgen.molecules.fingerprints import nearest_of
from molgen.molecules.parsing import clean, parse_smiles
from tests.evaluation.real_molecules import REAL

CANONICAL = [clean(parse_smiles(text)).smiles for text in REAL]


@pytest.fixture
def real(tmp_path) -> str:
    path = tmp_path / "real.smi"
    path.write_text("\n".join(REAL), encoding="utf-8")
    return str(path)


def test_a_reference_tells_the_new_from_the_known(real):
    reference = open_reference(real)
    rows = [assess_one(Row(1, "", smiles)) for smiles in ("CCO", "bad", "C1CC2CC12")]
    frame = reference.compare(pd.DataFrame(rows))
    assert frame["novel"].tolist() == [False, None, True]
    assert (frame["nearest"][0], frame["similarity"][0], frame["nearest"][1]) == ("CCO", 1.0, "")
    assert frame["rare_rings"].tolist() == ["", "", "C1CC2CC12 (0 of 23)"]


def test_a_rarity_says_how_many_molecules_it_rests_on(real, monkeypatch):
    reference = open_reference(real)
    assert reference.rarity == (f"none of the 23 molecules of {real} compared has, so that up to 1 in 7 may have it")
    assert reference.rare_rings("C1CCNC1; C1CC2CC12") == "C1CC2CC12 (0 of 23)"  # one of 23 is enough not to be rare
    monkeypatch.setattr("molgen.evaluation.reference.RARE", 0.1)
    assert reference.rarity == f"fewer than 1 in 10 of the 23 molecules of {real} compared have"
    assert reference.rare_rings("C1CCNC1; c1ccccc1; C1CC2CC12") == "C1CCNC1 (1 of 23); C1CC2CC12 (0 of 23)"


@pytest.mark.parametrize("charged", ["C1CC[NH2+]CC1", "C[N+]1(C)CCCCC1", "O=C([O-])C1CC[NH2+]CC1"])
def test_charged_rings_are_no_rarer_than_neutral_ones(real, charged):
    row = assess_one(Row(1, "", charged))
    assert open_reference(real).compare(pd.DataFrame([row]))["rare_rings"].tolist() == [""]  # it has a piperidine


def test_the_nearest_is_the_most_similar():
    records = [assess_one(Row(1, "", smiles)) for smiles in REAL]
    packed = np.frombuffer(b"".join(record["fingerprint"] for record in records), np.uint8).reshape(-1, 256)
    which, similarity = nearest_of(packed, packed)
    assert which.tolist() == list(range(len(REAL))) and similarity.tolist() == [1.0] * len(REAL)
    which, similarity = nearest_of(packed[6:7], packed[[5, 9]])  # toluene: benzene is nearer than cyclohexane
    bits = [set(np.flatnonzero(np.unpackbits(packed[k], bitorder="little"))) for k in (6, 5)]
    assert which.tolist() == [0]
    assert similarity[0] == pytest.approx(len(bits[0] & bits[1]) / len(bits[0] | bits[1]), abs=1e-6)


def test_the_nearest_molecules_come_nearest_first(real):
    toluene = assess_one(Row(1, "", "Cc1ccccc1"))["fingerprint"]
    found = open_reference(real).nearest(toluene, 3)
    assert found[0] == ("Cc1ccccc1", 1.0)
    assert [similarity for _, similarity in found] == sorted((similarity for _, similarity in found), reverse=True)


def test_what_takes_long_is_computed_once_and_told(real):
    told: list[str] = []
    reference = open_reference(real, progress=lambda stage, done, total: told.append(stage))
    assert told == [f"reading {real}"]
    reference.load()
    assert told[1:] == ["reference fingerprints", "reference properties"]
    assert len(reference.assessed) == len(reference.smiles) == len(REAL)
    assert reference.fcd(reference.activations).fcd == pytest.approx(0, abs=1e-3)
    assert told[3:] == [f"ChemNet, {real}"]
    reference.load()
    assert len(told) == 4 and reference.activations is reference.activations


def test_the_floor_of_a_file_is_of_molecules_that_the_fcd_is_not_measured_against(real, monkeypatch):
    monkeypatch.setattr(opening, "FCD_SAMPLE", 12)
    reference = open_reference(real)
    mixed = sample(CANONICAL, len(CANONICAL))
    assert np.array_equal(reference.activations, chemnet_activations(mixed[:12]))
    assert np.array_equal(reference.floor(10), chemnet_activations(mixed[12:22]))
    assert reference.floor(12) is None  # there are only 11 others
    assert reference.floor(1) is None
    fcd = reference.fcd(chemnet_activations(CANONICAL[:10]))
    assert fcd.floor == pytest.approx(fcd_distance(mixed[12:22], mixed[:12]), abs=1e-3)
    assert (fcd.molecules, fcd.reference_molecules, fcd.reference) == (10, 12, real)
    assert fcd.floor_of == f"other molecules of {real}"


def test_the_floor_of_a_prepared_set_is_of_its_training_molecules(tmp_path):
    sets = {"train": CANONICAL[:12], "valid": CANONICAL[12:14], "test": CANONICAL[14:]}
    splits = {name: len(part) for name, part in sets.items()}
    prepared = SimpleNamespace(folder=tmp_path, name="mine", splits=splits, smiles=sets.__getitem__)
    reference = prepared_reference(prepared, "valid")
    reference.load_fcd()
    assert len(reference.activations) == 2 and reference.target_name == "mine valid"
    assert np.array_equal(reference.floor(5), chemnet_activations(sample(sets["train"], 5)))
    assert reference.floor(13) is None
    assert {path.name for path in tmp_path.iterdir()} == {"chemnet-valid.npy", "chemnet-train.npy"}
    with pytest.raises(InputError, match=r"mine has no part 'train' to measure against; choose from valid, test"):
        prepared_reference(prepared, "train")


def test_a_model_knows_its_molecules_and_keeps_none():
    folder = list_models()["qm9-digress"]
    for source in ("qm9-digress", str(folder)):
        reference = open_reference(source)
        assert reference.name == "qm9-digress" and len(reference.known) > 100_000
        assert not reference.has_molecules and reference.floor(10) is None
        for ask in (reference.load, reference.load_fcd):
            with pytest.raises(InputError, match="the model qm9-digress keeps no molecules to compare with; give qm9"):
                ask()


def test_sources_that_cannot_be_a_reference(tmp_path, real):
    bad = tmp_path / "bad.smi"
    bad.write_text("C1CC\nCC.C\n", encoding="utf-8")
    with pytest.raises(InputError, match="none of its 2 rows is a valid molecule"):
        open_reference(str(bad))
    with pytest.raises(InputError, match="no reference 'zinc'; give qm9, moses, chembl, "):
        open_reference("zinc")
    with pytest.raises(InputError, match="has no parts") as caught:
        open_reference(real, split="test")
    assert caught.value.parameter == "split"
    assert not Path("zinc").exists()


def test_rows_that_are_left_out_are_told(tmp_path):
    path = tmp_path / "mixed.smi"
    path.write_text("CCO\nC1CC\nOCC\n", encoding="utf-8")
    reference = open_reference(str(path))
    assert reference.drawn == ["CCO"]
    assert reference.warnings == (f"1 of the 3 rows of {path} are not valid molecules and were left out",)

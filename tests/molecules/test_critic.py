import math

import numpy as np
import pytest
from rdkit import Chem

from molgen.errors import InputError
from molgen.molecules.critic import MOST, Critic, parts_of
from molgen.molecules.hashing import smiles_hashes


def critic(weights: dict[str, float], sizes=(0.0, 0.0, 0.0, 0.25, 0.0)) -> Critic:
    hashes, order = np.sort(smiles_hashes(weights)), np.argsort(smiles_hashes(weights))
    return Critic(np.array(sizes, np.float32), hashes, np.array(list(weights.values()), np.float32)[order])


def test_parts_are_the_surroundings_of_each_atom_and_the_ring_systems():
    assert parts_of(Chem.MolFromSmiles("CC")) == ["CH3D1(-CH3D1)", "CH3D1(-CH3D1)"]
    assert parts_of(Chem.MolFromSmiles("C1CC1"))[-1] == "C1CC1"


def test_log_odds_add_up_each_part_as_often_as_it_is_there_and_the_size():
    weigh = critic({"CH3D1(-CH2D2)": 0.5, "CH2D2(-CH3D1,-OH1D1)": -2.0, "C1CC1": 1.0}).log_odds
    assert weigh(Chem.MolFromSmiles("CCO")) == pytest.approx(0.25 + 0.5 - 2.0)
    assert weigh(Chem.MolFromSmiles("CCC")) == pytest.approx(0.25 + 2 * 0.5)
    assert weigh(Chem.MolFromSmiles("C1CC1")) == pytest.approx(0.25 + 1.0)
    assert weigh(Chem.MolFromSmiles("OO")) == 0.0
    assert critic({}).log_odds(Chem.MolFromSmiles("CCO")) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sizes": np.zeros(3, np.float32)}, r"sizes of a critic should be float32 \[5\]"),
        ({"weights": np.zeros(2, np.float64)}, r"weights of a critic should be float32 \[2\]"),
        ({"weights": np.array([0, math.nan], np.float32)}, f"from -{MOST:g} to {MOST:g}"),
        ({"sizes": np.full(5, 1 + MOST, np.float32)}, f"from -{MOST:g} to {MOST:g}"),
        ({"parts": np.array([7, 7], np.uint64)}, "ascending"),
        ({"parts": np.array([1, 2])}, "uint64"),
    ],
)
def test_a_wrong_critic_is_refused(change, told):
    good = critic({"a": 1.0, "b": 2.0})
    assert good.checked(5) is good
    with pytest.raises(InputError, match=told):
        good._replace(**change).checked(5)

import math

import numpy as np
import pytest
from rdkit import Chem

from molgen.errors import InputError
from molgen.models.critic import MOST, Critic
from molgen.molecules.hashing import smiles_hashes
from molgen.molecules.substructures import parts


def critic(weights: dict[str, float], sizes=(0.0, 0.0, 0.0, 0.25, 0.0)) -> Critic:
    hashes, order = np.sort(smiles_hashes(weights)), np.argsort(smiles_hashes(weights))
    return Critic(np.array(sizes, np.float32), hashes, np.array(list(weights.values()), np.float32)[order])


def weighed(by: Critic, smiles: str) -> float:
    mol = Chem.MolFromSmiles(smiles)
    return by.log_odds(mol.GetNumHeavyAtoms(), smiles_hashes(parts(mol)))


def test_log_odds_add_up_each_part_as_often_as_it_is_there_and_the_size():
    by = critic({"CH3D1(-CH2D2)": 0.5, "CH2D2(-CH3D1,-OH1D1)": -2.0, "C1CC1": 1.0})
    assert weighed(by, "CCO") == pytest.approx(0.25 + 0.5 - 2.0)
    assert weighed(by, "CCC") == pytest.approx(0.25 + 2 * 0.5)
    assert weighed(by, "C1CC1") == pytest.approx(0.25 + 1.0)
    assert weighed(by, "OO") == 0.0
    assert weighed(critic({}), "CCO") == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sizes": np.zeros(3, np.float32)}, r"sizes of a critic should be float32 \[5\]"),
        ({"weights": np.zeros(2, np.float64)}, r"weights of a critic should be float32 \[2\]"),
        ({"weights": np.array([0, math.nan], np.float32)}, f"from -{MOST:g} to {MOST:g}"),
        ({"sizes": np.full(5, 1 + MOST, np.float32)}, f"from -{MOST:g} to {MOST:g}"),
        ({"parts": np.array([7, 7], np.uint64)}, "ascending"),
        ({"parts": np.array([1, 2])}, "uint64"),
        ({"parts": np.array([[1, 2]], np.uint64)}, "in one row"),
    ],
)
def test_a_wrong_critic_is_refused(change, told):
    good = critic({"a": 1.0, "b": 2.0})
    assert good.checked(5) is good
    with pytest.raises(InputError, match=told):
        good._replace(**change).checked(5)

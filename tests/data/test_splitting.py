import numpy as np

from molgen.data.splitting import split_rows
from tests.data.small_set import SMILES


def test_the_split_depends_on_the_set_and_not_on_its_order():
    split = dict(zip(SMILES, split_rows(SMILES, 3, 4).tolist(), strict=True))
    other = SMILES[::-1]
    assert dict(zip(other, split_rows(other, 3, 4).tolist(), strict=True)) == split
    assert sorted(split.values()) == [0] * 17 + [1] * 4 + [2] * 3
    order = np.array(sorted(SMILES))[np.random.default_rng(0).permutation(len(SMILES))]
    assert [split[text] for text in order] == [2] * 3 + [1] * 4 + [0] * 17

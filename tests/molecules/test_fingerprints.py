import numpy as np
import pytest

from molgen.errors import InputError
from molgen.molecules.fingerprints import (
    COLUMNS,
    ROWS,
    fingerprint,
    map_points,
    nearest_of,
    similarities,
    stacked,
    tanimoto_blocks,
)
from molgen.molecules.parsing import parse_smiles


@pytest.mark.parametrize("share", [0.05, 0.6])  # of bits that are set; with 0.6 more are common than bfloat16 can count
def test_blocks_are_the_similarities_of_all_pairs(share):
    random = np.random.default_rng(0)
    ours, theirs = (random.random((count, 2048)) < share for count in (ROWS + 3, COLUMNS + 5))
    ours[0] = theirs[0] = False
    whole = np.full((len(ours), len(theirs)), np.nan, np.float32)
    packed = [np.packbits(bits, axis=1, bitorder="little") for bits in (ours, theirs)]
    for rows, columns, similarity in tanimoto_blocks(*packed):
        whole[rows, columns] = similarity.numpy()
    common = ours.astype(np.float32) @ theirs.T.astype(np.float32)
    either = ours.sum(1)[:, None] + theirs.sum(1)[None] - common
    expected = np.where(either > 0, common / np.maximum(either, 1), 1.0)
    assert np.allclose(whole, expected, rtol=1e-6, atol=0)
    which, how = nearest_of(*packed)
    assert (which == whole.argmax(1)).all() and (how == whole.max(1)).all()


def test_a_list_compared_with_itself_leaves_each_one_out():
    random = np.random.default_rng(1)
    bits = random.random((ROWS + 3, 64)) < 0.2
    bits[-1], bits[5] = bits[0], False
    packed = np.packbits(bits, axis=1, bitorder="little")
    common = bits.astype(np.float32) @ bits.T.astype(np.float32)
    either = bits.sum(1)[:, None] + bits.sum(1)[None] - common
    expected = np.where(either > 0, common / np.maximum(either, 1), 1.0)
    np.fill_diagonal(expected, -1.0)
    which, how = nearest_of(packed, packed, but_itself=True)
    assert (which == expected.argmax(1)).all() and np.allclose(how, expected.max(1))
    assert which[0] == len(bits) - 1 and how[0] == 1.0
    alone = nearest_of(packed[:1], packed[:1], but_itself=True)
    assert [part.tolist() for part in alone] == [[-1], [0.0]]


def test_no_fingerprints_have_no_neighbours():
    nothing = np.zeros((0, 256), np.uint8)
    assert list(tanimoto_blocks(nothing, nothing)) == []
    assert [len(part) for part in nearest_of(nothing, np.zeros((3, 256), np.uint8))] == [0, 0]


def test_likeness_is_tanimoto():
    rows = [fingerprint(parse_smiles(smiles)) for smiles in ("CCO", "CCN", "c1ccccc1")]
    likeness = similarities(rows, "OCC")
    assert likeness[0] == 1 and 0 < likeness[1] < 1 and likeness[2] == 0
    with pytest.raises(InputError, match="'C\\('"):
        similarities(rows, "C(")


def test_fingerprints_are_packed():
    ethanol = fingerprint(parse_smiles("CCO"))
    assert len(ethanol) == 256 and fingerprint(parse_smiles("OCC")) == ethanol
    assert len(fingerprint(parse_smiles("CCO"), 1_024)) == 128
    assert stacked([ethanol, ethanol]).shape == (2, 256)
    assert stacked([]).shape == (0, 256)


def test_a_map_puts_the_alike_together():
    ethanol, benzene = (fingerprint(parse_smiles(smiles)) for smiles in ("CCO", "c1ccccc1"))
    ours, theirs = map_points([stacked([ethanol])], stacked([benzene, ethanol]))
    assert ours.shape == (1, 2) and theirs.shape == (2, 2)
    assert np.allclose(ours[0], theirs[1], atol=1e-5) and not np.allclose(ours[0], theirs[0], atol=0.1)

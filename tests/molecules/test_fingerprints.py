import numpy as np
import pytest

from molgen.molecules.fingerprints import COLUMNS, ROWS, nearest_of, tanimoto_blocks


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

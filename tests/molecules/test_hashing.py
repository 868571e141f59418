import itertools

import numpy as np

from molgen.molecules.hashing import DistinctMolecules, contains, smiles_hashes


def test_hashes_never_change():
    """Checkpoints in use hold them: BLAKE2b of 8 bytes, read little endian."""
    hashes = smiles_hashes(["CCO"])
    assert hashes.dtype == np.uint64
    assert hashes.tolist() == [14_074_757_553_414_938_733]


def test_hashes_keep_the_order():
    assert smiles_hashes(["CCO", "C"]).tolist() == [*smiles_hashes(["CCO"]), *smiles_hashes(["C"])]


def test_contains_agrees_with_a_set():
    known = ["CCO", "C", "CCN", "c1ccccc1"]
    asked = ["C", "O", "c1ccccc1", "CC", "CCO"]
    assert contains(np.sort(smiles_hashes(known)), smiles_hashes(asked)).tolist() == [s in known for s in asked]


def test_contains_with_nothing_on_either_side():
    assert contains(smiles_hashes([]), smiles_hashes(["C"])).tolist() == [False]
    assert contains(smiles_hashes(["C"]), smiles_hashes([])).tolist() == []


def test_a_hash_above_all_known_ones_is_not_contained():
    assert contains(np.array([1], np.uint64), np.array([2**64 - 1], np.uint64)).tolist() == [False]


def test_distinct_molecules_are_marked_once():
    seen = DistinctMolecules()
    assert seen.add(["C", "O", "C", "N"]).tolist() == [True, True, False, True]
    assert seen.add(["N", "F", "F"]).tolist() == [False, True, False]
    assert seen.add([]).tolist() == []
    assert (np.diff(seen.hashes.astype(object)) > 0).all() and len(seen.hashes) == 4


def test_distinct_molecules_in_many_parts_are_those_of_a_set():
    random, distinct, seen = np.random.default_rng(0), DistinctMolecules(), set()
    for size in random.integers(0, 40, 60):
        part = [f"C{number}" for number in random.integers(0, 700, size)]
        expected = [text not in seen and text not in part[:place] for place, text in enumerate(part)]
        seen |= set(part)
        assert distinct.add(part).tolist() == expected
        assert len(distinct) == len(seen)
    assert np.array_equal(distinct.hashes, np.sort(smiles_hashes(seen)))
    lengths = [len(run) for run in distinct.runs]
    assert all(longer >= 2 * shorter for longer, shorter in itertools.pairwise(lengths))

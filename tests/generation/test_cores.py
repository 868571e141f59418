import numpy as np
import pytest
import torch

from molgen.errors import InputError
from molgen.generation.cores import growth_sites, parse_core, with_growth
from molgen.molecules.encoding import GraphDecoder
from molgen.molecules.graph import pair_count


def smiles_of(core, vocabulary) -> str:
    return GraphDecoder(vocabulary).decode(core.nodes, core.pairs).smiles


def open_atoms(core) -> int:
    return int((~core.closed).sum())


@pytest.mark.parametrize(
    ("text", "smiles", "growing"),
    [
        ("c1ccccc1", "c1ccccc1", 6),
        ("[*:1]c1ccccc1", "c1ccccc1", 1),
        ("*c1ccc(*)cc1", "c1ccccc1", 2),
        ("CC(C)(C)C", "CC(C)(C)C", 4),
        ("O=C1CCCN1[*:1]", "O=C1CCCN1", 1),
        ("c1ccc2[nH]ccc2c1", "c1ccc2[nH]ccc2c1", 7),
        ("c1ccc2c(c1)ccn2*", "c1ccc2[nH]ccc2c1", 1),
        ("C1CC1.OC[*:2]", "C1CC1.CO", 4),  # marks count for their own piece
        ("[C@@H](F)(C)O", "CC(O)F", 3),
        ("[*:1]/C=C/C", "C=CC", 1),  # hydrogens that RDKit keeps for the stereo of the bond
        ("[H]/N=C/C", "CC=N", 3),
        ("[2H]c1ccco1", "c1ccoc1", 4),
    ],
)
def test_a_core_is_what_it_says_and_open_where_it_may_grow(vocabulary, text, smiles, growing):
    core = parse_core(text, vocabulary)
    assert smiles_of(core, vocabulary) == smiles
    assert open_atoms(core) == growing


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c1ccccc", "unparsable"),
        ("", "empty"),
        ("CCl", "atom type Cl outside the vocabulary"),
        ("*=CC", "by a single bond"),
        ("C*C", "by a single bond"),
        ("FC(F)(F)F", "has no atom that may grow"),
        ("CCO.FC(F)(F)F", "has a piece without an atom that may grow"),
        ("**", "another one"),
    ],
)
def test_what_cannot_be_a_core_is_refused(vocabulary, text, message):
    with pytest.raises(InputError, match=message):
        parse_core(text, vocabulary)


def test_the_condition_of_a_core(vocabulary):
    core = parse_core("*c1ccco1", vocabulary)
    condition = core.condition(7, 3, torch.zeros(3, 0))
    assert len(condition) == 3 and condition.graph.size == 7
    assert condition.known_nodes[0].tolist() == [True] * 5 + [False] * 2
    # ten pairs inside the ring, and four closed atoms against two unknown ones; the open atom's two stay open
    assert int(condition.known_pairs[0].sum()) == 10 + 8
    # between the two unknown atoms nothing is known
    assert not condition.known_pairs[0][-1]
    with pytest.raises(InputError, match="has 5 heavy atoms, more than the 4"):
        core.condition(4, 1, torch.zeros(1, 0))


def test_pieces_may_be_bound_to_each_other_where_both_are_open(vocabulary):
    core = parse_core("*C.*O", vocabulary)
    assert not core.condition(2, 1, torch.zeros(1, 0)).known_pairs.any()
    closed = parse_core("*CC.*O", vocabulary)
    known = closed.condition(3, 1, torch.zeros(1, 0)).known_pairs[0]
    assert np.array_equal(known.numpy(), [True, False, True]) and pair_count(3) == 3


@pytest.mark.parametrize(
    ("text", "alone", "growing"),
    [
        ("c1ccncc1", "c1ccncc1", [0, 1, 2, 4, 5]),
        ("[*:1]c1ccncc1", "c1ccncc1", [0]),
        ("*n1cccc1", "[nH]1cccc1", [0]),
        ("[*:3]CC(=O)NC.[*:1]c1ccccc1", "CC(=O)NC.c1ccccc1", [0, 5]),
    ],
)
def test_the_atoms_that_may_grow_are_found_and_written(text, alone, growing):
    sites = growth_sites(text)
    assert sites.smiles == alone
    assert sites.growing == growing
    assert set(growing) <= set(sites.possible)
    assert growth_sites(with_growth(sites.smiles, sites.growing)) == sites


def test_any_choice_of_atoms_comes_back(vocabulary):
    for core in ("CC1CC(=O)NC1", "c1ccc2[nH]ccc2c1", "C1CCNCC1", "OCC(CO)(CO)CO"):
        sites = growth_sites(core)
        for atom in sites.possible:
            text = with_growth(sites.smiles, [atom])
            assert growth_sites(text).growing == [atom]
            assert (~parse_core(text, vocabulary).closed).sum() == 1


def test_a_core_of_which_all_atoms_may_grow_needs_no_points():
    sites = growth_sites("c1ccncc1")
    assert with_growth(sites.smiles, sites.possible) == with_growth(sites.smiles, []) == "c1ccncc1"

"""Bonds drawn together: by enumeration of all graphs."""

from itertools import product

import pytest
import torch

from molgen.models.bond_totals import BondTotals, draw_with_total, marginals_with_total
from molgen.molecules.graph import pair_indices


def chances(pairs: int, classes: int = 4) -> torch.Tensor:
    return torch.rand(1, pairs, classes, generator=torch.Generator().manual_seed(3)).softmax(-1)


def enumerated(probabilities: torch.Tensor, total: int) -> dict[tuple[int, ...], float]:
    """The probability of each row of classes given that its sum is the total."""
    pairs, classes = probabilities.shape[1:]
    found = {
        row: float(torch.prod(probabilities[0, torch.arange(pairs), torch.tensor(row)]))
        for row in product(range(classes), repeat=pairs)
        if sum(row) == total
    }
    whole = sum(found.values())
    return {row: chance / whole for row, chance in found.items()}


@pytest.mark.parametrize("total", [3, 0, 5, 9])
def test_draws_have_the_distribution_given_the_sum(total):
    probabilities = chances(3)
    expected = enumerated(probabilities, total)
    many = probabilities.log().expand(20_000, -1, -1)
    drawn = draw_with_total(many, torch.full((20_000,), total), torch.Generator().manual_seed(0))
    rows, counts = drawn.unique(dim=0, return_counts=True)
    shares = {tuple(row): count / 20_000 for row, count in zip(rows.tolist(), counts.tolist(), strict=True)}
    assert shares.keys() <= expected.keys()
    assert all(abs(shares.get(row, 0) - chance) < 0.015 for row, chance in expected.items())


@pytest.mark.parametrize("total", [3, 0, 5, 9])
def test_marginals_are_those_given_the_sum(total):
    probabilities = chances(3)
    expected = torch.zeros(3, 4)
    for row, chance in enumerated(probabilities, total).items():
        expected[torch.arange(3), torch.tensor(row)] += chance
    torch.testing.assert_close(marginals_with_total(probabilities.log(), torch.tensor([total]))[0], expected)


def test_impossible_sums_are_left_out_of_account():
    certain = torch.eye(4)[torch.tensor([[1, 2, 0]])]
    likely = chances(3)
    both = torch.cat([certain, likely])
    drawn = draw_with_total(both.log(), torch.tensor([4, 4]), torch.Generator().manual_seed(0))
    assert drawn[0].tolist() == [1, 2, 0] and drawn[1].sum() == 4
    given = marginals_with_total(both.log(), torch.tensor([4, 4]))
    torch.testing.assert_close(given[0], certain[0])
    assert not torch.allclose(given[1], likely[0])


def test_many_pairs_keep_their_precision():
    """A sum that is very unlikely under each pair's own distribution is still met."""
    log_p = torch.tensor([0.0, -100.0, -250.0, -400.0], dtype=torch.float64).expand(4, 351, -1)
    totals = torch.full((4,), 40)
    assert draw_with_total(log_p, totals, torch.Generator().manual_seed(0)).sum(1).tolist() == [40] * 4
    expected = (marginals_with_total(log_p, totals) * torch.arange(4)).sum((1, 2))
    torch.testing.assert_close(expected, totals.double())


def test_a_single_atom_has_no_pairs():
    assert draw_with_total(torch.zeros(2, 0, 4), torch.zeros(2, dtype=torch.int64), None).shape == (2, 0)
    assert marginals_with_total(torch.zeros(2, 0, 4), torch.zeros(2, dtype=torch.int64)).shape == (2, 0, 4)


def test_each_graph_has_a_total_of_its_own():
    probabilities = chances(6).expand(4, -1, -1)
    totals = torch.tensor([0, 3, 7, 18])
    assert torch.equal(draw_with_total(probabilities.log(), totals, torch.Generator()).sum(1), totals)
    expected = (marginals_with_total(probabilities.log(), totals) * torch.arange(4)).sum((1, 2))
    torch.testing.assert_close(expected, totals.float())


def nothing_known(valences: tuple[tuple[int, ...], ...], hydrogens: int, count: int = 1) -> BondTotals:
    pairs = torch.zeros(count, len(valences) * (len(valences) - 1) // 2, dtype=torch.int64)
    return BondTotals(valences, pairs, pairs.bool(), hydrogens)


@pytest.mark.parametrize(
    ("bonds", "total"),
    [
        # C S O O C, pairs 01 02 03 04 12 13 14 23 24 34
        ([1, 0, 0, 0, 2, 2, 1, 0, 0, 0], 6),  # dimethyl sulfone
        ([1, 0, 0, 0, 1, 0, 0, 1, 0, 1], 4),  # CSOOC
        ([1, 0, 0, 0, 2, 0, 1, 0, 0, 1], 5),  # CS(=O)(C)O has a bond more than is drawn here
    ],
)
def test_sulfur_takes_the_valence_that_its_bonds_need(bonds, total):
    totals = nothing_known(((4,), (2, 4, 6), (2,), (2,), (4,)), hydrogens=6)
    likely = (torch.eye(4)[torch.tensor(bonds)][None] * 0.98 + 0.005).log()
    assert totals._totals(torch.tensor([bonds])).tolist() == [total]
    torch.testing.assert_close((totals.marginals(likely) * torch.arange(4)).sum(), torch.tensor(float(total)))


def test_hydrogens_are_met_whatever_the_network_thinks():
    totals = nothing_known(((4,), (2, 4, 6), (2,), (4,), (3,)), hydrogens=5, count=500)
    few = torch.tensor([0.7, 0.2, 0.07, 0.03]).log().expand(500, 10, -1)
    drawn = totals.draw(few, torch.Generator().manual_seed(0))
    first, second = pair_indices(5)
    sulfur = drawn[:, (first == 1) | (second == 1)].sum(1)
    fine = sulfur <= 6  # with more bonds than it can have there is no molecule to count hydrogens of
    assert fine.float().mean() > 0.95 and sulfur.unique().tolist()[:5] == [0, 1, 2, 3, 4]
    assert torch.equal(drawn.sum(1)[fine], totals._totals(drawn)[fine])


def test_what_is_known_stays_whatever_the_network_says_of_it():
    """Also where the rest cannot make up the sum, or only against all odds."""
    known = torch.tensor([[True, True, True, False, False, False]])
    pairs = torch.tensor([[1, 0, 3, 0, 0, 0]])
    nonsense = torch.zeros(1, 6, 4).log_softmax(-1)
    unlikely = nonsense.clone()
    unlikely[:, 3:] = torch.tensor([0.0, -400.0, -800.0, -1200.0]).log_softmax(-1)
    for hydrogens, total in ((2, 7), (6, 5), (0, 8)):
        totals = BondTotals(((4,),) * 4, pairs, known, hydrogens)
        for log_p in (nonsense, unlikely):
            drawn = totals.draw(log_p, torch.Generator().manual_seed(0))
            assert drawn[0, :3].tolist() == [1, 0, 3] and drawn.sum() == total
            torch.testing.assert_close((totals.marginals(log_p) * torch.arange(4)).sum(), torch.tensor(float(total)))
    impossible = BondTotals(((4,),) * 4, pairs, known, hydrogens=12)  # the known bonds alone are too many
    assert impossible.draw(nonsense, torch.Generator())[0, :3].tolist() == [1, 0, 3]
    assert impossible.marginals(nonsense)[0, :3].argmax(-1).tolist() == [1, 0, 3]

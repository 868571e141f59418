"""Bonds drawn together: by enumeration of all graphs."""

from itertools import product

import pytest
import torch

from molgen.models.bond_totals import draw_with_total, marginals_with_total


def chances(pairs: int, classes: int = 4) -> torch.Tensor:
    return torch.rand(1, pairs, classes, generator=torch.Generator().manual_seed(3)).softmax(-1)


def enumerated(probabilities: torch.Tensor, totals: tuple[int, ...]) -> dict[tuple[int, ...], float]:
    """The probability of each row of classes given that its sum is one of the totals."""
    pairs, classes = probabilities.shape[1:]
    found = {
        row: float(torch.prod(probabilities[0, torch.arange(pairs), torch.tensor(row)]))
        for row in product(range(classes), repeat=pairs)
        if sum(row) in totals
    }
    whole = sum(found.values())
    return {row: chance / whole for row, chance in found.items()}


@pytest.mark.parametrize("totals", [(3,), (0,), (2, 5), (9,)])
def test_draws_have_the_distribution_given_the_sum(totals):
    probabilities = chances(3)
    expected = enumerated(probabilities, totals)
    drawn = draw_with_total(probabilities.expand(20_000, -1, -1), totals, torch.Generator().manual_seed(0))
    rows, counts = drawn.unique(dim=0, return_counts=True)
    shares = {tuple(row): count / 20_000 for row, count in zip(rows.tolist(), counts.tolist(), strict=True)}
    assert shares.keys() <= expected.keys()
    assert all(abs(shares.get(row, 0) - chance) < 0.015 for row, chance in expected.items())


@pytest.mark.parametrize("totals", [(3,), (0,), (2, 5), (9,)])
def test_marginals_are_those_given_the_sum(totals):
    probabilities = chances(3)
    expected = torch.zeros(3, 4)
    for row, chance in enumerated(probabilities, totals).items():
        expected[torch.arange(3), torch.tensor(row)] += chance
    torch.testing.assert_close(marginals_with_total(probabilities, totals)[0], expected)


def test_impossible_sums_are_left_out_of_account():
    certain = torch.eye(4)[torch.tensor([[1, 2, 0]])]
    likely = chances(3)
    both = torch.cat([certain, likely])
    drawn = draw_with_total(both, (4,), torch.Generator().manual_seed(0))
    assert drawn[0].tolist() == [1, 2, 0] and drawn[1].sum() == 4
    given = marginals_with_total(both, (4,))
    torch.testing.assert_close(given[0], certain[0])
    assert not torch.allclose(given[1], likely[0])


def test_many_pairs_keep_their_precision():
    """A sum that is very unlikely under each pair's own distribution is still met."""
    probabilities = torch.tensor([1 - 1e-5, 1e-5, 1e-9, 1e-12]).expand(4, 351, -1)
    assert draw_with_total(probabilities, (40,), torch.Generator().manual_seed(0)).sum(1).tolist() == [40] * 4
    marginals = marginals_with_total(probabilities, (40,))
    torch.testing.assert_close((marginals * torch.arange(4)).sum((1, 2)), torch.full((4,), 40.0))


def test_a_single_atom_has_no_pairs():
    assert draw_with_total(torch.zeros(2, 0, 4), (0,), None).shape == (2, 0)
    assert marginals_with_total(torch.zeros(2, 0, 4), (0,)).shape == (2, 0, 4)

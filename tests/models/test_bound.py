"""The standard error of a bound: as large as the spread that repetition finds, also where few strata make it."""

import pytest
import torch

from molgen.models.base import stratified_bound

REPEATS, DRAWS = 5_000, 32


@pytest.mark.parametrize(
    "spread",
    [
        torch.ones(DRAWS),
        torch.tensor([5.0] + [0.1] * (DRAWS - 1)),  # the strata near the data, as a network's are
        torch.exp(-torch.arange(DRAWS) / 2),
        torch.tensor([0.0] * 28 + [1.0, 1.0, 3.0, 3.0]),
    ],
    ids=["even", "one", "falling", "four"],
)
def test_the_standard_error_is_the_spread_of_repetitions(spread):
    draw = torch.Generator().manual_seed(0)
    bound = stratified_bound(lambda k: k / DRAWS + spread[k] * torch.randn(REPEATS, generator=draw), DRAWS)
    ratio = float(bound.standard_error.mean() / bound.nats.std())
    assert 0.96 < ratio < 1.09
    assert bound.standard_error.dtype == bound.nats.dtype


def test_a_bound_without_chance_has_no_error():
    bound = stratified_bound(lambda _: torch.tensor([2.0, 3.0]), 4)
    assert bound.nats.tolist() == [2.0, 3.0] and bound.standard_error.tolist() == [0.0, 0.0]

"""What a data set suggests for a training."""

import pytest
import torch

from molgen.data.dataset import GraphDataset
from molgen.molecules.graph import GraphBatch, pair_count
from molgen.molecules.vocabulary import AtomClass, Vocabulary
from molgen.training.verdict import SizeCost, costly_sizes, fitting_model, verdict

ORGANIC = Vocabulary((AtomClass("C", 0), AtomClass("N", 0), AtomClass("O", 0)))
FOREIGN = Vocabulary((AtomClass("Pt", 0), AtomClass("N", 0), AtomClass("O", 0)))


def molecules(counts: dict[int, int], vocabulary: Vocabulary = ORGANIC) -> GraphDataset:
    """Graphs without bonds, all of the first atom class, by size."""
    batches = {
        size: GraphBatch(
            torch.zeros(count, size, dtype=torch.uint8), torch.zeros(count, pair_count(size), dtype=torch.uint8)
        )
        for size, count in counts.items()
    }
    return GraphDataset(vocabulary, batches)


def test_the_few_largest_molecules_are_named_with_their_cost():
    found = costly_sizes(molecules({10: 500, 20: 495, 97: 5}))
    assert found == SizeCost(largest=20, molecules=pytest.approx(0.005), cost=pytest.approx(0.153, abs=1e-3))
    assert costly_sizes(molecules({10: 500, 20: 500})) is None
    assert costly_sizes(molecules({10: 1})) is None


@pytest.mark.parametrize(("size", "name"), [(9, "qm9-digress"), (22, "chembl-digress")])
def test_the_model_that_fits_has_the_atom_types_and_the_sizes(size: int, name: str):
    start = fitting_model(molecules({size: 40}), "digress")
    assert start is not None and start.name == name and start.held == 1.0
    assert fitting_model(molecules({size: 40}, FOREIGN), "digress") is None
    assert fitting_model(molecules({120: 40}), "digress") is None


def test_a_small_set_is_told_to_start_from_a_model_and_a_large_one_need_not():
    small = verdict(molecules({9: 640}), "digress", 3_000_000, tuning=False)
    assert not small.enough and small.start is not None and (small.batch_size, small.epochs) == (32, 20)
    large = verdict(molecules({9: 100_000}), "digress", 3_000_000, tuning=False)
    assert large.enough and (large.batch_size, large.epochs) == (512, 40)
    assert verdict(molecules({9: 640}), "digress", 3_000_000, tuning=True).enough
    assert not verdict(molecules({9: 64}), "digress", 3_000_000, tuning=True).enough
    tuned = verdict(molecules({9: 640}), "digress", 3_000_000, tuning=True)
    assert tuned.start is None and tuned.epochs == 20

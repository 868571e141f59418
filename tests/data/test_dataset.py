import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from molgen.data.dataset import MAX_ENTRIES, GraphDataset, Statistics
from molgen.errors import InputError
from molgen.molecules.graph import GraphBatch
from tests.conftest import SMILES


def test_statistics_are_counted_from_the_graphs(dataset):
    statistics = dataset.statistics()
    assert sum(statistics.sizes) == len(SMILES) == len(dataset)
    assert statistics.sizes[1] == 2  # methane and water
    assert sum(statistics.atoms) == pytest.approx(1)
    assert sum(statistics.bonds) == pytest.approx(1)
    assert Statistics.from_json(statistics.to_json()) == statistics


def test_an_epoch_holds_every_graph_once(dataset):
    seen = [(size, row) for size, rows in dataset.epoch(2, seed=3, epoch=0) for row in rows.tolist()]
    assert sorted(seen) == [(size, row) for size, batch in dataset.by_size.items() for row in range(len(batch))]
    assert max(len(rows) for _, rows in dataset.epoch(2, seed=3, epoch=0)) == 2


def test_batches_of_large_graphs_are_smaller(vocabulary):
    graphs = GraphBatch(torch.zeros(50, 200, dtype=torch.uint8), torch.zeros(50, 19_900, dtype=torch.uint8))
    batches = GraphDataset(vocabulary, {200: graphs}).epoch(32, seed=0, epoch=0)
    assert sorted(row for _, rows in batches for row in rows.tolist()) == list(range(50))
    assert max(len(rows) for _, rows in batches) == MAX_ENTRIES // 20_100 == 19


def test_the_order_depends_on_seed_and_epoch_alone(dataset):
    def order(seed, epoch):
        return [(size, tuple(rows)) for size, rows in dataset.epoch(2, seed, epoch)]

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_saved_and_loaded_sets_are_equal(dataset, vocabulary, tmp_path):
    save_file(dataset.tensors(), tmp_path / "set.safetensors")
    loaded = GraphDataset.load(tmp_path / "set.safetensors", vocabulary)
    assert sorted(loaded.by_size) == sorted(dataset.by_size)
    for size, batch in dataset.by_size.items():
        assert torch.equal(loaded.by_size[size].nodes, batch.nodes)
        assert torch.equal(loaded.by_size[size].pairs, batch.pairs)
        assert loaded.by_size[size].nodes.dtype == torch.uint8


def test_a_foreign_file_is_refused(vocabulary, tmp_path):
    np.save(tmp_path / "set.npy", np.zeros(3))
    with pytest.raises(InputError, match="not a prepared data set"):
        GraphDataset.load(tmp_path / "set.npy", vocabulary)

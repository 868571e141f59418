import pytest
import torch

from molgen.errors import InputError
from molgen.molecules.graph import GraphBatch, from_square, incidence, pair_count, pair_indices, to_square


def test_pairs_are_the_upper_triangle_row_by_row():
    rows, columns = pair_indices(4)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_square_and_pairs_are_inverse_and_symmetric(size):
    pairs = torch.randint(0, 4, (3, pair_count(size)))
    square = to_square(pairs, size)
    assert square.shape == (3, size, size)
    assert torch.equal(square, square.transpose(1, 2))
    assert square.diagonal(dim1=1, dim2=2).eq(0).all()
    assert torch.equal(from_square(square), pairs)


def test_constant_matrices_do_what_indexing_does():
    pairs = torch.randn(2, 10)
    assert torch.allclose(pairs @ incidence(5).T, to_square(pairs, 5).sum(-1))


def test_permute_moves_nodes_and_bonds_together():
    batch = GraphBatch(torch.tensor([[0, 1, 2]]), torch.tensor([[1, 0, 2]]))  # 0-1 single, 1=2 double
    moved = batch.permute(torch.tensor([2, 0, 1]))
    assert moved.nodes.tolist() == [[2, 0, 1]]
    assert moved.bonds()[0].tolist() == [[0, 0, 2], [0, 0, 1], [2, 1, 0]]


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"\[2, 3\], got \[2, 4\]"):
        GraphBatch(torch.zeros(2, 3), torch.zeros(2, 4))

import itertools

import torch
from torch.nn.functional import one_hot

from molgen.models.layers import GraphFeatures, PairBlock, PairsToSquare, SquareToPairs
from molgen.molecules.graph import GraphBatch, from_square, pair_count, to_square


def ring(size: int) -> torch.Tensor:
    bonds = torch.zeros(1, size, size, dtype=torch.int64)
    for node in range(size):
        bonds[0, node, (node + 1) % size] = bonds[0, (node + 1) % size, node] = 1
    return from_square(bonds)


def test_cycles_are_counted():
    for size in (3, 4, 5, 6):
        nodes, _ = GraphFeatures()(ring(size), size)
        cycles = nodes[0, :, 11:14]
        expected = one_hot(torch.tensor(size - 3), 4)[:3] * 0.5 if size < 6 else torch.zeros(3)  # 1 -> 1 / (1 + 1)
        assert torch.allclose(cycles, expected.float().expand(size, 3)), size


def test_complete_graph_of_four():
    """Each node of K4 is in 3 triangles and 3 squares; there is no pentagon."""
    nodes, _ = GraphFeatures()(torch.ones(1, 6, dtype=torch.int64), 4)
    assert torch.allclose(nodes[0, 0, 11:14], torch.tensor([3 / 4, 3 / 4, 0.0]))


def test_cycle_counts_are_those_of_an_exhaustive_search():
    generator = torch.Generator().manual_seed(0)
    pairs = (torch.rand(20, 21, generator=generator) < 0.5).long()
    nodes, _ = GraphFeatures()(pairs, 7)
    bonds = to_square(pairs, 7)
    for row in range(20):
        for length in (3, 4, 5):
            count = (
                sum(
                    all(bonds[row, i, j] for i, j in itertools.pairwise((0, *path, 0)))
                    for path in itertools.permutations(range(1, 7), length - 1)
                )
                / 2
            )  # each cycle is walked in two directions
            assert torch.isclose(nodes[row, 0, 8 + length], torch.tensor(count / (1 + count)))


def test_pieces_and_walks():
    batch = GraphBatch(torch.zeros(1, 4, dtype=torch.int64), torch.tensor([[1, 0, 0, 0, 0, 2]]))  # 0-1, 2=3
    nodes, pairs = GraphFeatures()(batch.pairs, 4)
    assert nodes[0, :, 3].tolist() == [0.5, 0.5, 1.0, 1.0]  # valence / 2
    assert nodes[0, :, 14].tolist() == [0.5] * 4  # half of the nodes are reached
    connected = to_square(pairs, 4)[0, :, :, 8]
    assert connected[0].tolist() == [0, 1, 0, 0]
    assert nodes[0, 0, 4:11].tolist() == [1, 0, 1, 0, 1, 0, 1]  # back home after every second step


def test_a_long_chain_is_one_component():
    size = 40
    bonds = torch.zeros(1, size, size, dtype=torch.int64)
    for node in range(size - 1):
        bonds[0, node, node + 1] = bonds[0, node + 1, node] = 1
    nodes, pairs = GraphFeatures()(from_square(bonds), size)
    assert pairs.shape == (1, pair_count(size), GraphFeatures.pair_width)
    assert nodes.shape == (1, size, GraphFeatures.node_width)
    assert nodes[0, :, 14].eq(1).all()


def test_pairs_and_squares_are_each_others_gradient():
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randn(2, 10, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    cells = torch.randn(2, 25, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.equal(PairsToSquare.apply(pairs, 5).view(2, 5, 5, 3), to_square(pairs, 5))
    square = cells.view(2, 5, 5, 3)
    assert torch.equal(SquareToPairs.apply(cells, 5), from_square(square + square.transpose(1, 2)))
    torch.autograd.gradcheck(lambda x: PairsToSquare.apply(x, 5), pairs)
    torch.autograd.gradcheck(lambda x: SquareToPairs.apply(x, 5), cells)


def test_the_attention_is_that_of_torch():
    """A block without its other parts: its attention output is that of scaled_dot_product_attention."""
    torch.manual_seed(0)
    block = PairBlock(width=8, pair_width=4, condition_width=8, heads=2, triangles=2)
    h, e, condition = torch.randn(3, 5, 8), torch.randn(3, 10, 4), torch.randn(3, 8)
    seen = []
    block.attention_out.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    block(h, e, condition)
    q, k, v = block.qkv(block.attention_norm(h, condition)).view(3, 5, 3, 2, 4).permute(2, 0, 3, 1, 4)
    bias = to_square(block.from_pair(block.pair_norm(e))[..., 4:6], 5).permute(0, 3, 1, 2)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    assert torch.allclose(seen[0][..., :8], expected.transpose(1, 2).reshape(3, 5, 8), atol=1e-5)

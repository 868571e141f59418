"""Network blocks and graph features that do not belong to one backend."""

import math

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from molgen.data.dataset import TargetStatistics
from molgen.molecules.graph import from_square, incidence, pair_indices, to_square
from molgen.molecules.vocabulary import BOND_CLASSES

WALK_LENGTH = 8
LOGIT_BOUND = 60.0
# of a standardised property: angles per standard deviation, and the largest distance from the mean
TARGET_WAVES = (1.0, 3.0, 9.0)
TARGET_BOUND = 5.0


def zeroed(linear: nn.Linear) -> nn.Linear:
    """The layer, zero-initialised: it changes nothing before it is trained."""
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class GraphFeatures(nn.Module):
    """Structure of a noisy graph, computed and not learned: what message passing sees poorly or late.

    Input: pairs, the bond classes int64 [b, p] or a distribution over them, float [b, p, 4], for which bonds count by
    their probability; and size n. Output, float32:
    node features [b, n, 16]: bonds of each class 3, valence, return probabilities of random walks of
        2 to 8 steps 7, cycles of length 3 to 5 through the node 3, share of nodes in its component, size n;
    pair features [b, p, 10]: random walks of 1 to 8 steps, connected, walks of length 2 (count).
    Random walks are symmetric, (D^-1/2 A D^-1/2)^k, with the same diagonal as (D^-1 A)^k.
    Cycles as in DiGress, appendix B, whose count of pentagons is exact only without triangles; this one always is.
    """

    node_width = 16
    pair_width = WALK_LENGTH + 2

    @torch.no_grad()
    def forward(self, pairs: Tensor, size: int) -> tuple[Tensor, Tensor]:
        if not pairs.is_floating_point():
            pairs = nn.functional.one_hot(pairs, len(BOND_CLASSES)).float()
        bonds = to_square(pairs[..., 1:], size)
        classes = bonds.sum(2)
        valence = classes @ torch.tensor([1.0, 2.0, 3.0], device=pairs.device)
        adjacency = bonds.sum(-1)
        degree = adjacency.sum(-1)
        scale = degree.clamp(min=1).rsqrt()
        step = adjacency * scale[:, :, None] * scale[:, None, :]
        walks = [step]
        for _ in range(WALK_LENGTH - 1):
            walks.append(walks[-1] @ step)
        returns = torch.stack([walk.diagonal(dim1=1, dim2=2) for walk in walks[1:]], dim=-1)

        two = adjacency @ adjacency
        cycles = _cycle_counts(adjacency, two, degree)

        reach = adjacency + torch.eye(size, device=pairs.device)
        for _ in range(max(1, math.ceil(math.log2(max(2, size - 1))))):
            reach = (reach @ reach).clamp(max=1.0)
        component = reach.sum(-1, keepdim=True) / size

        sizes = torch.full_like(component, size / 10)
        nodes = torch.cat([classes, valence[..., None] / 2, returns, cycles, component, sizes], dim=-1)
        stacked = torch.stack([*walks, reach, two.clamp(max=10.0)], dim=-1)
        return nodes, from_square(stacked)


def _cycle_counts(adjacency: Tensor, two: Tensor, degree: Tensor) -> Tensor:
    """Cycles of length 3, 4 and 5 through each node, squashed to [0, 1), [b, n, 3]."""
    three = two @ adjacency
    triangles = three.diagonal(dim1=1, dim2=2)
    on_triangle = adjacency * two
    squares = (two**2).sum(-1) - degree * (degree - 1) - (adjacency @ degree[..., None])[..., 0]
    # paths of two and of three bonds from i to the same end; less those that share a middle node
    paths = three - adjacency * (degree[:, :, None] + degree[:, None, :] - 1)
    off_diagonal = two - torch.diag_embed(degree)
    shared = (adjacency @ triangles[..., None])[..., 0] - 2 * triangles
    shared = shared + (on_triangle * (degree[:, None, :] - 2)).sum(-1)
    pentagons = (off_diagonal * paths).sum(-1) - shared
    counts = torch.stack([triangles / 2, squares / 2, pentagons / 2], dim=-1).clamp(min=0.0)
    return counts / (1 + counts)


class NoiseEmbedding(nn.Module):
    """Noise level -> vector. Input: alpha-bar [b] in [0, 1]; output [b, width].

    Seen as the angle arccos(sqrt(alpha-bar)), which spreads the levels of a cosine schedule evenly.
    """

    frequencies: Tensor

    def __init__(self, width: int, frequencies: int = 16) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.arange(1, frequencies + 1).float(), persistent=False)
        self.net = nn.Sequential(nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, alpha_bar: Tensor) -> Tensor:
        angle = torch.arccos(alpha_bar.clamp(0.0, 1.0).sqrt())[:, None] * self.frequencies
        embedded: Tensor = self.net(torch.cat([angle.sin(), angle.cos()], dim=-1))
        return embedded


class TargetEncoding(nn.Module):
    """Properties that are asked for -> vector, zero where none is, zero-initialised: float [b, k] -> [b, width].

    Input in the units of the properties, NaN where nothing is asked; inside, each is standardised by the training set.
    Features of each: asked, value, and waves of it, so that a count is told to the unit.
    """

    mean: Tensor
    deviation: Tensor
    waves: Tensor

    def __init__(self, targets: tuple[TargetStatistics, ...], width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([target.mean for target in targets]), persistent=False)
        self.register_buffer("deviation", torch.tensor([target.deviation for target in targets]), persistent=False)
        self.register_buffer("waves", torch.tensor(TARGET_WAVES), persistent=False)
        self.features = 2 + 2 * len(TARGET_WAVES)
        self.inward = nn.Linear(len(targets) * self.features, width)
        self.out = zeroed(nn.Linear(width, width))

    def forward(self, targets: Tensor) -> Tensor:
        asked = targets.isfinite()
        # a value far outside the training set counts as its edge
        value = ((targets - self.mean) / self.deviation).clamp(-TARGET_BOUND, TARGET_BOUND)
        value = torch.where(asked, value, 0.0)[..., None]
        angle = value * self.waves
        features = torch.cat([torch.ones_like(value), value, angle.sin(), angle.cos()], dim=-1) * asked[..., None]
        told: Tensor = self.out(nn.functional.silu(self.inward(features.flatten(1))))
        return told * asked.any(1, keepdim=True)  # nothing asked is the same as no condition


class FiLM(nn.Module):
    """Layer norm whose scale and shift follow a condition: x [b, k, d], condition [b, c] -> [b, k, d].

    Feature-wise linear modulation (Perez et al. 2018); zero-initialised, so that it begins as the norm alone.
    """

    def __init__(self, width: int, condition_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.modulation = nn.Linear(condition_width, 2 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition).unsqueeze(1).chunk(2, dim=-1)
        return torch.addcmul(shift, self.norm(x), 1 + scale)


class _Sized(FunctionCtx):
    size: int


class PairsToSquare(torch.autograd.Function):
    """[b, p, c] -> cells of the symmetric matrices, [b, n*n, c], 0 on the diagonal.

    Its gradient is the forward of `SquareToPairs` and the other way round: torch's own would add up with index_add,
    which is slow on a CPU.
    """

    @staticmethod
    def forward(ctx: _Sized, pairs: Tensor, size: int) -> Tensor:
        ctx.size = size
        return _spread(pairs, size)

    @staticmethod
    def backward(ctx: _Sized, gradient: Tensor) -> tuple[Tensor, None]:
        return _gather(gradient, ctx.size), None


class SquareToPairs(torch.autograd.Function):
    """Cells of square matrices [b, n*n, c] -> the sum of the cells (i, j) and (j, i) of every pair, [b, p, c]."""

    @staticmethod
    def forward(ctx: _Sized, cells: Tensor, size: int) -> Tensor:
        ctx.size = size
        return _gather(cells, size)

    @staticmethod
    def backward(ctx: _Sized, gradient: Tensor) -> tuple[Tensor, None]:
        return _spread(gradient, ctx.size), None


def pairs_to_square(pairs: Tensor, size: int) -> Tensor:
    """Of a channel-last pair track, [b, p, c], the symmetric matrices of each channel, [b, c, n, n]; see the class."""
    cells: Tensor = PairsToSquare.apply(pairs, size)  # type: ignore[no-untyped-call]  # torch has no type for it
    return cells.transpose(1, 2).contiguous().view(len(pairs), -1, size, size)


def square_to_pairs(square: Tensor, size: int) -> Tensor:
    """The sum of the cells (i, j) and (j, i) of square matrices [b, c, n, n], [b, p, c]; see the class."""
    cells = square.flatten(2).transpose(1, 2).contiguous()
    pairs: Tensor = SquareToPairs.apply(cells, size)  # type: ignore[no-untyped-call]  # torch has no type for it
    return pairs


def _spread(pairs: Tensor, size: int) -> Tensor:
    return to_square(pairs, size).flatten(1, 2)


def _gather(cells: Tensor, size: int) -> Tensor:
    first, second = (index.to(cells.device) for index in pair_indices(size))
    return cells.index_select(1, first * size + second).add_(cells.index_select(1, second * size + first))


class PairBlock(nn.Module):
    """One layer of a graph transformer with a node track and a pair track (upper triangle only).

    nodes h [b, n, d], pairs e [b, p, de], condition [b, c] -> the same shapes.
    Attention logits between i and j are biased by e_ij; the pairs of a node are summed into it; a pair is
    updated from itself, its two nodes, and the products of pairs over every third node (the triangle update
    of Jumper et al. 2021, which sees rings of three), all symmetric in i and j.
    """

    def __init__(self, width: int, pair_width: int, condition_width: int, heads: int, triangles: int) -> None:
        super().__init__()
        self.heads = heads
        self.activation = nn.ReLU()
        self.triangles = triangles
        self.attention_norm = FiLM(width, condition_width)
        self.pair_norm = nn.LayerNorm(pair_width)
        self.qkv = nn.Linear(width, 3 * width)
        self.from_pair = nn.Linear(pair_width, pair_width + heads + 2 * triangles)
        self.attention_out = nn.Linear(width + pair_width, width)
        self.node_norm = FiLM(width, condition_width)
        self.node_in = nn.Linear(width, 3 * width)
        self.node_out = nn.Linear(3 * width, width)
        self.node_to_pair = nn.Linear(width, 2 * pair_width)
        self.pair_in = nn.Linear(pair_width, 2 * pair_width)
        self.triangle_in = nn.Linear(triangles, 2 * pair_width, bias=False)
        self.pair_out = nn.Linear(2 * pair_width, pair_width)

    def forward(self, h: Tensor, e: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        b, n, d = h.shape
        flat = b * self.heads
        # sums over the pairs of a node written as products: several times faster than indexing on a CPU
        members = incidence(n).to(h.device, e.dtype)
        x = self.attention_norm(h, condition)
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = self.pair_norm(e)
        message, mixed = self.from_pair(y).split([e.shape[-1], self.heads + 2 * self.triangles], dim=-1)
        channels = [self.heads, self.triangles, self.triangles]
        bias, left, right = torch.split(pairs_to_square(mixed, n), channels, dim=1)
        # attention written out, the sum of the weights as one more value: on rows this short the fused kernel and
        # the softmax are slow; the logits are bounded, so that the weights stay finite without their largest known
        logits = torch.baddbmm(
            bias.reshape(flat, n, n),
            q.reshape(flat, n, -1),
            k.transpose(2, 3).reshape(flat, -1, n),
            alpha=(d // self.heads) ** -0.5,
        )
        weights = logits.clamp(-LOGIT_BOUND, LOGIT_BOUND).exp()
        out = torch.bmm(weights, nn.functional.pad(v.reshape(flat, n, -1), (0, 1), value=1.0))
        out = (out[..., :-1] / out[..., -1:]).view(b, self.heads, n, -1).transpose(1, 2).reshape(b, n, d)
        h = h + self.attention_out(torch.cat([out, members @ message / math.sqrt(n)], dim=-1))
        x = self.node_norm(h, condition)
        h = h + self.node_out(self.activation(self.node_in(x)))

        # sum over k of left_ik right_jk, made symmetric by adding cells (i, j) and (j, i)
        product = square_to_pairs(left @ right.transpose(2, 3), n)
        hidden = torch.baddbmm(
            self.pair_in(y) + self.triangle_in(product), members.T.expand(b, -1, -1), self.node_to_pair(x)
        )
        return h, e + self.pair_out(self.activation(hidden))

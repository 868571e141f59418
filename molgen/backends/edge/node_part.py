"""The node part of EDGE: which nodes a molecule has, each with its class, degree and valence."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from molgen.backends.digress.noise import sample_classes
from molgen.backends.edge.process import NodePart
from molgen.precision import autocast

MAX_DEGREE = 6
MAX_VALENCE = 6
KINDS = (MAX_DEGREE + 1) * (MAX_VALENCE + 1)
# of the draws under a condition: node parts proposed at once, at most so many times, until there are so many a graph
PROPOSALS = 2048
ROUNDS = 32
SPARE = 4


def tokens_of(part: NodePart) -> Tensor:
    """One number for (class, degree, valence) of each node, int64 [b, n]."""
    degree, valence = part.degree.clamp(max=MAX_DEGREE), part.valence.clamp(max=MAX_VALENCE)
    return (part.atoms * (MAX_DEGREE + 1) + degree) * (MAX_VALENCE + 1) + valence


def part_of(tokens: Tensor) -> NodePart:
    """The node part that `tokens` [b, n] stand for."""
    rest = tokens // (MAX_VALENCE + 1)
    return NodePart(rest // (MAX_DEGREE + 1), rest % (MAX_DEGREE + 1), tokens % (MAX_VALENCE + 1))


def graphical(part: NodePart) -> Tensor:
    """Which node parts could be those of a connected graph, bool [b]: even sums, and bonds enough."""
    degrees, valences = part.degree.sum(1), part.valence.sum(1)
    return (degrees % 2 == 0) & (valences % 2 == 0) & (degrees >= 2 * (part.size - 1))


class NodePartModel(nn.Module):
    """p(node part | size): a recurrent network over the tokens of the nodes, in rising order.

    As the order is fixed, this is the probability of the multiset of nodes.
    """

    def __init__(self, atoms: int, width: int) -> None:
        super().__init__()
        self.count = atoms * KINDS
        self.token = nn.Embedding(self.count + 1, width)  # the last stands for the start
        self.left = nn.Linear(1, width)
        self.cell = nn.GRUCell(width, width)
        self.out = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, self.count))

    def step(self, hidden: Tensor, previous: Tensor, left: int) -> tuple[Tensor, Tensor]:
        """The next hidden state and log p of each next token, [b, count]; left: tokens still to come."""
        with autocast(hidden.device):
            inputs = self.token(previous) + self.left(torch.full_like(hidden[:, :1], left / 10))
            hidden = self.cell(inputs.float(), hidden)
            logits = self.out(hidden)
        least = torch.where(previous < self.count, previous, 0)[:, None]
        lower = torch.arange(self.count, device=hidden.device) < least
        return hidden, logits.float().masked_fill(lower, -torch.inf).log_softmax(-1)

    def start(self, count: int) -> tuple[Tensor, Tensor]:
        """Hidden state and token before the first node, for `count` graphs."""
        weight = self.token.weight
        previous = torch.full((count,), self.count, device=weight.device)
        return weight.new_zeros(count, weight.shape[1]), previous

    def log_probability(self, tokens: Tensor) -> Tensor:
        """log p of tokens [b, n] in rising order, float [b]."""
        hidden, previous = self.start(len(tokens))
        total = hidden.new_zeros(len(tokens))
        for position in range(tokens.shape[1]):
            hidden, log_p = self.step(hidden, previous, tokens.shape[1] - position)
            previous = tokens[:, position]
            total = total + log_p.gather(1, previous[:, None])[:, 0]
        return total

    def sample(self, count: int, size: int, generator: torch.Generator | None) -> NodePart:
        """Node parts of `count` graphs of `size` nodes; what no connected graph has is drawn again."""
        tokens = self._draw(count, size, generator)
        for _ in range(ROUNDS):
            bad = (~graphical(part_of(tokens))).nonzero()[:, 0]
            if not len(bad):
                break
            tokens[bad] = self._draw(len(bad), size, generator)
        return part_of(tokens)

    def _draw(self, count: int, size: int, generator: torch.Generator | None) -> Tensor:
        hidden, previous = self.start(count)
        tokens = []
        for position in range(size):
            hidden, log_p = self.step(hidden, previous, size - position)
            previous = sample_classes(log_p.exp(), generator)
            tokens.append(previous)
        return torch.stack(tokens, dim=1)


@torch.no_grad()
def draw_given(
    model: NodePartModel,
    count: int,
    group: Tensor,
    wanted: Tensor,
    fits: Callable[[Tensor], Tensor],
    generator: torch.Generator | None,
) -> NodePart | None:
    """`count` draws from p(node part | a condition), by importance resampling; None where nothing was found.

    group: int64 [tokens], the group that a token counts for, -1 where it may not come; wanted: int64 [groups], nodes of
    each group; fits: tokens [k, n] -> bool [k], what the numbers of each group do not settle.
    Tokens are drawn one by one from those that leave room for the rest, which counts against their weight.
    """
    tokens, weights = [], []
    for _ in range(ROUNDS):
        drawn, log_weight = _proposals(model, PROPOSALS, group, wanted, generator)
        good = log_weight.isfinite()
        good[good.clone()] = fits(drawn[good])
        tokens.append(drawn[good])
        weights.append(log_weight[good])
        if sum(map(len, tokens)) >= SPARE * count:
            break
    found, log_weights = torch.cat(tokens), torch.cat(weights)
    if not len(found):
        return None
    shares = log_weights.softmax(0)
    if generator is not None:
        shares = shares.to(generator.device)
    return part_of(found[torch.multinomial(shares, count, replacement=True, generator=generator).to(found.device)])


def _proposals(
    model: NodePartModel, count: int, group: Tensor, wanted: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Tokens [count, n] with the wanted number of each group, and log of p over their chance to be drawn, [count]."""
    hidden, previous = model.start(count)
    positions = torch.arange(model.count, device=group.device)
    # tokens rise, so a group can be served as long as its largest token is not passed
    last = torch.stack([positions[group == number].max() for number in range(len(wanted))])
    left = wanted.expand(count, -1).clone()
    log_weight = hidden.new_zeros(count)
    tokens = []
    for position in range(int(wanted.sum()), 0, -1):
        hidden, log_p = model.step(hidden, previous, position)
        limit = torch.where(left > 0, last, model.count).min(dim=1, keepdim=True).values
        open_groups = torch.cat([left > 0, torch.zeros_like(left[:, :1], dtype=torch.bool)], dim=1)  # the last is -1's
        allowed = open_groups[:, group] & (positions <= limit)
        masked = log_p.masked_fill(~allowed, -torch.inf)
        total = masked.logsumexp(1)
        log_weight = log_weight + total
        alive = total.isfinite()[:, None]
        p = torch.where(alive, (masked - total[:, None]).exp(), allowed / allowed.sum(1, keepdim=True).clamp(min=1))
        previous = sample_classes(p, generator)
        left = left.scatter_add(1, group[previous].clamp(min=0)[:, None], -torch.ones_like(left[:, :1]))
        tokens.append(previous)
    return torch.stack(tokens, dim=1), log_weight

"""The node part of EDGE: which nodes a molecule has, each with its class, degree and valence.

What is known of a molecule is told to the model, which learns p(node part | what is known) from random conditions like
the other networks do. It is not derived from p(node part): to weigh node parts that have room for the known atoms by
p(node part) alone would leave out how likely they make the known bonds, and by the number of ways to deal their tokens
to the known atoms it would favour molecules with many more atoms like the known ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from molgen.device import autocast
from molgen.models.conditions import Condition
from molgen.models.edge.degrees import KINDS, part_of, tokens_of
from molgen.models.edge.known_nodes import KNOWN_INPUTS, KnownNodes
from molgen.models.edge.process import NodePart


class NodePartModel(nn.Module):
    """p(node part | size): a recurrent network over the tokens of the nodes, in rising order.

    As the order is fixed, this is the probability of the multiset of nodes.
    Where something is known (`KnownNodes`), the network first reads all told nodes as they stand, and then each of them
    once more before its token is drawn, from those it may have; tokens rise among nodes that look alike. The nodes of
    which nothing is known come last. told: float [b, width], encoded targets, added to all that it reads and to what it
    draws tokens from: with the first alone they are learned several times more slowly.
    """

    def __init__(self, atoms: int, width: int, *, known_parts: bool = False) -> None:
        super().__init__()
        self.count = atoms * KINDS
        self.known_inputs = known_parts * KNOWN_INPUTS
        self.token = nn.Embedding(self.count + 1, width)  # the last stands for the start
        self.left = nn.Linear(1 + self.known_inputs, width)
        self.cell = nn.GRUCell(width, width)
        self.out = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, self.count))

    def step(
        self, hidden: Tensor, previous: Tensor, left: int, told: Tensor | None = None, known: KnownNodes | None = None
    ) -> tuple[Tensor, Tensor]:
        """The next hidden state and log p of each next token, [b, count]; left: tokens still to come."""
        with autocast(hidden.device):
            hidden = self._read(hidden, previous, left, told)
            place = known.told.shape[1] - left if known is not None else 0
            if known is not None:
                hidden = self._read_known(hidden, known, place, left, told, next_one=True)
            logits = self.out(hidden if told is None else hidden + told)
        return hidden, logits.float().masked_fill(self._excluded(previous, known, place), -torch.inf).log_softmax(-1)

    def _excluded(self, previous: Tensor, known: KnownNodes | None, place: int | slice) -> Tensor:
        """Which tokens cannot come after the previous ones, bool [..., count]; previous: [b], or [b, places]."""
        least = torch.where(previous < self.count, previous, 0)[..., None]
        every = torch.arange(self.count, device=previous.device)
        if known is None:
            return every < least
        alike = known.alike()[:, place]
        return (every < torch.where(alike[..., None], least, 0)) | ~known.allowed(place, part_of(every))

    def _read(
        self, hidden: Tensor, token: Tensor, left: int, told: Tensor | None, known: Tensor | None = None
    ) -> Tensor:
        lefts = torch.full_like(hidden[:, 0], left / 10)
        following: Tensor = self.cell(self._inputs(token, lefts, known, told).float(), hidden)
        return following

    def _inputs(self, token: Tensor, left: Tensor, known: Tensor | None, told: Tensor | None) -> Tensor:
        """What is read of tokens [...]: left, tokens to come by 10; known: [..., known_inputs]; told: [b, width]."""
        numbers = left[..., None]
        if self.known_inputs:
            known = numbers.new_zeros(*left.shape, self.known_inputs) if known is None else known
            numbers = torch.cat([numbers, known], dim=-1)
        inputs: Tensor = self.token(token) + self.left(numbers)
        return inputs if told is None else inputs + told.view(len(told), *(1,) * (inputs.dim() - 2), -1)

    def _read_known(
        self, hidden: Tensor, known: KnownNodes, place: int, left: int, told: Tensor | None, *, next_one: bool
    ) -> Tensor:
        """The hidden state after the node at a place was read as it stands, where it is a told one."""
        rows = known.told[:, place].nonzero()[:, 0]
        if not len(rows):
            return hidden
        flags = torch.tensor([float(not next_one), float(next_one)], device=hidden.device).expand(len(rows), -1)
        numbers = torch.cat([flags, known.inputs[rows, place]], dim=1)
        told = None if told is None else told[rows]
        read = self._read(hidden[rows], known.present[rows, place], left, told, numbers)
        return hidden.index_put((rows,), read.to(hidden.dtype))

    def start(self, count: int, told: Tensor | None = None, known: KnownNodes | None = None) -> tuple[Tensor, Tensor]:
        """Hidden state and token before the first node, for `count` graphs; what is known of them is read already."""
        weight = self.token.weight
        previous = torch.full((count,), self.count, device=weight.device)
        hidden = weight.new_zeros(count, weight.shape[1])
        if known is not None:
            size = known.told.shape[1]
            with autocast(hidden.device):
                for place in range(size):
                    hidden = self._read_known(hidden, known, place, size - place, told, next_one=False)
        return hidden, previous

    def log_probability(self, tokens: Tensor, told: Tensor | None = None, known: KnownNodes | None = None) -> Tensor:
        """log p of tokens [b, n] in the order in which they are drawn, float [b]; see `arranged`."""
        start = torch.full_like(tokens[:, :1], self.count)
        previous = torch.cat([start, tokens[:, :-1]], dim=1)
        with autocast(tokens.device):
            hidden = self._read_all(previous, told, known)
            logits: Tensor = self.out(hidden if told is None else hidden + told[:, None])
        excluded = self._excluded(previous, known, slice(None))
        log_p = logits.float().masked_fill(excluded, -torch.inf).log_softmax(-1)
        return log_p.gather(2, tokens[..., None])[..., 0].sum(1)

    def _read_all(self, previous: Tensor, told: Tensor | None, known: KnownNodes | None) -> Tensor:
        """The hidden states from which the tokens of all places are drawn, float [b, n, width].

        What `start` and `step` read one after the other is known beforehand here, so that one product serves all of it.
        """
        count, size = previous.shape
        if known is None:
            left = torch.arange(size, 0, -1, device=previous.device).expand(count, -1) / 10
            inputs = self._inputs(previous, left, None, told).movedim(1, 0).flatten(0, 1)
            return self._recurrent(inputs, [count] * size).view(size, count, -1).movedim(0, 1)
        slots = known.slots(previous)
        inputs = self._inputs(slots.tokens, slots.left, slots.numbers, told)
        packed = pack_padded_sequence(inputs, slots.lengths.cpu(), batch_first=True, enforce_sorted=False)
        states = packed._replace(data=self._recurrent(packed.data, packed.batch_sizes.tolist()))
        hidden, _ = pad_packed_sequence(states, batch_first=True)
        of_places: Tensor = hidden[torch.arange(count, device=hidden.device)[:, None], slots.last]
        return of_places

    def _recurrent(self, inputs: Tensor, at_once: list[int]) -> Tensor:
        """The hidden states [r, width] after inputs [r, width].

        at_once: how many graphs are read at each time, never more than before. The rows are those of the first time,
        then of the second, and so on, graphs in the same order in all.
        """
        cell = self.cell
        projected: Tensor = linear(inputs, cell.weight_ih, cell.bias_ih)
        hidden = inputs.new_zeros(at_once[0], inputs.shape[1], dtype=torch.float32)
        states = []
        for part in torch.split(projected, at_once):
            hidden = hidden[: len(part)]
            reset, update, new = part.float().chunk(3, dim=1)
            reset_h, update_h, new_h = linear(hidden, cell.weight_hh, cell.bias_hh).float().chunk(3, dim=1)
            new = torch.tanh(new + torch.sigmoid(reset + reset_h) * new_h)
            hidden = torch.lerp(new, hidden, torch.sigmoid(update + update_h))
            states.append(hidden)
        return torch.cat(states)

    def arranged(self, part: NodePart, condition: Condition | None) -> tuple[Tensor, KnownNodes | None]:
        """Tokens [b, n] of whole graphs in the order in which they are drawn, and what is known of their nodes."""
        tokens = tokens_of(part)
        if condition is None:
            return tokens.sort(dim=1).values, None
        known = KnownNodes.of(condition, self.count, tokens)
        return tokens.gather(1, known.order), known

"""Losses that do not belong to one backend."""

from torch import Tensor

from molgen.models.conditions import Condition
from molgen.molecules.graph import GraphBatch, pair_count


def cross_entropy(
    log_nodes: Tensor, log_pairs: Tensor, batch: GraphBatch, condition: Condition | None, bond_weight: float
) -> Tensor:
    """Cross-entropy of the nodes plus bond_weight times that of the pairs, means over all entries, float [b].

    log_nodes, log_pairs: log p of each class, float [b, n, a] and [b, p, 4]; batch: the true ones, int64. Entries that
    the condition holds count as right.
    """
    right_nodes = log_nodes.gather(-1, batch.nodes[..., None])[..., 0]
    right_pairs = log_pairs.gather(-1, batch.pairs[..., None])[..., 0]
    if condition is not None:
        right_nodes = right_nodes.masked_fill(condition.known_nodes, 0.0)
        right_pairs = right_pairs.masked_fill(condition.known_pairs, 0.0)
    loss = -right_nodes.mean(1)
    if pair_count(batch.size):
        loss = loss - bond_weight * right_pairs.mean(1)
    return loss

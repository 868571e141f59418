"""What tells look-alike atoms of a graph apart for the encoder of NVDiff, whatever the numbering of the atoms."""

import torch
from torch import Tensor, nn

from molgen.molecules.graph import GraphBatch, to_square

ORBITALS = 16
# of the Hueckel matrix: bond strength by class, and how far apart the atom classes and degrees lie on the diagonal
BOND_STRENGTHS = (0.0, 1.0, 1.4, 1.7)
ATOM_SPACING = 0.37
DEGREE_SPACING = 0.11
# for the class of an atom that should have none of the orbitals: far below the others, its orbitals come last
APART = -1000
# eigenvalues nearer to each other, or a sum of cubes nearer to 0, leave a choice
TOLERANCE = 1e-6
# then by how far the canonical order spreads the diagonal, and its share in an eigenvector's sign
SPLITTING = 1e-4
SIGN_SHARE = 1e-2
GOLDEN = 0.6180339887498949
# odd numbers that mix the bits of colours (Steele et al. 2014)
MIXERS = (-7046029254386353131, -4658895280553007687, -7723592293110705685)


@torch.no_grad()
def orbitals(batch: GraphBatch) -> Tensor:
    """Hueckel orbital coefficients of each atom, [b, n, 2 * ORBITALS], float32: what tells look-alike atoms apart.

    Eigenvectors of the matrix of bond strengths, with the atom class and the degree on the diagonal, by falling
    eigenvalue, zeros where there are fewer; then the same times their eigenvalues. All of them together hold the whole
    graph. An eigenvector's sign is chosen so that its cubes sum to a positive number.
    Where that is zero, or where eigenvalues coincide, as in a symmetric molecule, a little is added to the diagonal by
    the `canonical_order` of the nodes, which leaves no choice, or none that rounding could make: with another numbering
    the orbitals are the same up to a symmetry of the graph.
    """
    size = batch.size
    strengths = torch.tensor(BOND_STRENGTHS, device=batch.nodes.device, dtype=torch.float64)
    matrix = strengths[to_square(batch.pairs, size)]
    degree = (matrix > 0).sum(-1)
    matrix = matrix + torch.diag_embed(ATOM_SPACING * batch.nodes + DEGREE_SPACING * degree)
    values, vectors = _eigen(matrix)
    skew = vectors.pow(3).sum(1, keepdim=True)
    choice = _ambiguous(values, skew[:, 0]).nonzero()[:, 0]
    if len(choice):
        # as many different numbers as nodes, far from even: fractional parts of multiples of the golden ratio
        marks = (GOLDEN * torch.arange(1, size + 1, device=matrix.device, dtype=torch.float64)).frac()
        mark = torch.zeros_like(matrix[choice, 0]).scatter(
            1, canonical_order(batch[choice]), marks.expand(len(choice), -1)
        )
        values[choice], vectors[choice] = _eigen(matrix[choice] + torch.diag_embed(SPLITTING * mark))
        skew[choice] = (vectors[choice].pow(3) + SIGN_SHARE * mark[:, :, None] * vectors[choice]).sum(1, keepdim=True)
    values, vectors = values[:, :ORBITALS], vectors[:, :, :ORBITALS]
    vectors = vectors * torch.where(skew[:, :, :ORBITALS] < 0, -1.0, 1.0)
    missing = ORBITALS - vectors.shape[-1]
    both = [nn.functional.pad(part, (0, missing)) for part in (vectors, vectors * values[:, None])]
    return torch.cat(both, dim=-1).float()


def _eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Falling eigenvalues [b, n] and eigenvectors [b, n, n] (columns) of symmetric matrices."""
    values, vectors = torch.linalg.eigh(matrix)
    return values.flip(-1), vectors.flip(-1)


def _ambiguous(values: Tensor, skew: Tensor) -> Tensor:
    """Of which graphs eigenvectors or signs are a matter of choice, bool [b]; those of APART nodes do not count."""
    bound = ATOM_SPACING * APART
    counts = values[:, :ORBITALS] > 0.5 * bound
    after = nn.functional.pad(values[:, 1:], (0, 1), value=2 * bound)[:, :ORBITALS]
    unsure = (values[:, :ORBITALS] - after < TOLERANCE) | (skew[:, :ORBITALS].abs() < TOLERANCE)
    return (unsure & counts).any(-1)


def canonical_order(batch: GraphBatch) -> Tensor:
    """The nodes of each graph in an order that gives one graph, however its nodes were numbered, int64 [b, n].

    Colour refinement (Weisfeiler and Leman 1968) in which every node is also told what the graph looks like from it.
    Nodes that still look alike are taken to be exchangeable by a symmetry of the graph, and one of them goes first.
    """
    bonds = to_square(batch.pairs, batch.size)
    colour = _refined(_mixed(batch.nodes), bonds)
    tied = torch.arange(len(batch), device=bonds.device)
    while True:
        twice = (colour[tied, :, None] == colour[tied, None, :]).sum(-1) > 1
        tied, twice = tied[twice.any(-1)], twice[twice.any(-1)]
        if not len(tied):
            return colour.argsort(dim=-1)
        seen = _looked_around(colour[tied], bonds[tied])
        least = torch.where(twice, seen, torch.iinfo(torch.int64).max)
        first = (least == least.min(-1, keepdim=True).values).long().argmax(-1, keepdim=True)
        colour[tied] = _refined(seen.scatter_add(1, first, torch.ones_like(first)), bonds[tied])


def _mixed(x: Tensor) -> Tensor:
    """A number that looks random for each number, int64."""
    for shift, mixer in zip((30, 27, 31), MIXERS, strict=True):
        x = (x ^ (x >> shift)) * mixer
    return x ^ (x >> 32)


def _refined(colour: Tensor, bonds: Tensor) -> Tensor:
    """Colours [..., n] after n / 2 rounds, in each of which a node sees its neighbours and its bonds [..., n, n]."""
    for _ in range(colour.shape[-1] // 2 + 1):
        told = [_mixed(colour + bond) if bond else torch.zeros_like(colour) for bond in range(len(BOND_STRENGTHS))]
        colour = _mixed(colour) + torch.stack(told, dim=-2).gather(-2, bonds).sum(-1)
    return _mixed(colour)


def _looked_around(colour: Tensor, bonds: Tensor) -> Tensor:
    """Colours that also say which colours the graph would have, were the node the only one of its colour."""
    b, n = colour.shape
    marked = colour[:, None, :] + torch.eye(n, dtype=torch.int64, device=colour.device)
    seen = _refined(marked, bonds[:, None].expand(b, n, n, n)).sum(-1)
    return _mixed(_mixed(colour) + seen)

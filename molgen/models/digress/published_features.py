"""The structural features that DiGress gives its network (Vignac et al., ICLR 2023, appendix B), from a noisy graph."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from molgen.molecules.graph import to_square
from molgen.molecules.vocabulary import AtomClass

EIGENVALUES, EIGENVECTORS = 5, 2
CYCLE_SCALE = 10.0
# usual valence and atomic weight; of an element that is not here both count as 0
ELEMENTS = {
    **{"H": (1, 1.0), "B": (3, 10.8), "C": (4, 12.0), "N": (3, 14.0), "O": (2, 16.0), "F": (1, 19.0)},
    **{"Si": (4, 28.1), "P": (3, 31.0), "S": (2, 32.1), "Cl": (1, 35.5), "Se": (2, 79.0), "Br": (1, 79.9)},
    "I": (1, 126.9),
}


class Structure(NamedTuple):
    """nodes: float [b, n, 8]; whole: float [b, 12], of the graph."""

    nodes: Tensor
    whole: Tensor


class PublishedFeatures(nn.Module):
    """Cycles, spectrum of the Laplacian, valences and weight; input: classes of nodes [b, n] and of pairs [b, p].

    Nodes: cycles of length 3 to 5 through each, whether it is outside the largest piece, its entries of the first two
    eigenvectors with an eigenvalue above 0, valence that it lacks, valence. Graph: size, cycles of length 3 to 6,
    number of pieces, the first five eigenvalues above 0 (2 where there are fewer), weight.
    Eigenvectors are as the solver gives them: their sign, and which of several to one eigenvalue, is arbitrary.
    """

    valences: Tensor
    weights: Tensor
    node_width, whole_width = 8, 12

    def __init__(self, atoms: tuple[AtomClass, ...], largest: int) -> None:
        super().__init__()
        usual = torch.tensor([_usual_valence(atom) for atom in atoms])
        weights = torch.tensor([ELEMENTS.get(atom.element, (0, 0.0))[1] for atom in atoms])
        self.register_buffer("valences", usual, persistent=False)
        self.register_buffer("weights", weights, persistent=False)
        self.largest = largest

    @torch.no_grad()
    def forward(self, nodes: Tensor, pairs: Tensor) -> Structure:
        size = nodes.shape[1]
        orders = to_square(pairs, size).float()
        adjacency = (orders > 0).float()
        of_nodes, of_graph = cycles(adjacency)
        pieces, outside = _pieces(adjacency)
        values, vectors = _spectrum(adjacency, pieces)
        valence = orders.sum(-1)
        weight = self.weights[nodes].sum(1, keepdim=True) / (16 * self.largest)
        return Structure(
            torch.cat(
                [
                    (of_nodes / CYCLE_SCALE).clamp(max=1.0),
                    outside[..., None],
                    vectors,
                    (self.valences[nodes] - valence)[..., None],
                    valence[..., None],
                ],
                dim=-1,
            ),
            torch.cat(
                [
                    torch.full_like(weight, size / self.largest),
                    (of_graph / CYCLE_SCALE).clamp(max=1.0),
                    pieces[:, None].float(),
                    values,
                    weight,
                ],
                dim=-1,
            ),
        )


def _usual_valence(atom: AtomClass) -> float:
    """A charge adds a bond to N, O and their like, and takes one from C; B- has four."""
    usual = ELEMENTS.get(atom.element, (0, 0.0))[0]
    change = {"B": -atom.charge, "C": -abs(atom.charge), "Si": -abs(atom.charge)}.get(atom.element, atom.charge)
    return float(max(0, usual + change)) if usual else 0.0


def cycles(adjacency: Tensor) -> tuple[Tensor, Tensor]:
    """Cycles through each node, of length 3 to 5, [b, n, 3], and of the graph, of length 3 to 6, [b, 4].

    By the formulas of the paper; that of pentagons is exact only without triangles, as published.
    """
    degree = adjacency.sum(-1)
    powers = [adjacency]
    for _ in range(5):
        powers.append(powers[-1] @ adjacency)
    closed = [power.diagonal(dim1=1, dim2=2) for power in powers]
    of_degree, of_triangles = ((adjacency @ values[..., None])[..., 0] for values in (degree, closed[2]))
    three = closed[2]
    four = closed[3] - degree * (degree - 1) - of_degree
    five = closed[4] - 2 * three * degree - of_triangles + three
    six = (
        closed[5].sum(1)
        - 3 * (three**2).sum(1)
        + 9 * (adjacency * powers[1] ** 2).sum((1, 2))
        - 6 * (closed[1] * closed[3]).sum(1)
        + 6 * closed[3].sum(1)
        - 4 * three.sum(1)
        + 4 * (closed[1] ** 3).sum(1)
        + 3 * powers[2].sum((1, 2))
        - 12 * (closed[1] ** 2).sum(1)
        + 4 * closed[1].sum(1)
    )
    of_nodes = torch.stack([three, four, five], dim=-1) / 2
    of_graph = torch.stack([three.sum(1) / 6, four.sum(1) / 8, five.sum(1) / 10, six / 12], dim=-1)
    return of_nodes, of_graph


def _pieces(adjacency: Tensor) -> tuple[Tensor, Tensor]:
    """Number of pieces, int64 [b], and which nodes are outside the largest one, float [b, n]."""
    size = adjacency.shape[1]
    reach = adjacency + torch.eye(size, device=adjacency.device)
    length = 1
    while length < size:
        reach, length = (reach @ reach).clamp(max=1.0), 2 * length
    members = reach.sum(-1)
    return (1 / members).sum(1).round().long(), (members < members.amax(1, keepdim=True)).float()


def _spectrum(adjacency: Tensor, pieces: Tensor) -> tuple[Tensor, Tensor]:
    """The first eigenvalues of the Laplacian above 0, over n, [b, 5], and eigenvectors to them, [b, n, 2]."""
    count, size = adjacency.shape[:2]
    laplacian = torch.diag_embed(adjacency.sum(-1)) - adjacency
    values, vectors = torch.linalg.eigh(laplacian)
    more = EIGENVALUES + size
    values = torch.cat([values / size, values.new_full((count, more), 2.0)], dim=1)
    vectors = torch.cat([vectors, vectors.new_zeros(count, size, more)], dim=2)
    place = pieces[:, None] + torch.arange(EIGENVALUES, device=pieces.device)
    columns = place[:, None, :EIGENVECTORS].expand(-1, size, -1)
    return values.gather(1, place), vectors.gather(2, columns)

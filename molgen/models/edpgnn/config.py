"""The settings of EDP-GNN."""

from dataclasses import dataclass

from molgen.errors import InputError
from molgen.models.config import MOST_LAYERS, BackendConfig, option
from molgen.models.edpgnn.losses import LOSSES

PROCESSES = ("continuous", "published")


@dataclass(frozen=True)
class EDPGNNConfig(BackendConfig):
    """Sizes of the network and of the noise.

    layers, width, pair_width: of the network, its node track and its channels; heads: adjacency channels that carry
    messages; triangles: channels multiplied over third nodes; sigma_min, sigma_max: smallest and largest noise, where
    one-hot channels are 1 apart; bond_weight: of the bonds in the loss; loss: "score" is denoising score matching with
    the published weight sigma^2, "cross-entropy" has the same minimiser (the posterior mean) and the steeper gradient;
    time_power: above 1 for more training on little noise.
    process: one of PROCESSES. The published one has levels, loss and network of its own: of width, heads (adjacency
    channels) and pair_width (of the MLP that rewrites them); triangles, sigma_min, sigma_max, loss and time_power do
    not count. step_ratio: the size of its Langevin steps over sigma^2.
    """

    layers: int = option(6, "Layers of the network: deeper is better and slower.", most=MOST_LAYERS)
    width: int = option(160, "Numbers that describe each atom inside the network; a multiple of heads.")
    pair_width: int = option(64, "Numbers that describe each pair of atoms inside the network.")
    heads: int = option(8, "Attention heads.")
    triangles: int = option(16, "Channels that see three atoms at once (rings).")
    sigma_min: float = option(0.1, "Smallest noise.")
    sigma_max: float = option(10.0, "Largest noise.")
    bond_weight: float = option(5.0, "Weight of the bonds against the atoms in the loss.")
    loss: str = option("cross-entropy", "cross-entropy, or score for the published score matching.")
    time_power: float = option(1.0, "Above 1: train more on little noise, where valences are settled.")
    process: str = option("continuous", "Noise and network of EDP-GNN: continuous (ours), or published.")
    step_ratio: float = option(0.05, "Size of the steps of published EDP-GNN, over the variance of the noise.", most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise InputError(f"width should be a multiple of heads ({self.heads}), got {self.width}")
        if self.sigma_min >= self.sigma_max:
            raise InputError(f"sigma_min should be below sigma_max ({self.sigma_max}), got {self.sigma_min}")
        if self.process not in PROCESSES:
            raise InputError(f"unknown process {self.process!r}; choose from {', '.join(PROCESSES)}")
        if self.loss not in LOSSES:
            raise InputError(f"unknown loss {self.loss!r}; choose from {', '.join(LOSSES)}")

"""The settings of EDGE."""

from dataclasses import dataclass

from molgen.errors import InputError
from molgen.models.config import MOST_LAYERS, BackendConfig, option


@dataclass(frozen=True)
class EDGEConfig(BackendConfig):
    """Sizes of the networks.

    layers, width, heads: of the network of bonds; node_width: of the recurrent network of the node part.
    """

    layers: int = option(5, "Layers of the network: deeper is better and slower.", most=MOST_LAYERS)
    width: int = option(160, "Numbers that describe each atom inside the network; a multiple of heads.")
    heads: int = option(8, "Attention heads.")
    node_width: int = option(128, "Numbers in the memory of the network that chooses the atoms.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise InputError(f"width should be a multiple of heads ({self.heads}), got {self.width}")

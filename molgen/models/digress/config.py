"""The settings of DiGress."""

from dataclasses import dataclass

from molgen.errors import InputError
from molgen.models.config import MOST_LAYERS, BackendConfig, option
from molgen.models.digress.samplers import SAMPLERS

AUTO = "auto"
NETWORKS = ("own", "published")


@dataclass(frozen=True)
class DiGressConfig(BackendConfig):
    """Sizes of the network and of the noising process.

    layers, heads: of the graph transformer; width: of the node track; pair_width: of the pair track;
    triangles: channels of the triangle update; timesteps: T; bond_weight: of the bonds' cross-entropy;
    time_power: training times are u ** time_power of uniform u, above 1 for more of them near the data.
    sampler, sampling_steps: the defaults of generation, never more steps than timesteps; AUTO and 0 become, here, those
    of the network. network: one of NETWORKS; global_width: of the graph's track of the published one.
    """

    layers: int = option(6, "Layers of the network: deeper is better and slower.", most=MOST_LAYERS)
    width: int = option(160, "Numbers that describe each atom inside the network; a multiple of heads.")
    pair_width: int = option(
        64,
        "Numbers that describe each pair of atoms inside the network; 0, of EDGE alone: it looks along bonds only.",
    )
    heads: int = option(8, "Attention heads.")
    triangles: int = option(16, "Channels that see three atoms at once (rings).")
    timesteps: int = option(500, "Noise levels between data and noise.")
    bond_weight: float = option(5.0, "Weight of the bonds against the atoms in the loss.", least=1)
    time_power: float = option(1.0, "Above 1: train more on little noise, where valences are settled.", least=1)
    sampler: str = option(
        AUTO,
        "How the model generates, if no sampler is chosen; DiGress: auto is ancestral, or even for the published "
        "network; EDGE: ancestral or revising.",
    )
    sampling_steps: int = option(
        0,
        "Network evaluations per molecule, if no number is chosen; DiGress: 0 is 50, or all for the published network.",
        least=0,
    )
    network: str = option("own", "Network and features of DiGress: own, or published (the authors').")
    global_width: int = option(64, "Numbers that describe the whole molecule inside the published network.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.network not in NETWORKS:
            raise InputError(f"unknown network {self.network!r}; choose from {', '.join(NETWORKS)}")
        published = self.network == "published"
        if self.sampler == AUTO:
            object.__setattr__(self, "sampler", "even" if published else "ancestral")
        if self.sampling_steps == 0:
            object.__setattr__(self, "sampling_steps", self.timesteps if published else 50)
        if self.sampler not in SAMPLERS:
            raise InputError(f"unknown sampler {self.sampler!r}; choose from {', '.join(SAMPLERS)}")
        if self.width % self.heads:
            raise InputError(f"width should be a multiple of heads ({self.heads}), got {self.width}")

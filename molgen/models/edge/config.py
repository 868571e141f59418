"""The settings of EDGE."""

from dataclasses import dataclass

from molgen.errors import InputError
from molgen.models.config import MOST_LAYERS, BackendConfig, option

LEAST_STEPS = 21  # of the published schedule: with fewer its beta reaches 1 before the last step
OWN_SAMPLERS = ("ancestral", "revising")  # with masks
PROCESSES = ("one-ended", "published")


@dataclass(frozen=True)
class EDGEConfig(BackendConfig):
    """Sizes of the networks.

    layers, width, heads: of the network of bonds; pair_width, triangles: of its track of pairs, where it has one;
    node_width: of the recurrent network of the node part.
    process: one of PROCESSES; timesteps: T of the published one; masks: of ours; sampler, sampling_steps: of ours, what
    generation takes if nothing is said.
    """

    layers: int = option(5, "Layers of the network: deeper is better and slower.", most=MOST_LAYERS)
    width: int = option(160, "Numbers that describe each atom inside the network; a multiple of heads.")
    heads: int = option(8, "Attention heads.")
    pair_width: int = option(
        0,
        "Numbers that describe each pair of atoms inside the network; 0: it looks along bonds alone.",
        least=0,
    )
    triangles: int = option(16, "Channels that see three atoms at once (rings).")
    node_width: int = option(128, "Numbers in the memory of the network that chooses the atoms.")
    process: str = option("one-ended", "Process of the family: ours, or published, that of its authors.")
    masks: bool = option(True, "Whether EDGE's own process leaves out bonds that no molecule of its atoms can have.")
    sampler: str = option("ancestral", "How the model generates, if no sampler is chosen; ancestral or revising.")
    sampling_steps: int = option(64, "Network evaluations per molecule, if no number is chosen.")
    timesteps: int = option(64, "Steps of the published process of EDGE.", least=LEAST_STEPS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.process not in PROCESSES:
            raise InputError(f"unknown process {self.process!r}; choose from {', '.join(PROCESSES)}")
        if self.sampler not in OWN_SAMPLERS:
            raise InputError(f"unknown sampler {self.sampler!r}; choose from {', '.join(OWN_SAMPLERS)}")
        if self.sampler != "ancestral" and (self.process == "published" or not self.masks):
            raise InputError(f"sampler {self.sampler} goes with the masks of our own process of EDGE alone")
        if self.process == "published" and self.pair_width:
            raise InputError("the published process of EDGE goes with its own network, whose pair_width is 0")
        if self.width % self.heads:
            raise InputError(f"width should be a multiple of heads ({self.heads}), got {self.width}")

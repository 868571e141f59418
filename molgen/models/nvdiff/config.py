"""The settings of NVDiff."""

from dataclasses import dataclass

from molgen.errors import InputError
from molgen.models.config import MOST_LAYERS, BackendConfig, option


@dataclass(frozen=True)
class NVDiffConfig(BackendConfig):
    """Sizes of the networks and of the noise.

    layers, width, heads: of the denoiser; latent: numbers of a node vector; encoder_layers, encoder_width,
    decoder_layers, decoder_width, pair_width: of the autoencoder; sigma_min: standard deviation of a node vector given
    the graph, where its mean has variance 1; sigma_max: largest noise; bond_weight: of the bonds in the reconstruction;
    reconstruction_weight: of the autoencoder's loss, 0 leaves the autoencoder as it is and trains the denoiser alone;
    train_encoder: whether the encoder learns; prior_weight: of the score matching against the reconstruction in what it
    learns from; time_power: above 1 for more training on little noise. Known parts reach denoiser and decoder as hints.
    """

    layers: int = option(5, "Layers of the network: deeper is better and slower.", most=MOST_LAYERS)
    width: int = option(192, "Numbers that describe each atom inside the network; a multiple of heads.")
    heads: int = option(6, "Attention heads.")
    latent: int = option(16, "Numbers that describe each atom to the diffusion.")
    encoder_layers: int = option(4, "Layers that turn a molecule into node vectors.", most=MOST_LAYERS)
    encoder_width: int = option(128, "Numbers that describe each atom in the encoder.")
    decoder_layers: int = option(3, "Layers that turn node vectors into a molecule.", most=MOST_LAYERS)
    decoder_width: int = option(96, "Numbers that describe each atom in the decoder; a multiple of heads.")
    pair_width: int = option(48, "Numbers that describe each pair of atoms inside the network.")
    sigma_min: float = option(0.5, "Smallest noise.")
    sigma_max: float = option(20.0, "Largest noise.")
    bond_weight: float = option(5.0, "Weight of the bonds against the atoms in the loss.")
    reconstruction_weight: float = option(
        3.0, "Weight of the autoencoder's loss; 0 leaves it as it is and trains the diffusion alone.", least=0
    )
    train_encoder: bool = option(
        True, "Whether the encoder learns; if not, the others learn with its vectors as they are."
    )
    prior_weight: float = option(1.0, "Weight of the diffusion loss in the encoder.", least=0)
    time_power: float = option(1.0, "Above 1: train more on little noise, where valences are settled.")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "decoder_width"):
            if getattr(self, name) % self.heads:
                raise InputError(f"{name} should be a multiple of heads ({self.heads}), got {getattr(self, name)}")
        if self.sigma_min >= self.sigma_max:
            raise InputError(f"sigma_min should be below sigma_max ({self.sigma_max}), got {self.sigma_min}")

"""The samplers of EDP-GNN: annealed Langevin dynamics as published, and those of the continuous noise."""

from molgen.models.gaussian_samplers import Sampler, heun, langevin, multistep, stochastic

SAMPLERS: dict[str, Sampler] = {
    "stochastic": stochastic,
    "dpm-solver": multistep,
    "heun": heun,
    "langevin": langevin,
}

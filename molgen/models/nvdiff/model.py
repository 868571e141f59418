"""NVDiff: diffusion of node vectors (Chen et al. 2022, arXiv 2211.10794), for typed atoms and bonds.

A variational graph autoencoder whose prior over the set of node vectors is a score-based model. A step of the sampler
touches n vectors and no pairs. The authors published no code; what is chosen here and not in the paper: means
normalised to variance 1 with one fixed posterior variance, and the diffusion stops at that variance, so that the
decoder is the last step of the bound and no weight of a KL term has to be found.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from molgen.data.dataset import Statistics
from molgen.errors import InputError
from molgen.models import gaussian_samplers as solvers
from molgen.models.base import Backend, Bound, Drawing, spread_uniforms, stratified_bound, stratum_uniforms
from molgen.models.conditions import Condition
from molgen.models.gaussian_samplers import Levels, gaussian
from molgen.models.nvdiff.network import Decoder, Encoder, Hints, KnownPart, SetDenoiser
from molgen.molecules.graph import GraphBatch, pair_count
from molgen.molecules.vocabulary import Vocabulary

SAMPLERS: dict[str, Callable[..., Tensor]] = {
    "stochastic": solvers.stochastic,
    "dpm-solver": solvers.multistep,
    "euler-maruyama": solvers.euler_maruyama,
    "predictor-corrector": solvers.predictor_corrector,
}
MAY_BE_ZERO = ("reconstruction_weight", "prior_weight")


@dataclass(frozen=True)
class NVDiffConfig:
    """Sizes of the networks and of the noise.

    layers, width, heads: of the denoiser; latent: numbers of a node vector; encoder_layers, encoder_width,
    decoder_layers, decoder_width, pair_width: of the autoencoder; sigma_min: standard deviation of a node vector given
    the graph, where its mean has variance 1; sigma_max: largest noise; bond_weight: of the bonds in the reconstruction;
    reconstruction_weight: of the autoencoder's loss, 0 leaves the autoencoder as it is and trains the denoiser alone;
    prior_weight: of the score matching against the reconstruction in what the encoder learns from; time_power: above 1
    for more training on little noise; known_parts: denoiser and decoder have hints of what is known.
    """

    layers: int = 5
    width: int = 192
    heads: int = 6
    latent: int = 16
    encoder_layers: int = 4
    encoder_width: int = 128
    decoder_layers: int = 3
    decoder_width: int = 96
    pair_width: int = 48
    sigma_min: float = 0.5
    sigma_max: float = 20.0
    bond_weight: float = 5.0
    reconstruction_weight: float = 3.0
    prior_weight: float = 1.0
    time_power: float = 1.0
    known_parts: bool = True

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool):
                continue
            if isinstance(field.default, int) and value < 1:
                raise InputError(f"{field.name} should be at least 1, got {value}")
            if not math.isfinite(value) or value < 0 or (value == 0 and field.name not in MAY_BE_ZERO):
                raise InputError(f"{field.name} should be above 0, got {value}")
        for name in ("width", "decoder_width"):
            if getattr(self, name) % self.heads:
                raise InputError(f"{name} should be a multiple of heads ({self.heads}), got {getattr(self, name)}")
        if self.sigma_min >= self.sigma_max:
            raise InputError(f"sigma_min should be below sigma_max ({self.sigma_max}), got {self.sigma_min}")


class NVDiff(Backend):
    """The backend: autoencoder, denoiser of its node vectors, samplers. See molgen.models.base.Backend.

    The vectors of known atoms depend on the rest of the graph and so are not known: nothing can be put in place. Node i
    of a set of vectors is node i of the condition, and hints say so to denoiser and decoder, which may miss them.
    new_modules: how the names of parameters begin that a model without known parts lacks.
    """

    Config: ClassVar[type] = NVDiffConfig
    atom_axes: ClassVar[dict[str, tuple[int, int, int]]] = {
        "encoder.node_in.weight": (1, 1, 1),
        "decoder.node_out.1.weight": (0, 1, 1),
        "decoder.node_out.1.bias": (0, 1, 1),
        "known.node_in.weight": (1, 1, 1),
    }
    keeps_parts: ClassVar[bool] = False
    new_modules: ClassVar[tuple[str, ...]] = ("known.",)
    requests: ClassVar[tuple[str, ...]] = ()
    samplers = tuple(SAMPLERS)
    default_steps = 200
    config: NVDiffConfig
    network: SetDenoiser

    def __init__(self, config: NVDiffConfig, vocabulary: Vocabulary, statistics: Statistics) -> None:
        super().__init__(config, vocabulary, statistics)
        atoms = len(vocabulary.atoms)
        self.encoder = Encoder(atoms, layers=config.encoder_layers, width=config.encoder_width, latent=config.latent)
        self.decoder = Decoder(
            atoms,
            layers=config.decoder_layers,
            width=config.decoder_width,
            pair_width=config.pair_width,
            heads=config.heads,
            latent=config.latent,
        )
        self.network = SetDenoiser(
            layers=config.layers,
            width=config.width,
            heads=config.heads,
            latent=config.latent,
            targets=statistics.targets,
        )
        self.known: KnownPart | None = None
        if config.known_parts:
            self.known = KnownPart(
                atoms,
                layers=config.encoder_layers,
                width=config.encoder_width,
                denoiser_width=config.width,
                decoder_width=config.decoder_width,
                pair_width=config.pair_width,
            )

    def loss(self, batch: GraphBatch, generator: torch.Generator | None, condition: Condition | None = None) -> Tensor:
        """reconstruction_weight times the reconstruction, plus score matching of the node vectors, [b].

        Reconstruction: cross-entropy of the nodes plus bond_weight times that of the pairs, means over entries, from
        node vectors drawn at sigma_min; known entries count as right. Score matching: |D - mean|^2 / 2 per number,
        weighted so that the best linear guess has the same loss at every level (Karras et al. 2022, section 5); the
        level is u ** time_power of the way from the smallest log sigma to the largest, with uniform u spread over the
        batch.
        The gradient of score matching reaches the encoder prior_weight times; the decoder learns from the
        reconstruction alone, the denoiser from score matching alone, and what reads known parts from both.
        """
        config = self.config
        hints = self.hints(condition)
        if config.reconstruction_weight == 0:
            return self._matching(self.encode(batch), generator, hints, condition)
        mean = self.encoder(batch)
        log_nodes, log_pairs = self.decoder(mean + config.sigma_min * gaussian(mean, generator), hints)
        log_nodes = log_nodes.gather(-1, batch.nodes[..., None])[..., 0]
        log_pairs = log_pairs.gather(-1, batch.pairs[..., None])[..., 0]
        if condition is not None:
            log_nodes = log_nodes.masked_fill(condition.known_nodes, 0.0)
            log_pairs = log_pairs.masked_fill(condition.known_pairs, 0.0)
        loss = -log_nodes.mean(1)
        if pair_count(batch.size):
            loss = loss - config.bond_weight * log_pairs.mean(1)
        target = config.prior_weight * mean + (1 - config.prior_weight) * mean.detach()
        return config.reconstruction_weight * loss + self._matching(target, generator, hints, condition)

    def _matching(
        self, mean: Tensor, generator: torch.Generator | None, hints: Hints | None, condition: Condition | None
    ) -> Tensor:
        sigma = self._sigma(spread_uniforms(len(mean), generator, mean.device) ** self.config.time_power)
        x = mean + sigma[:, None, None] * gaussian(mean, generator)
        nodes = None if hints is None else hints.denoiser
        targets = None if condition is None else condition.targets
        before, half = torch.zeros_like(x), len(x) // 2
        with torch.no_grad():  # half of the graphs are denoised with an estimate of their own
            told = [None if part is None else part[:half] for part in (nodes, targets)]
            before[:half] = self.network(x[:half], sigma[:half], None, *told)
        clean = self.network(x, sigma, before, nodes, targets)
        weight = 0.5 * (1 + sigma**2) / sigma**2
        return weight * (clean - mean).square().mean((1, 2))

    def hints(self, condition: Condition | None) -> Hints | None:
        """What denoiser and decoder are told of the known parts; None for a model that cannot be told of them."""
        return None if self.known is None or condition is None else self.known(condition)

    @torch.no_grad()
    def _sample(self, size: int, count: int, drawing: Drawing) -> GraphBatch:
        """Node vectors from noise through falling levels, decoded as they are: they may contradict what is known.

        The decoder runs once more than `steps` evaluations of the denoiser.
        """
        done = 0
        clean: Tensor | None = None
        hints, targets = self.hints(drawing.condition), None
        nodes = None if hints is None else hints.denoiser
        if drawing.condition is not None:
            targets = drawing.condition.targets

        def denoise(x: Tensor, sigma: float) -> Tensor:
            nonlocal clean, done
            asked = self._denoise(x, sigma, clean, nodes, targets)
            if drawing.guidance:
                free = self._denoise(x, sigma, clean, nodes)
                asked = asked + drawing.guidance * (asked - free)
            clean = asked
            done += 1
            if drawing.callback is not None:
                drawing.callback(done, drawing.steps, partial(self.decode, clean, hints))
            return clean

        like = self.encoder.out.bias.new_zeros(count, size, self.config.latent, dtype=torch.float32)
        start = self.config.sigma_max * gaussian(like, drawing.generator)
        levels = Levels(self.config.sigma_max, self.config.sigma_min)
        sampler = SAMPLERS[drawing.sampler]
        return self.decode(sampler(denoise, start, drawing.steps, levels, drawing.generator), hints)

    @torch.no_grad()
    def encode(self, batch: GraphBatch) -> Tensor:
        """The means of the node vectors, float [b, n, latent]."""
        return self.encoder(batch)

    @torch.no_grad()
    def decode(self, z: Tensor, hints: Hints | None = None) -> GraphBatch:
        """The most likely class of every node and pair for node vectors z, float [b, n, latent], and hints."""
        log_nodes, log_pairs = self.decoder(z, hints)
        return GraphBatch(log_nodes.argmax(-1), log_pairs.argmax(-1))

    @torch.no_grad()
    def embed(self, batch: GraphBatch) -> Tensor:
        """A vector for each graph, float32 [b, encoder_width]: the mean over its nodes of the encoder's last layer."""
        return self.encoder.hidden(batch).float().mean(1)

    @torch.no_grad()
    def interpolate(self, first: GraphBatch, second: GraphBatch, count: int, steps: int = 50) -> GraphBatch:
        """`count` graphs from one graph to another of the same size, the ends included (decoded like the others).

        The nodes of the second are put in the order that is nearest to the first, both are taken to the noise that
        leads to them, the noise is interpolated on the sphere, and each point is sampled from there without chance.
        Raises InputError for other than one graph each, or for sizes that differ.
        """
        if not (len(first) == len(second) == 1 and first.size == second.size):
            raise InputError("interpolation is between two molecules with the same number of heavy atoms")
        ends = [self.encode(first)[0], self.encode(second)[0]]
        order = linear_sum_assignment(torch.cdist(ends[0], ends[1]).cpu().numpy())[1]
        ends[1] = ends[1][torch.as_tensor(order, device=ends[1].device)]
        levels = Levels(self.config.sigma_max, self.config.sigma_min)
        noise = solvers.invert(self._denoise, torch.stack(ends), steps, levels)
        one, other = noise.flatten(1) / noise.flatten(1).norm(dim=1, keepdim=True)
        angle = torch.arccos((one @ other).clamp(-1, 1)).clamp(min=1e-4)
        share = torch.linspace(0, 1, count, device=noise.device)[:, None, None]
        path = (((1 - share) * angle).sin() * noise[0] + (share * angle).sin() * noise[1]) / angle.sin()
        return self.decode(solvers.multistep(self._denoise, path, steps, levels, None))

    def _denoise(
        self,
        x: Tensor,
        sigma: float,
        before: Tensor | None = None,
        hints: Tensor | None = None,
        targets: Tensor | None = None,
    ) -> Tensor:
        return self.network(x, x.new_full((len(x),), sigma), before, hints, targets)

    @torch.no_grad()
    def likelihood(self, batch: GraphBatch, *, draws: int, generator: torch.Generator | None) -> Bound:
        """The variational bound in nats in continuous time (Kingma et al. 2021, eq. 11 to 15), from `draws` levels.

        -log p(G) <= KL at sigma_max + E[-log p(G | z)] at sigma_min + the integral over log sigma of
        E |mean - D(z, sigma)|^2 / sigma^2. Raises InputError for a number of draws that is not even and at least 2.
        """
        mean = self.encoder(batch)
        return stratified_bound(lambda stratum: self._bound_term(batch, mean, stratum, draws, generator), draws)

    def _bound_term(
        self, batch: GraphBatch, mean: Tensor, stratum: int, strata: int, generator: torch.Generator | None
    ) -> Tensor:
        config = self.config
        sigma = self._sigma(stratum_uniforms(len(batch), stratum, strata, generator, mean.device))
        clean = self.network(mean + sigma[:, None, None] * gaussian(mean, generator), sigma)
        total = math.log(config.sigma_max / config.sigma_min) * (clean - mean).square().sum((1, 2)) / sigma**2
        log_nodes, log_pairs = self.decoder(mean + config.sigma_min * gaussian(mean, generator))
        total = total - log_nodes.gather(-1, batch.nodes[..., None]).sum((1, 2))
        total = total - log_pairs.gather(-1, batch.pairs[..., None]).sum((1, 2))
        return total + mean.square().sum((1, 2)) / (2 * config.sigma_max**2)

    def _sigma(self, uniform: Tensor) -> Tensor:
        low, high = math.log(self.config.sigma_min), math.log(self.config.sigma_max)
        return (low + uniform * (high - low)).exp()

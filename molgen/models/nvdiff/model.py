"""NVDiff: diffusion of node vectors (Chen et al. 2022, arXiv 2211.10794), for typed atoms and bonds.

A variational graph autoencoder whose prior over the set of node vectors is a score-based model. A step of the sampler
touches n vectors and no pairs. The authors published no code; what is chosen here and not in the paper: means
normalised to variance 1 with one fixed posterior variance, and the diffusion stops at that variance, so that the
decoder is the last step of the bound and no weight of a KL term has to be found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from molgen.data.dataset import Statistics
from molgen.errors import InputError
from molgen.models.base import Backend, Drawing, LatentSpace
from molgen.models.conditions import Condition, guided
from molgen.models.config import BackendConfig
from molgen.models.gaussian_samplers import Levels, invert, multistep
from molgen.models.losses import cross_entropy
from molgen.models.noise import gaussian, geometric_sigma, spread_uniforms, with_noise
from molgen.models.nvdiff.config import NVDiffConfig
from molgen.models.nvdiff.network import Decoder, Encoder, Hints, KnownPart, SetDenoiser
from molgen.models.nvdiff.process import matching_loss, posterior_draw, start_divergence
from molgen.models.nvdiff.samplers import SAMPLERS, aligned, along_sphere
from molgen.molecules.graph import GraphBatch
from molgen.molecules.vocabulary import Vocabulary


class NVDiff(Backend, LatentSpace):
    """The backend: autoencoder, denoiser of its node vectors, samplers. See molgen.models.base.Backend.

    The vectors of known atoms depend on the rest of the graph and so are not known: nothing can be put in place. Node i
    of a set of vectors is node i of the condition, and hints say so to denoiser and decoder, which may miss them.
    """

    Config: ClassVar[type[BackendConfig]] = NVDiffConfig
    atom_axes: ClassVar[dict[str, tuple[int, int, int]]] = {
        "encoder.node_in.weight": (1, 1, 1),
        "decoder.node_out.1.weight": (0, 1, 1),
        "decoder.node_out.1.bias": (0, 1, 1),
        "known.node_in.weight": (1, 1, 1),
    }
    keeps_parts: ClassVar[bool] = False
    new_modules: ClassVar[tuple[str, ...]] = ("known.",)
    unlearned: ClassVar[tuple[str, ...]] = ("known_rings", "reconstruction_weight", "train_encoder")
    requests: ClassVar[tuple[str, ...]] = ()
    starts = True
    chooses = True
    again = 0.3
    sampler_help: ClassVar[Mapping[str, str]] = {
        "stochastic": "undo a little of the noise at each step",
        "dpm-solver": "follow the noise back without chance; good in few steps",
        "euler-maruyama": "small random steps against the noise, by Euler's method",
        "predictor-corrector": "a step to the next level of noise and a correction there",
    }
    forming: ClassVar[str] = (
        "Every atom is a vector that starts as noise; the picture shows what the decoder makes of the vectors."
    )
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

    def _loss(self, batch: GraphBatch, generator: torch.Generator | None, condition: Condition | None) -> Tensor:
        """reconstruction_weight times the reconstruction, plus score matching of the node vectors, [b].

        Reconstruction: cross-entropy of the graph decoded from node vectors drawn at sigma_min; known entries count as
        right. The level of score matching is u ** time_power of the way from the smallest log sigma to the largest,
        with uniform u spread over the batch.
        The gradient of score matching reaches the encoder, where it learns, prior_weight times; the decoder learns from
        the reconstruction alone, the denoiser from score matching alone, and what reads known parts from both.
        """
        config = self.config
        hints = self.hints(condition)
        if config.reconstruction_weight == 0:
            return self._matching(self.encode(batch), generator, hints, condition)
        mean = self.encoder(batch) if config.train_encoder else self.encode(batch)
        log_nodes, log_pairs = self.decoder(posterior_draw(mean, config.sigma_min, generator), hints)
        loss = cross_entropy(log_nodes, log_pairs, batch, condition, config.bond_weight)
        target = config.prior_weight * mean + (1 - config.prior_weight) * mean.detach()
        return config.reconstruction_weight * loss + self._matching(target, generator, hints, condition)

    def _matching(
        self, mean: Tensor, generator: torch.Generator | None, hints: Hints | None, condition: Condition | None
    ) -> Tensor:
        sigma = self._sigma(spread_uniforms(len(mean), generator, mean.device) ** self.config.time_power)
        x = with_noise(mean, sigma, generator)
        nodes = None if hints is None else hints.denoiser
        targets = None if condition is None else condition.targets
        before, half = torch.zeros_like(x), len(x) // 2
        with torch.no_grad():  # half of the graphs are denoised with an estimate of their own
            told = [None if part is None else part[:half] for part in (nodes, targets)]
            before[:half] = self.network(x[:half], sigma[:half], None, *told)
        return matching_loss(self.network(x, sigma, before, nodes, targets), mean, sigma)

    def hints(self, condition: Condition | None) -> Hints | None:
        """What denoiser and decoder are told of the known parts; None for a model that cannot be told of them."""
        if self.known is None or condition is None:
            return None
        hints: Hints = self.known(condition)
        return hints

    def _sample(self, size: int, count: int, drawing: Drawing) -> GraphBatch:
        """Node vectors from noise through falling levels, decoded as they are: they may contradict what is known.

        The decoder runs once more than `steps` evaluations of the denoiser.
        """
        skipped = 0 if drawing.start is None else drawing.start.skipped(drawing.steps)
        done = skipped
        clean: Tensor | None = None
        hints, targets = self.hints(drawing.condition), None
        nodes = None if hints is None else hints.denoiser
        if drawing.condition is not None:
            targets = drawing.condition.targets

        def denoise(x: Tensor, sigma: float) -> Tensor:
            nonlocal clean, done
            asked = self._denoise(x, sigma, clean, nodes, targets)
            if drawing.guidance:
                asked = guided(asked, self._denoise(x, sigma, clean, nodes), drawing.guidance)
            clean = asked
            done += 1
            if drawing.callback is not None:
                drawing.callback(done, drawing.steps, partial(self.decode, clean, hints))
            return clean

        if drawing.start is None:
            mean = self.encoder.out.bias.new_zeros(count, size, self.config.latent, dtype=torch.float32)
        else:
            mean = self.encode(drawing.start.graph)
        levels = Levels(self.config.sigma_max, self.config.sigma_min).after(skipped, drawing.steps)
        start = mean + levels.most * gaussian(mean, drawing.generator)
        vectors = SAMPLERS[drawing.sampler](denoise, start, drawing.steps - skipped, levels, drawing.generator)
        return self.decode(vectors, hints)

    @torch.no_grad()
    def encode(self, batch: GraphBatch) -> Tensor:
        """The means of the node vectors, float [b, n, latent]; of other numberings the same, up to a symmetry."""
        mean: Tensor = self.encoder(batch.to(self.device))
        return mean

    @torch.no_grad()
    def decode(self, z: Tensor, hints: Hints | None = None) -> GraphBatch:
        """The most likely class of every node and pair for node vectors z, float [b, n, latent], and hints."""
        log_nodes, log_pairs = self.decoder(z, hints)
        return GraphBatch(log_nodes.argmax(-1), log_pairs.argmax(-1))

    @torch.no_grad()
    def embed(self, batch: GraphBatch) -> Tensor:
        """A vector for each graph, float32 [b, encoder_width]: the mean over its nodes of the encoder's last layer.

        It does not depend on the numbering of the nodes (see `orbitals`), but on the Kekulé form of aromatic rings:
        molgen.generation.latent embeds every molecule in that of its canonical SMILES.
        """
        return self.encoder.hidden(batch.to(self.device)).float().mean(1)

    @torch.no_grad()
    def interpolate(self, first: GraphBatch, second: GraphBatch, count: int, steps: int = 50) -> GraphBatch:
        """`count` graphs from one graph to another of the same size, the ends included (decoded like the others).

        The nodes of the second are put in the order that is nearest to the first, both are taken to the noise that
        leads to them, the noise is interpolated on the sphere, and each point is sampled from there without chance.
        Raises InputError for other than one graph each, or for sizes that differ.
        """
        if not (len(first) == len(second) == 1 and first.size == second.size):
            raise InputError("interpolation is between two molecules with the same number of heavy atoms")
        one, other = self.encode(first)[0], self.encode(second)[0]
        levels = Levels(self.config.sigma_max, self.config.sigma_min)
        noise = invert(self._denoise, torch.stack([one, aligned(one, other)]), steps, levels)
        return self.decode(multistep(self._denoise, along_sphere(noise, count), steps, levels, None))

    def _denoise(
        self,
        x: Tensor,
        sigma: float,
        before: Tensor | None = None,
        hints: Tensor | None = None,
        targets: Tensor | None = None,
    ) -> Tensor:
        clean: Tensor = self.network(x, x.new_full((len(x),), sigma), before, hints, targets)
        return clean

    def _bound_estimate(self, batch: GraphBatch, generator: torch.Generator | None) -> Callable[[Tensor], Tensor]:
        """The variational bound in nats in continuous time (Kingma et al. 2021, eq. 11 to 15), from one level each.

        -log p(G) <= KL at sigma_max + E[-log p(G | z)] at sigma_min + the integral over log sigma of
        E |mean - D(z, sigma)|^2 / sigma^2.
        """
        config = self.config
        mean = self.encode(batch)

        def estimate(uniform: Tensor) -> Tensor:
            sigma = self._sigma(uniform)
            clean = self.network(with_noise(mean, sigma, generator), sigma)
            total: Tensor = (
                math.log(config.sigma_max / config.sigma_min) * (clean - mean).square().sum((1, 2)) / sigma**2
            )
            log_nodes, log_pairs = self.decoder(posterior_draw(mean, config.sigma_min, generator))
            total = total - log_nodes.gather(-1, batch.nodes[..., None]).sum((1, 2))
            total = total - log_pairs.gather(-1, batch.pairs[..., None]).sum((1, 2))
            return total + start_divergence(mean, config.sigma_max)

        return estimate

    def _sigma(self, time: Tensor) -> Tensor:
        return geometric_sigma(time, self.config.sigma_min, self.config.sigma_max)

"""Trained model -> sizes -> graphs -> molecules or a reason, in shards that depend on (seed, shard number) alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from math import ceil, nan

import numpy as np
import pandas as pd
import torch

from molgen.data.dataset import Statistics
from molgen.device import pick_device
from molgen.errors import InputError
from molgen.generation.wanted import Wanted, parse_wanted
from molgen.models.base import Backend, Callback
from molgen.models.checkpoints import Model
from molgen.molecules.composition import Request, atoms_request, formula_request
from molgen.molecules.encoding import Decoded, GraphDecoder, mol_to_graph
from molgen.molecules.graph import GraphBatch, pair_count
from molgen.molecules.hashing import contains, smiles_hashes
from molgen.molecules.parsing import Rejected, clean, parse_smiles
from molgen.molecules.properties import PROPERTIES, TARGETS, properties
from molgen.molecules.vocabulary import Vocabulary

SHARD_SIZE = 1000  # large enough for batches of one size, small enough that a killed run loses little
ENTRIES_PER_BATCH = 24_576  # pairs and nodes of a batch together, which bounds its memory whatever the molecules' size
LIKELIHOOD_DRAWS = 32
SAMPLES_PER_UNIQUE = 20  # a run for distinct molecules gives up after this many samples for each one asked for
MAX_STEPS = 10_000
MAX_SAMPLES = 100_000_000  # of a run; far more than a mistyped number should start
WHOLE_NUMBERS = ("hbd", "hba", "rotatable_bonds", "rings")
DECIMALS = 4
TAKERS = {"formula": "digress, edge and edpgnn models do", "atoms": "edge models do"}

# called with the number of samples that were just drawn
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Settings:
    """All that the molecules of a run depend on: equal settings give equal molecules on the same kind of machine.

    Another processor, GPU or version of torch rounds differently, and a draw on the edge then falls the other way.

    samples: drawn at most; unique: distinct valid molecules after which the run ends, or None to draw all samples.
    formula, atoms: what every molecule should have, as text, or None; at most one of them. core: SMILES of what every
    molecule contains; targets: properties asked for, such as "logp=2.5 qed=0.8"; guidance: their weight.
    seed: None until a run draws one. Raises InputError for a number out of range.
    """

    model: str
    weights_sha256: str
    device: str
    sampler: str
    steps: int
    samples: int
    unique: int | None
    seed: int | None
    likelihood: bool
    formula: str | None = None
    atoms: str | None = None
    core: str | None = None
    targets: str | None = None
    guidance: float | None = None

    def __post_init__(self) -> None:
        for name in ("unique", "samples", "steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} should be at least 1, got {value}")
        if self.samples > MAX_SAMPLES:
            raise InputError(f"a run draws at most {MAX_SAMPLES:,} samples, {self.samples:,} were asked for")
        if self.unique is not None and self.samples < self.unique:
            raise InputError(f"{self.unique} distinct molecules cannot come from at most {self.samples} samples")
        if self.seed is not None and self.seed < 0:
            raise InputError(f"seed should be 0 or more, got {self.seed}")

    @property
    def shard_size(self) -> int:
        """Samples in every shard but the last."""
        return min(SHARD_SIZE, self.unique or self.samples)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return ceil(self.samples / self.shard_size)

    def shard_samples(self, shard: int) -> int:
        """Number of samples of one shard."""
        return min(self.shard_size, self.samples - shard * self.shard_size)

    def differences(self, other: dict) -> list[str]:
        """What differs from other settings, given as a dictionary, in words; a seed not yet drawn fits any."""
        return [
            f"{field.name} ({other.get(field.name)} then, {getattr(self, field.name)} now)"
            for field in fields(self)
            if getattr(self, field.name) != other.get(field.name) and not (field.name == "seed" and self.seed is None)
        ]


def choose_settings(
    model: Model,
    *,
    num: int | None = None,
    unique: int | None = None,
    max_samples: int | None = None,
    seed: int | None = None,
    sampler: str | None = None,
    steps: int | None = None,
    likelihood: bool = False,
    device: str = "auto",
    formula: str | None = None,
    atoms: str | None = None,
    core: str | None = None,
    targets: Sequence[str] = (),
    guidance: float = 0.0,
) -> Settings:
    """Settings for `num` samples, or for `unique` distinct valid molecules out of at most `max_samples`.

    None: the model's default sampler and steps. device: auto, cpu or cuda. formula, atoms: see
    molgen.molecules.composition; core, targets, guidance: see molgen.generation.wanted.
    Raises InputError for what the model or this machine cannot do.
    """
    backend = model.backend
    if sampler is not None and sampler not in backend.samplers:
        raise InputError(f"model {model.name} has no sampler {sampler!r}; choose from {', '.join(backend.samplers)}")
    limit = getattr(backend.config, "timesteps", MAX_STEPS)
    if steps is not None and steps > limit:
        raise InputError(f"model {model.name} takes at most {limit} steps, got {steps}")
    for kind, text in (("formula", formula), ("atoms", atoms)):
        if text is not None and kind not in backend.requests:
            raise InputError(f"model {model.name} ({model.backend_name}) takes no {kind}; {TAKERS[kind]}")
    if formula is not None and atoms is not None:
        raise InputError("ask either for a formula or for atoms, not for both")
    request = _request(model, formula, atoms)
    wanted = parse_wanted(core, targets, guidance, backend, model.vocabulary)
    if wanted is not None and wanted.core is not None and request is not None:
        raise InputError("ask either for a core or for a formula or atoms, not for both")
    if wanted is not None:
        wanted.size_weights(model.statistics)  # is there room for the core?
    if (num is None) == (unique is None):
        raise InputError("ask either for a number of samples or for a number of distinct molecules")
    if unique is None and max_samples is not None:
        raise InputError("a limit of samples only goes with a number of distinct molecules")
    if num is None:
        assert unique is not None
        num = min(SAMPLES_PER_UNIQUE * unique, MAX_SAMPLES) if max_samples is None else max_samples
    return Settings(
        model=model.name,
        weights_sha256=model.weights_sha256,
        device=pick_device(device).type,
        sampler=backend.samplers[0] if sampler is None else sampler,
        steps=backend.default_steps if steps is None else steps,
        samples=num,
        unique=unique,
        seed=seed,
        likelihood=likelihood,
        formula=request.text if request and formula is not None else None,
        atoms=request.text if request and atoms is not None else None,
        core=core,
        targets=" ".join(f"{name}={value:g}" for name, value in wanted.targets.items()) or None if wanted else None,
        guidance=guidance or None,
    )


def _request(model: Model, formula: str | None, atoms: str | None) -> Request | None:
    if formula is not None:
        return formula_request(formula, model.vocabulary, model.statistics.sizes)
    return None if atoms is None else atoms_request(atoms, model.vocabulary, model.statistics.sizes)


def wanted_of(model: Model, settings: Settings) -> Wanted | None:
    """What the settings want of the model's molecules. Raises InputError as `choose_settings`."""
    targets = (settings.targets or "").split()
    return parse_wanted(settings.core, targets, settings.guidance or 0.0, model.backend, model.vocabulary)


def columns(settings: Settings) -> list[str]:
    """The columns of an output file, in order. nll and nll_se are in nats; targets that are no column get one."""
    more = ["nll", "nll_se"] if settings.likelihood else []
    return ["smiles", *PROPERTIES, *_more_targets(settings), "novel", "sample", *more]


def _more_targets(settings: Settings) -> list[str]:
    """The targets asked for that every molecule can be measured by and that are no column anyway."""
    names = [text.partition("=")[0] for text in (settings.targets or "").split()]
    return [name for name in names if name in TARGETS and name not in PROPERTIES]


def draw_graphs(
    backend: Backend,
    statistics: Statistics,
    count: int,
    *,
    sampler: str,
    steps: int,
    seed: int,
    shard: int = 0,
    progress: Progress | None = None,
    request: Request | None = None,
    wanted: Wanted | None = None,
    each_step: Callable[[GraphBatch], object] | None = None,
) -> Iterator[tuple[np.ndarray, GraphBatch]]:
    """`count` new graphs, batch by batch, each with the positions of its graphs among the `count`, int64 [b].

    Every position comes once; sizes are distributed as in the training data, under what is wanted, or are that of the
    request. The graphs depend on all arguments but `progress` and `each_step`, which gets a batch's graphs so far after
    every evaluation.
    """
    if request is not None:
        sizes = np.full(count, request.size)
    else:
        weights = (wanted or Wanted()).size_weights(statistics)
        sizes = _draw_sizes(weights, count, _random_stream(seed, shard, 0))
    generator = _generator(seed, shard, 1)
    for positions in _batches(sizes):
        size, callback = int(sizes[positions[0]]), _step_progress(len(positions), progress, each_step)
        batch = backend.sample(
            size,
            len(positions),
            steps=steps,
            sampler=sampler,
            generator=generator,
            callback=callback,
            request=request,
            condition=None if wanted is None else wanted.condition(backend, size, len(positions)),
            guidance=0.0 if wanted is None else wanted.guidance,
        )
        yield positions, batch


def sample_smiles(
    backend: Backend, vocabulary: Vocabulary, statistics: Statistics, count: int, *, seed: int
) -> list[Decoded]:
    """`count` samples, in order, with the backend's default sampler and steps."""
    decoder = GraphDecoder(vocabulary)
    decoded = [Decoded("", "")] * count
    sampler, steps = backend.samplers[0], backend.default_steps
    for positions, batch in draw_graphs(backend, statistics, count, seed=seed, sampler=sampler, steps=steps):
        for position, verdict in zip(positions, _decode(decoder, batch), strict=True):
            decoded[position] = verdict
    return decoded


def draw_shard(model: Model, settings: Settings, shard: int, progress: Progress | None = None) -> pd.DataFrame:
    """One row for every sample of a shard, valid or not, in order: `columns(settings)` and `reason`.

    The backend must be on the device of the settings. The rows depend on the settings and the shard's number alone.
    sample counts from 1 over the whole run; reason is "" for a valid molecule, and only these have properties. A
    molecule that does not have the atoms asked for is not valid.
    """
    batches = pd.concat(shard_batches(model, settings, shard, progress), ignore_index=True)
    return batches.sort_values("sample", ignore_index=True)


def shard_batches(
    model: Model, settings: Settings, shard: int, progress: Progress | None = None
) -> Iterator[pd.DataFrame]:
    """The rows of `draw_shard` as they are drawn, batch by batch, small molecules first."""
    assert settings.seed is not None
    request, wanted = _request(model, settings.formula, settings.atoms), wanted_of(model, settings)
    count = settings.shard_samples(shard)
    bound_generator = _generator(settings.seed, shard, 2)  # of its own, so that asking for it changes no molecule
    decoder = GraphDecoder(model.vocabulary)
    for positions, batch in draw_graphs(
        model.backend,
        model.statistics,
        count,
        sampler=settings.sampler,
        steps=settings.steps,
        seed=settings.seed,
        shard=shard,
        progress=progress,
        request=request,
        wanted=wanted,
    ):
        decoded = _decode(decoder, batch)
        if wanted is not None and wanted.core is not None and not model.backend.keeps_parts:
            kept = wanted.condition(model.backend, batch.size, len(batch)).held_by(batch).tolist()
            decoded = [
                verdict if has or not verdict.valid else Decoded(verdict.smiles, "core not kept")
                for verdict, has in zip(decoded, kept, strict=True)
            ]
        if request is not None:
            decoded = [_asked_for(verdict, request) for verdict in decoded]
        smiles = [verdict.smiles for verdict in decoded]
        frame = pd.DataFrame(
            {
                "smiles": pd.Series(smiles, dtype="str"),
                "reason": pd.Series([verdict.reason for verdict in decoded], dtype="str"),
                "novel": ~contains(model.known, smiles_hashes(smiles)),
                "sample": positions + shard * settings.shard_size + 1,
                **_property_columns(decoded, _more_targets(settings)),
            }
        )
        if settings.likelihood:
            nats, errors = np.full(len(batch), nan), np.full(len(batch), nan)
            valid = [row for row, verdict in enumerate(decoded) if verdict.valid]
            if valid:
                chosen = batch[torch.tensor(valid, device=batch.nodes.device)]
                bound = model.backend.likelihood(chosen, draws=LIKELIHOOD_DRAWS, generator=bound_generator)
                nats[valid] = bound.nats.cpu().numpy()
                errors[valid] = bound.standard_error.cpu().numpy()
            frame["nll"], frame["nll_se"] = nats.round(DECIMALS), errors.round(DECIMALS)
        yield frame[[*columns(settings), "reason"]]


def molecule_graph(model: Model, smiles: str) -> GraphBatch:
    """One molecule in the classes of a model, int64. Raises InputError for one that the model cannot hold."""
    try:
        nodes, pairs = mol_to_graph(clean(parse_smiles(smiles)).mol, model.vocabulary.index)
    except Rejected as reason:
        raise InputError(f"{smiles!r} cannot be used: {reason}") from None
    return GraphBatch(torch.from_numpy(nodes)[None], torch.from_numpy(pairs)[None]).to(torch.int64)


def likelihood_of(model: Model, smiles: str, *, draws: int = LIKELIHOOD_DRAWS, seed: int = 0) -> tuple[float, float]:
    """Bound on -log p(molecule | its size) in nats, and its standard error. Raises InputError as `molecule_graph`."""
    molecule_graph(model, smiles)
    graph = molecule_graph(model, clean(parse_smiles(smiles)).smiles)  # the draws belong to atoms in their order
    if graph.size >= len(model.statistics.sizes) or not model.statistics.sizes[graph.size]:
        raise InputError(f"model {model.name} knows no molecules of {graph.size} atoms besides hydrogen")
    bound = model.backend.likelihood(graph, draws=draws, generator=_generator(seed, 0, 2))
    return float(bound.nats[0]), float(bound.standard_error[0])


def _decode(decoder: GraphDecoder, batch: GraphBatch) -> list[Decoded]:
    nodes, pairs = batch.nodes.cpu().numpy(), batch.pairs.cpu().numpy()
    return [decoder.decode(nodes[row], pairs[row]) for row in range(len(batch))]


def _asked_for(verdict: Decoded, request: Request) -> Decoded:
    if not verdict.valid or request.matched_by(verdict.smiles):
        return verdict
    return Decoded(verdict.smiles, "other atoms than asked for" if request.degrees else "another formula")


def _property_columns(decoded: list[Decoded], more: Sequence[str]) -> dict[str, pd.Series]:
    """Every property of the valid molecules, and those of TARGETS named by `more`, missing for the others."""
    names = [*PROPERTIES, *more]
    missing = dict.fromkeys(names, nan)
    rows = [_properties(verdict.smiles, more) if verdict.valid else missing for verdict in decoded]
    table = pd.DataFrame(rows, columns=names, dtype="float64").round(DECIMALS)
    return {name: table[name].astype("Int64") if name in WHOLE_NUMBERS else table[name] for name in names}


def _properties(smiles: str, more: Sequence[str]) -> dict[str, float]:
    try:
        mol = parse_smiles(smiles)
        return properties(mol) | {name: TARGETS[name](mol) for name in more}
    except Rejected:  # longer than the limit that protects RDKit
        return dict.fromkeys([*PROPERTIES, *more], nan)


def _random_stream(seed: int, shard: int, purpose: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(shard, purpose))


def _generator(seed: int, shard: int, purpose: int) -> torch.Generator:
    # on the CPU whatever the device of the model: the backends draw where the generator lives
    state = _random_stream(seed, shard, purpose).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def _draw_sizes(weights: np.ndarray, count: int, stream: np.random.SeedSequence) -> np.ndarray:
    """`count` numbers of atoms, int64, each as likely as `weights` [sizes] says."""
    return np.random.default_rng(stream).choice(len(weights), size=count, p=weights / weights.sum())


def _batches(sizes: np.ndarray) -> Iterator[np.ndarray]:
    """Positions of samples of one size that fit in one batch, int64, size by size."""
    for size in np.unique(sizes):
        positions = np.flatnonzero(sizes == size)
        limit = max(1, ENTRIES_PER_BATCH // (pair_count(int(size)) + int(size)))
        yield from np.array_split(positions, ceil(len(positions) / limit))


def _step_progress(
    count: int, progress: Progress | None, each_step: Callable[[GraphBatch], object] | None
) -> Callback | None:
    """A backend's callback that spreads a batch's `count` samples evenly over its steps."""
    if progress is None and each_step is None:
        return None

    def callback(done: int, total: int, graphs: Callable[[], GraphBatch]) -> None:
        drawn = count * done // total - count * (done - 1) // total
        if progress is not None and drawn:
            progress(drawn)
        if each_step is not None:
            each_step(graphs())

    return callback

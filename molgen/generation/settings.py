"""All that a run's molecules depend on, and the columns of its output."""

from __future__ import annotations

import dataclasses
import json
import operator
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from molgen.device import pick_device
from molgen.errors import InputError
from molgen.evaluation.screening import load_profile, parse_profile, profile_text
from molgen.generation.asked import parse_wanted
from molgen.generation.faults import DRAFTS, MOST_DRAFTS, choice
from molgen.generation.filters import Filter, make_filter
from molgen.generation.judge import Judge, judge
from molgen.generation.leads import parent_of, parse_window
from molgen.generation.stereo import COLUMNS as STEREO_COLUMNS
from molgen.generation.wanted import Wanted
from molgen.models.checkpoints import Model
from molgen.models.drafts import Drafts
from molgen.models.effort import steps_of
from molgen.molecules.properties import PROPERTIES, TARGETS
from molgen.molecules.stereo import MOST
from molgen.workers import current_engine

WINDOW = "0.5:0.8"  # of the similarity of analogues
SHARD_SIZE = 1000  # large enough for batches of one size, small enough that a killed run loses little
SAMPLES_PER_UNIQUE = 20  # a run for distinct molecules gives up after this many samples for each one asked for
MAX_SAMPLES = 100_000_000  # of a run; far more than a mistyped number should start


@dataclass(frozen=True)
class Settings:
    """All that the molecules of a run depend on: equal settings give equal molecules on the same kind of machine.

    Another processor, GPU or version of torch rounds differently, and a draw on the edge then falls the other way.

    samples: drawn at most; unique: distinct valid molecules after which the run ends, or None to draw all samples.
    formula, atoms: what every molecule should have, as text, or None; at most one of them. core: SMILES of what every
    molecule contains; targets: properties asked for, such as "logp=2.5" and "mw=250:350"; guidance: their weight;
    size: heavy atoms, such as "20:27". profile: what a screening profile is called that keeps the molecules, and
    profile_toml its rules; known_rings: whether only those with ring systems of training molecules, the core and the
    lead are kept. like: SMILES of a lead; similarity: that of its analogues to it, such as "0.5:0.8"; noise: how far
    it is noised for that, None until a run has found out. stereo: stereoisomers of each molecule at most, None for
    molecules without stereo; three_d: whether they are arranged in space. drafts: of a molecule near the end, of
    which the one with the fewest faults is taken, and of one that the model's critic refuses; None for models and
    samplers that make one. calibration_sha256: of the model's calibration, critic_sha256: of the critic that refuses
    molecules, None where there is none.
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
    targets: tuple[str, ...] = ()
    guidance: float | None = None
    size: str | None = None
    profile: str | None = None
    profile_toml: str | None = None
    known_rings: bool | None = None
    like: str | None = None
    similarity: str | None = None
    noise: float | None = None
    stereo: int | None = None
    three_d: bool | None = None
    drafts: int | None = None
    calibration_sha256: str | None = None
    critic_sha256: str | None = None

    def __post_init__(self) -> None:
        for name in ("unique", "samples", "steps", "drafts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} should be at least 1, got {value}")
        if self.samples > MAX_SAMPLES:
            raise InputError(f"a run draws at most {MAX_SAMPLES:,} samples, {self.samples:,} were asked for")
        if self.unique is not None and self.samples < self.unique:
            raise InputError(f"{self.unique} distinct molecules cannot come from at most {self.samples} samples")
        if self.seed is not None and self.seed < 0:
            raise InputError(f"seed should be a whole number, 0 or more, got {self.seed}")

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

    def seeded(self) -> Settings:
        """The same settings with a seed: drawn where there is none."""
        return dataclasses.replace(self, seed=secrets.randbits(32)) if self.seed is None else self

    def differences(self, other: Mapping[str, object]) -> list[str]:
        """What differs from other settings, given as JSON has them, in words; a seed not yet drawn fits any."""
        now = json.loads(json.dumps(dataclasses.asdict(self)))
        if not isinstance(other.get("targets"), list):  # earlier versions wrote them as one text, or none
            other = {**other, "targets": str(other.get("targets") or "").split()}
        if self.drafts == 1 and other.get("drafts") is None:  # they made one, and did not say so
            other = {**other, "drafts": 1}
        return [
            f"{name} ({other.get(name)} then, {value} now)"
            for name, value in now.items()
            if value != other.get(name)
            and name != "noise"  # follows from the others
            and not (name == "seed" and self.seed is None)
        ]


def make_settings(
    model: Model,
    *,
    num: int | None = None,
    unique: int | None = None,
    max_samples: int | None = None,
    seed: int | None = None,
    sampler: str | None = None,
    steps: int | None = None,
    effort: str | None = None,
    drafts: int | None = None,
    likelihood: bool = False,
    device: str = "auto",
    formula: str | None = None,
    atoms: str | None = None,
    core: str | None = None,
    targets: Sequence[str] = (),
    guidance: float = 0.0,
    size: str | None = None,
    profile: str | None = None,
    known_rings: bool = False,
    like: str | None = None,
    standardise: bool = False,
    similarity: str | None = None,
    stereo: int | None = None,
    three_d: bool = False,
    by_workers: bool = False,
) -> Settings:
    """Settings for `num` samples, or for `unique` distinct valid molecules out of at most `max_samples`.

    If omitted, sampler and steps are the model's own; effort: fast, balanced or best, in place of steps. device: auto,
    cpu or cuda. formula, atoms, core, targets, guidance, size, like: see `parse_wanted`; standardise: the parent of
    `like` (`molgen.molecules.standardise`). similarity: WINDOW if omitted.
    profile: the name of a screening profile, or its TOML file; known_rings, stereo, three_d: see `Settings`; three_d
    alone takes one stereoisomer of each. by_workers: those of the current engine are to draw, not this process; what
    matters then is whether they have GPUs.
    Raises InputError for what the model or this machine cannot do.
    """
    backend = model.backend
    if sampler is not None and sampler not in backend.samplers:
        raise InputError(f"model {model.name} has no sampler {sampler!r}; choose from {', '.join(backend.samplers)}")
    if effort is not None:
        if steps is not None:
            raise InputError("give either a number of steps or an effort, which is one in words", "effort")
        steps = steps_of(model, effort)
    if steps is not None and steps > backend.max_steps:
        raise InputError(f"model {model.name} takes at most {backend.max_steps} steps, got {steps}")
    if like is None and similarity is not None:
        raise InputError("a similarity goes with a molecule to be like, and none is given")
    if like is None and standardise:
        raise InputError("there is no molecule to be like that could be standardised")
    wanted = parse_wanted(
        model,
        formula=formula,
        atoms=atoms,
        core=core,
        targets=targets,
        guidance=guidance,
        size=size,
        like=parent_of(like) if like is not None and standardise else like,
    )
    sampler = backend.samplers[0] if sampler is None else sampler
    drafts = _checked_drafts(model, sampler, drafts)
    try:
        seed = None if seed is None else operator.index(seed)
    except TypeError:
        raise InputError(f"seed should be a whole number, 0 or more, got {seed}") from None
    if likelihood and wanted.is_large(model.statistics):
        raise InputError(
            f"model {model.name} makes molecules of up to {len(model.statistics.sizes) - 1} heavy atoms, and finds no "
            "likelihood of larger ones",
            "likelihood",
        )
    window = parse_window(WINDOW if similarity is None else similarity)
    if (num is None) == (unique is None):
        raise InputError("ask either for a number of samples or for a number of distinct molecules")
    if unique is None and max_samples is not None:
        raise InputError("a limit of samples only goes with a number of distinct molecules")
    if num is None:
        assert unique is not None
        num = min(SAMPLES_PER_UNIQUE * unique, MAX_SAMPLES) if max_samples is None else max_samples
    if stereo is not None and not 1 <= stereo <= MOST:
        raise InputError(f"stereo should be 1 to {MOST} stereoisomers of each molecule, got {stereo}", "stereo")
    engine = current_engine()
    request = wanted.request
    chosen = None if profile is None else load_profile(profile)
    make_filter(model, chosen, known_rings, wanted)
    return Settings(
        model=model.name,
        weights_sha256=model.weights_sha256,
        calibration_sha256=model.calibration_sha256,
        critic_sha256=None if judge(model, wanted, sampler, drafts) is None else model.critic_sha256,
        device=pick_device(device, gpu=engine.room(gpu=True) > 0 if by_workers and engine.remote else None).type,
        sampler=sampler,
        steps=backend.default_steps if steps is None else steps,
        samples=num,
        unique=unique,
        seed=seed,
        likelihood=likelihood,
        formula=request.text if request and formula is not None else None,
        atoms=request.text if request and atoms is not None else None,
        core=core,
        targets=tuple(f"{name}={value}" for name, value in wanted.targets.items()),
        guidance=guidance or None,
        size=None if wanted.sizes is None else str(wanted.sizes),
        profile=None if chosen is None else chosen.name,
        profile_toml=None if profile is None else profile_text(profile),
        known_rings=known_rings or None,
        like=None if wanted.lead is None else wanted.lead.smiles,
        similarity=None if wanted.lead is None else str(window),
        stereo=1 if stereo is None and three_d else stereo,
        three_d=three_d or None,
        drafts=drafts,
    )


def _checked_drafts(model: Model, sampler: str, drafts: int | None) -> int | None:
    """How often a molecule may be drawn, DRAFTS if nothing is said; None where it is drawn once in any case.

    Raises InputError for a number out of range, and one above 1 where it is drawn once.
    """
    backend = model.backend
    if not backend.chooses or sampler in backend.as_published:
        if drafts in (None, 1):
            return None
        who = f"the sampler {sampler}" if backend.chooses else f"model {model.name} ({model.backend_name})"
        raise InputError(f"{who} makes no drafts to choose from", "drafts")
    if drafts is not None and not 1 <= drafts <= MOST_DRAFTS:
        raise InputError(f"drafts should be 1 to {MOST_DRAFTS} of each molecule, got {drafts}", "drafts")
    return DRAFTS if drafts is None else drafts


def wanted_of(model: Model, settings: Settings) -> Wanted:
    """What the settings want of the model's molecules. Raises InputError as `make_settings`."""
    return parse_wanted(
        model,
        formula=settings.formula,
        atoms=settings.atoms,
        core=settings.core,
        targets=settings.targets,
        guidance=settings.guidance or 0.0,
        size=settings.size,
        like=settings.like,
        noise=settings.noise,
    )


def drafts_of(model: Model, settings: Settings) -> Drafts | None:
    """What the model chooses among drafts by, None where it makes one. Raises InputError as `make_settings`."""
    return choice(model, wanted_of(model, settings), settings.drafts, known_rings=settings.known_rings)


def judge_of(model: Model, settings: Settings) -> Judge | None:
    """What refuses molecules that the model draws too often, if any. Raises InputError as `make_settings`."""
    return judge(model, wanted_of(model, settings), settings.sampler, settings.drafts)


def filter_of(model: Model, settings: Settings) -> Filter | None:
    """What the settings keep of the valid molecules. Raises InputError as `make_settings`."""
    text = settings.profile_toml
    profile = None if text is None else parse_profile(settings.profile or "", text, f"profile {settings.profile}")
    window = None if settings.similarity is None else parse_window(settings.similarity)
    return make_filter(model, profile, bool(settings.known_rings), wanted_of(model, settings), window)


def columns(settings: Settings) -> list[str]:
    """The columns of an output file, in order; targets that are no column get one.

    nll and nll_se are in nats, nll_percentile is that of `molgen.generation.typical`.
    """
    more = ["nll", "nll_se", "nll_percentile"] if settings.likelihood else []
    like = [] if settings.like is None else ["similarity"]
    stereo = [] if settings.stereo is None else list(STEREO_COLUMNS)
    return ["smiles", *PROPERTIES, *measured_targets(settings), *like, "novel", "sample", *more, *stereo]


def measured_targets(settings: Settings) -> list[str]:
    """The targets asked for that every molecule can be measured by and that are no column anyway."""
    names = [text.rpartition("=")[0] for text in settings.targets]
    return [name for name in names if name in TARGETS and name not in PROPERTIES]

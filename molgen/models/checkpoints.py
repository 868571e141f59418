"""Trained models as folders: weights, what rebuilds the model, what novelty needs, and a card. Nothing is unpickled.

weights.safetensors     the averaged weights; matrices in bfloat16, the dtype they are multiplied in
model.json              backend, config, vocabulary, statistics of the training data
known.safetensors       sorted 64-bit hashes of the canonical SMILES trained on, of their ring systems, and of the
                        surroundings of their atoms, uint64; of shipped models once for each data set, as
                        checkpoints/known/SET.safetensors
bounds.safetensors      bounds on -log p of training molecules, by size (molgen.generation.typical); may be missing
calibration.safetensors what puts the model's predictions right (molgen.models.digress.calibration); may be missing
critic.safetensors      what tells its molecules from those of its training (molgen.models.critic); may be missing
card.json, README.md    data, licence, training, figures, limits; the second is the first made readable
checksums.json          the SHA-256 of each of the others but README.md
"""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from safetensors import SafetensorError

import molgen
from molgen.data.dataset import Statistics, read_json
from molgen.errors import CheckpointError, InputError
from molgen.files import atomic_write, check_regular, sha256_of, shipped_folder
from molgen.models.base import Backend
from molgen.models.critic import Critic
from molgen.models.record import check_bounds, check_known, check_record, check_weights
from molgen.models.registry import family
from molgen.molecules.vocabulary import Vocabulary

WEIGHTS, MODEL, KNOWN, CARD, BOUNDS, CALIBRATION, CRITIC, CHECKSUMS = (
    "weights.safetensors",
    "model.json",
    "known.safetensors",
    "card.json",
    "bounds.safetensors",
    "calibration.safetensors",
    "critic.safetensors",
    "checksums.json",
)
MOST_BYTES = 2**32  # of a file: 2 billion parameters, or the hashes of 500 million molecules
UNUSABLE = (OSError, KeyError, TypeError, ValueError, ArithmeticError, RuntimeError, InputError, SafetensorError)


@dataclass(frozen=True)
class Model:
    """A model ready to generate. known: sorted hashes of the training molecules, uint64 [N].

    ring_systems, surroundings: sorted hashes of their parts (`molgen.molecules.substructures`), uint64 [k]; None of
    models saved before molgen kept them. bounds: size -> bounds in nats on -log p of training molecules of that size,
    ascending, float32 [k]; of models saved before molgen kept them, none. critic: None where it has none.
    calibration_sha256, critic_sha256: of CALIBRATION and CRITIC, if any.
    """

    name: str
    path: Path
    backend_name: str
    backend: Backend  # in eval mode
    vocabulary: Vocabulary
    statistics: Statistics
    card: dict[str, object]
    known: np.ndarray
    weights_sha256: str
    ring_systems: np.ndarray | None = None
    surroundings: np.ndarray | None = None
    bounds: Mapping[int, np.ndarray] = field(default_factory=dict)
    calibration_sha256: str | None = None
    critic: Critic | None = None
    critic_sha256: str | None = None


def build_backend(name: str, config: Mapping[str, object], vocabulary: Vocabulary, statistics: Statistics) -> Backend:
    """An untrained backend. Raises InputError for an unknown backend or setting, and for a value out of range."""
    kind = family(name)
    allowed = kind.Config.names()
    unknown = sorted(set(config) - set(allowed))
    if unknown:
        raise InputError(f"unknown setting {unknown[0]!r} for backend {name}; it takes {', '.join(allowed)}")
    settings = kind.Config(**config)  # type: ignore[arg-type]  # each config checks its own values
    return kind(settings, vocabulary, statistics)


def save_checkpoint(
    folder: Path,
    *,
    backend_name: str,
    backend: Backend,
    weights: dict[str, torch.Tensor],
    vocabulary: Vocabulary,
    statistics: Statistics,
    known: np.ndarray,
    card: dict[str, object],
    ring_systems: np.ndarray | None = None,
    surroundings: np.ndarray | None = None,
) -> None:
    """Write a checkpoint folder, whole: it is made beside `folder` and then takes its place."""
    making = folder.with_name(folder.name + ".new")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    tensors = {
        name: (tensor.to(torch.bfloat16) if tensor.ndim >= 2 else tensor).detach().cpu().contiguous()
        for name, tensor in weights.items()
    }
    for file, content in (
        (WEIGHTS, safetensors.torch.save(tensors)),
        (KNOWN, known_file(known, ring_systems, surroundings)),
    ):
        with atomic_write(making / file, "wb") as out:
            out.write(content)
    record = {
        "backend": backend_name,
        "molgen": molgen.__version__,
        "rdkit": version("rdkit"),
        "config": dataclasses.asdict(backend.config),
        "vocabulary": vocabulary.to_json(),
        "statistics": statistics.to_json(),
    }
    _write_text(making / MODEL, json.dumps(record, indent=1) + "\n")
    write_card(making, card)
    _write_checksums(making)
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    making.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def known_file(known: np.ndarray, ring_systems: np.ndarray | None, surroundings: np.ndarray | None) -> bytes:
    """The content of KNOWN; see `Model`."""
    parts = {"hashes": known, "ring_systems": ring_systems, "surroundings": surroundings}
    return safetensors.numpy.save({name: row for name, row in parts.items() if row is not None})


def write_bounds(folder: Path, bounds: Mapping[int, np.ndarray]) -> None:
    """Put bounds, as `Model` has them, into a checkpoint folder that has none, or the same."""
    _add(folder, BOUNDS, safetensors.numpy.save({str(size): row.astype(np.float32) for size, row in bounds.items()}))


def write_calibration(folder: Path, shifts: Mapping[str, torch.Tensor]) -> None:
    """Put a calibration, as `Backend.calibrate` takes it, into a checkpoint folder that has none, or the same."""
    _add(folder, CALIBRATION, safetensors.torch.save(dict(shifts)))


def write_critic(folder: Path, critic: Critic) -> None:
    """Put a critic into a checkpoint folder that has none, or the same."""
    _add(folder, CRITIC, safetensors.numpy.save(critic._asdict()))


def _add(folder: Path, file: str, content: bytes) -> None:
    # first, so that the folder can be loaded whenever this is cut off
    _write_sums(folder, read_json(folder / CHECKSUMS) | {file: hashlib.sha256(content).hexdigest()})
    with atomic_write(folder / file, "wb") as out:
        out.write(content)


def write_card(folder: Path, card: dict[str, object]) -> None:
    """Write card.json and README.md, and the checksums again where there are some."""
    _write_text(folder / CARD, json.dumps(card, indent=1) + "\n")
    _write_text(folder / "README.md", card_text(card))
    if (folder / CHECKSUMS).exists():
        _write_checksums(folder)


def card_text(card: dict[str, object]) -> str:
    """The card as Markdown: a section for each key, a table for each dictionary."""
    lines = [f"# {card.get('name', 'model')}", ""]
    for key, value in card.items():
        if key == "name":
            continue
        lines += [f"## {key.replace('_', ' ').capitalize()}", ""]
        if isinstance(value, dict):
            lines += ["| | |", "|---|---|"]
            lines += [f"| {name.replace('_', ' ')} | {_cell(entry)} |" for name, entry in value.items()]
        else:
            lines.append(str(value))
        lines.append("")
    return "\n".join(lines)


def _cell(entry: object) -> str:
    return ", ".join(f"{name} {value}" for name, value in entry.items()) if isinstance(entry, dict) else str(entry)


def load_checkpoint(name_or_path: str) -> Model:
    """The model of a shipped name or of a folder.

    Raises CheckpointError where there is none, or where a file is missing, damaged, of another program or out of
    bounds. Nothing is built before what it is built from has been checked.
    """
    folder = _find(name_or_path)
    about = ""
    try:
        expected = read_json(folder / CHECKSUMS)
        for file in _files(folder):
            check_regular(folder / file, MOST_BYTES)
            if sha256_of(folder / file) != expected.get(file):
                raise CheckpointError(f"{folder / file} is damaged: its SHA-256 is not the one in {CHECKSUMS}")
        known_path = folder / KNOWN if (folder / KNOWN).exists() else _shared_known(expected.get(KNOWN))
        about = f"{MODEL}: "
        record = read_json(folder / MODEL)
        check_record(record)
        vocabulary = Vocabulary.from_json(record["vocabulary"])
        statistics = Statistics.from_json(record["statistics"])
        config = {**family(record["backend"]).Config.before, **record["config"]}
        # without memory first: the weights tell whether what the configuration asks for is there
        with torch.device("meta"):
            expected_weights = build_backend(record["backend"], config, vocabulary, statistics).state_dict()
        about = f"{WEIGHTS}: "
        weights = safetensors.torch.load_file(folder / WEIGHTS)
        check_weights(weights, expected_weights)
        backend = build_backend(record["backend"], config, vocabulary, statistics)
        backend.load_state_dict(weights)
        about = f"{KNOWN}: "
        hashes = safetensors.numpy.load_file(known_path)
        known, ring_systems, surroundings = hashes["hashes"], hashes.get("ring_systems"), hashes.get("surroundings")
        for row in (known, ring_systems, surroundings):
            if row is not None:
                check_known(row)
        about = f"{BOUNDS}: "
        kept = safetensors.numpy.load_file(folder / BOUNDS) if BOUNDS in _files(folder) else {}
        bounds = {int(size): row for size, row in kept.items()}
        check_bounds(bounds, statistics.sizes)
        about = f"{CALIBRATION}: "
        calibration = str(expected[CALIBRATION]) if CALIBRATION in _files(folder) else None
        if calibration is not None:
            backend.calibrate(safetensors.torch.load_file(folder / CALIBRATION))
        about = f"{CRITIC}: "
        critic, critic_sha256 = None, None
        if CRITIC in _files(folder):
            critic = Critic(**safetensors.numpy.load_file(folder / CRITIC)).checked(len(statistics.sizes))
            critic_sha256 = str(expected[CRITIC])
        about = f"{CARD}: "
        card = read_json(folder / CARD)
    except UNUSABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{folder} is not a usable molgen checkpoint: {about}{reason}") from None
    backend.eval().requires_grad_(False)
    name = str(card.get("name", folder.name))
    parts = (record["backend"], backend, vocabulary, statistics, card, known, expected[WEIGHTS])
    return Model(name, folder, *parts, ring_systems, surroundings, bounds, calibration, critic, critic_sha256)


def list_models() -> dict[str, Path]:
    """The shipped models by name."""
    folder = shipped_folder("checkpoints")
    return {path.name: path for path in sorted(folder.iterdir()) if (path / MODEL).is_file()}


def _find(name_or_path: str) -> Path:
    shipped = list_models()
    if name_or_path in shipped:
        return shipped[name_or_path]
    folder = Path(name_or_path)
    if not folder.is_dir():
        raise CheckpointError(
            f"no model {name_or_path!r}; choose from {', '.join(shipped) or 'none shipped'}, or give the folder of one"
        )
    return folder


def _shared_known(expected: object) -> Path:
    """The shipped file with a SHA-256, for a model without KNOWN of its own. Raises InputError where there is none."""
    for path in sorted((shipped_folder("checkpoints") / "known").glob("*.safetensors")):
        if sha256_of(path) == expected:
            return path
    raise InputError(f"{KNOWN} is missing, and what it held is not shipped with molgen")


def _files(folder: Path) -> list[str]:
    """The files of a checkpoint that have checksums and lie in its folder."""
    return [WEIGHTS, MODEL, CARD, *(file for file in (KNOWN, BOUNDS, CALIBRATION, CRITIC) if (folder / file).exists())]


def _write_checksums(folder: Path) -> None:
    sums = {file: sha256_of(folder / file) for file in _files(folder)}
    if KNOWN not in sums and (folder / CHECKSUMS).exists():  # it is shared
        sums[KNOWN] = str(read_json(folder / CHECKSUMS)[KNOWN])
    _write_sums(folder, sums)


def _write_sums(folder: Path, sums: Mapping[str, object]) -> None:
    _write_text(folder / CHECKSUMS, json.dumps(sums, indent=1) + "\n")


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text)

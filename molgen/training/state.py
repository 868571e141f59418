"""The state of a training that a later one resumes from: one file, checked by its SHA-256; nothing is unpickled."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from molgen.errors import TrainingError
from molgen.files import atomic_write
from molgen.models.config import Value
from molgen.training.settings import CHANGEABLE

STATE = "state.safetensors"


class RunSettings(NamedTuple):
    """What a run was started with; options: the fields of TrainSettings and of the backend's Config.

    ranks: how many its batches are dealt to, see `molgen.training.share`.
    """

    backend: str
    data: str  # folder of the prepared set, its last part
    targets: tuple[str, ...]
    options: dict[str, Value]
    ranks: int = 1

    def to_json(self) -> dict[str, Value | list[str]]:
        """One flat dictionary."""
        targets = list(self.targets)
        return {"backend": self.backend, "data": self.data, "targets": targets, "ranks": self.ranks, **self.options}

    @classmethod
    def from_json(cls, text: str) -> "RunSettings":
        """What `to_json` gave. Raises KeyError or ValueError for another text."""
        record = json.loads(text)
        ranks = record.pop("ranks", 1)
        return cls(record.pop("backend"), record.pop("data"), tuple(record.pop("targets", ())), record, ranks)


class State(NamedTuple):
    """tensors: on the CPU, by names such as "model.network.node_in.0.weight"; position: where the training is."""

    tensors: dict[str, Tensor]
    settings: RunSettings
    position: dict[str, float]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with the prefix, by what follows it."""
        return {name.removeprefix(prefix): tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}

    def check(self, wanted: RunSettings, folder: Path) -> None:
        """Raises TrainingError where a run with the wanted settings cannot continue the one in the folder."""
        saved = self.settings.to_json()
        for name, value in wanted.to_json().items():
            if name not in CHANGEABLE and saved.get(name) != value:
                raise TrainingError(
                    f"{folder / STATE} belongs to a run with {name} = {saved.get(name)}, not {value}; "
                    f"what may change on the way is {', '.join(CHANGEABLE)}"
                )


def write_state(
    folder: Path, tensors: Mapping[str, Tensor], settings: RunSettings, position: Mapping[str, float]
) -> None:
    """Write the state of a run into its folder; a kill meanwhile leaves the one before."""
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    metadata = {
        "settings": json.dumps(settings.to_json()),
        "position": json.dumps(position),
        "sha256": _digest(copies),
    }
    metadata["metadata_sha256"] = _metadata_digest(metadata)
    with atomic_write(folder / STATE, "wb") as file:
        file.write(safetensors_bytes(copies, metadata))


def read_state(folder: Path) -> State:
    """The state of the run in a folder. Raises TrainingError for one that is missing or damaged."""
    path = folder / STATE
    try:
        with safe_open(path, "pt") as file:
            metadata = _checked(file.metadata())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, SafetensorError) as error:
        raise TrainingError(f"{path} cannot be read ({error}); start again in another folder") from None
    if metadata.get("sha256") != _digest(tensors):
        raise TrainingError(f"{path} is damaged: its SHA-256 does not fit; start again in another folder")
    return State(tensors, RunSettings.from_json(metadata["settings"]), json.loads(metadata["position"]))


def saved_settings(folder: Path) -> RunSettings:
    """What the run in a folder was started with. Raises TrainingError where no state is saved."""
    try:
        with safe_open(folder / STATE, "pt") as file:
            return RunSettings.from_json(_checked(file.metadata())["settings"])
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise TrainingError(f"{folder} holds no saved state that can be read ({error})") from None


def _checked(metadata: dict[str, str] | None) -> dict[str, str]:
    """The metadata of a state. Raises ValueError where it is not as it was written; earlier versions could not tell."""
    found = metadata or {}
    digest = _metadata_digest(found)
    if not {"settings", "position", "sha256"} <= found.keys() or found.get("metadata_sha256", digest) != digest:
        raise ValueError("its metadata are damaged")
    return found


def _metadata_digest(metadata: Mapping[str, str]) -> str:
    parts = [metadata.get(name, "") for name in ("settings", "position", "sha256")]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _digest(tensors: Mapping[str, Tensor]) -> str:
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(tensors[name].reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()

"""Choosing where a network runs."""

import torch

from molgen.errors import InputError


def pick_device(name: str) -> torch.device:
    """The device of "auto" (the GPU where there is one), "cpu" or "cuda". Raises InputError for any other or none."""
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {name!r} is not one of auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda was asked for, but torch sees no GPU here")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)

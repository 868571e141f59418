"""Where a network runs, and in which number format: bfloat16 products where the hardware has them, else float32."""

import os
from contextlib import AbstractContextManager
from functools import cache

import torch

from molgen.errors import InputError


def pick_device(name: str, number: int | None = None, *, gpu: bool | None = None) -> torch.device:
    """The device of "auto" (the GPU where there is one), "cpu" or "cuda". Raises InputError for any other or none.

    number: of this process, where there are several on this machine, each with a GPU of its own. gpu: whether
    there is one, where the network runs on other machines.
    """
    where = "torch sees no GPU here" if gpu is None else "the cluster has none"
    gpu = torch.cuda.is_available() if gpu is None else gpu
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {name!r} is not one of auto, cpu, cuda")
    if name == "cuda" and not gpu:
        raise InputError(f"device cuda was asked for, but {where}")
    if name == "auto":
        name = "cuda" if gpu else "cpu"
    if name == "cuda" and number is not None:
        gpus = torch.cuda.device_count()
        if number >= gpus:
            raise InputError(f"there are more processes than GPUs here, which are {gpus}: start one for each")
        return torch.device(name, number)
    return torch.device(name)


PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@cache
def network_dtype(device_type: str) -> torch.dtype:
    """bfloat16 where the device multiplies it natively, else float32; what MOLGEN_PRECISION says, where that is set.

    Raises InputError for another value of it.
    """
    asked = os.environ.get("MOLGEN_PRECISION")
    if asked:
        if asked not in PRECISIONS:
            raise InputError(f"MOLGEN_PRECISION should be {' or '.join(PRECISIONS)}, got {asked!r}")
        return PRECISIONS[asked]
    if device_type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device_type == "cpu":
        # without hardware support bfloat16 on a CPU is slower than float32
        has_library = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch has no type for it
        native = has_library and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        return torch.bfloat16 if native else torch.float32
    return torch.float32


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Run matrix products of the block in `network_dtype`."""
    dtype = network_dtype(device.type)
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def place(module: torch.nn.Module, device: torch.device | str) -> None:
    """Move to the device, linear layers in `network_dtype`, so that autocast need not convert them at every call.

    For a module that is only evaluated: training needs float32 weights.
    """
    module.to(device)
    dtype = network_dtype(torch.device(device).type)
    for part in module.modules():
        if isinstance(part, torch.nn.Linear):
            part.to(dtype)

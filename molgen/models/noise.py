"""Noise level as a function of time; time runs from 0 (data) to 1 (noise)."""

import math

import torch
from torch import Tensor

COSINE_OFFSET = 0.008


def cosine_alpha_bar(time: Tensor) -> Tensor:
    """Share of the signal left at `time` in [0, 1], any shape, float; 1 at time 0 and 0 at time 1.

    Nichol and Dhariwal 2021, eq. 17, as used by DiGress (Vignac et al. 2023), scaled to be exactly 1 at time 0.
    """
    start = math.cos(0.5 * math.pi * COSINE_OFFSET / (1 + COSINE_OFFSET)) ** 2
    angle = 0.5 * math.pi * (time + COSINE_OFFSET) / (1 + COSINE_OFFSET)
    return (torch.cos(angle) ** 2 / start).clamp(0.0, 1.0)

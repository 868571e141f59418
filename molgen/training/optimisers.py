"""Muon (Jordan et al. 2024) in the number format that the device multiplies fast.

torch.optim.Muon always computes in bfloat16: on a processor without it one step takes longer than the training step
that it belongs to. The state is the same, one `momentum_buffer` for each matrix.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from molgen.device import network_dtype

# of the quintic iteration that takes the singular values of a matrix near 1
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.95
# makes the size of an update that of AdamW (Liu et al. 2025, section 2.2)
RMS = 0.2


class Muon(torch.optim.Optimizer):
    """For matrices: the momentum of the gradient, orthogonalised, with Nesterov's look ahead and weight decay."""

    def __init__(self, params: Iterable[Tensor], lr: float, *, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step along the gradients; matrices of one shape go together."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                buffer = state["momentum_buffer"].lerp_(parameter.grad, 1 - MOMENTUM)
                update = parameter.grad.lerp(buffer, MOMENTUM)
                by_shape.setdefault(parameter.shape, []).append((parameter, update))
            for shape, entries in by_shape.items():
                updates = orthogonalised(torch.stack([update for _, update in entries]))
                rate = group["lr"] * RMS * max(shape) ** 0.5
                for (parameter, _), update in zip(entries, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update, alpha=-rate)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices [k, m, n] with all their singular values taken to between 0.7 and 1.2, roughly; same dtype."""
    x = matrices.to(network_dtype(matrices.device.type))
    wide = x.shape[1] <= x.shape[2]
    x = x if wide else x.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)  # no singular value above 1
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x if wide else x.mT).to(matrices.dtype)

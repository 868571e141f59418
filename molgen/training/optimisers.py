"""The optimisers: Muon (Jordan et al. 2024) for the matrices of a backend, AdamW for all its other weights.

torch.optim.Muon always computes in bfloat16: on a processor without it one step takes longer than the training step
that it belongs to. Here it is the number format that the device multiplies fast. The state is the same, one
`momentum_buffer` for each matrix.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from molgen.device import network_dtype
from molgen.models.base import Backend
from molgen.training.settings import TrainSettings

# of the quintic iteration that takes the singular values of a matrix near 1
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.95
# makes the size of an update that of AdamW (Liu et al. 2025, section 2.2)
RMS = 0.2


class Muon(Optimizer):
    """For matrices: the momentum of the gradient, orthogonalised, with Nesterov's look ahead and weight decay."""

    def __init__(self, params: Iterable[Tensor], lr: float, *, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
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


def optimisers(backend: Backend, settings: TrainSettings) -> list[Optimizer]:
    """AdamW for what is no matrix, then Muon for `backend.matrices()`, if any; each group keeps its rate as "peak"."""
    matrices = backend.matrices()
    chosen = {id(matrix) for matrix in matrices}
    others = [parameter for parameter in backend.parameters() if id(parameter) not in chosen]
    found: list[Optimizer] = [
        AdamW(others, settings.learning_rate, betas=(0.9, 0.99), weight_decay=settings.weight_decay)
    ]
    if matrices:
        found.append(Muon(matrices, settings.matrix_rate, weight_decay=settings.weight_decay))
    for optimiser in found:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return found


def moments(optimisers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """What the optimisers remember, by names "0.3.exp_avg": which optimiser, its which parameter, what."""
    return {
        f"{number}.{position}.{name}": torch.as_tensor(value)
        for number, optimiser in enumerate(optimisers)
        for position, entry in optimiser.state_dict()["state"].items()
        for name, value in entry.items()
    }


def load_moments(optimisers: Sequence[Optimizer], tensors: Mapping[str, Tensor]) -> None:
    """Give the optimisers what `moments` has written."""
    for number, optimiser in enumerate(optimisers):
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            which, position, name = key.split(".", 2)
            if int(which) == number:
                state.setdefault(int(position), {})[name] = tensor
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})

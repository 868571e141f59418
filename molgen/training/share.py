"""A training in several processes: which part of every batch this one works on, and how it talks to the others.

Each batch is dealt to ranks: row i belongs to rank i modulo their number, and what is random in step k follows from
(seed, k, rank). So the training is the same, whichever processes do the ranks, but for the order of additions.

All processes run the same code and call the methods that talk in the same order; whoever ends early ends the others.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from molgen.errors import MolgenError, TrainingError
from molgen.training.launch import launch

PATIENCE = timedelta(days=2)  # with a first process that prepares data or measures; a dead one is noticed at once
FAULTS = (MolgenError, OSError)  # that a process tells the others; any other error is a crash

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """The ranks of this process, of `size` in all, which `processes` do; local: its number on its machine.

    The default is the whole training, in a process that torchrun has not started. The process with rank 0 leads: it
    measures, writes and prints, and its clock is everyone's.
    """

    ranks: tuple[int, ...] = (0,)
    size: int = 1
    processes: int = 1
    local: int | None = None

    @property
    def leads(self) -> bool:
        """Whether this is the first process, or the only one."""
        return 0 in self.ranks

    @property
    def talks(self) -> bool:
        """Whether there are other processes."""
        return self.processes > 1

    def dealt(self, size: int) -> "Share":
        """The share of this process in a training of `size` ranks. Raises TrainingError for more processes."""
        if size < self.processes:
            raise TrainingError(
                f"this training was started in {size} process{'es' * (size > 1)}: it goes on in as many or in fewer, "
                f"got {self.processes}"
            )
        return replace(self, ranks=tuple(range(self.ranks[0], size, self.processes)), size=size)

    def told(self, value: T) -> T:
        """The value that the first process has."""
        if not self.talks:
            return value
        values = [value]
        with _reached():
            dist.broadcast_object_list(values, 0)
        return values[0]

    def once(self, make: Callable[[], T]) -> T:
        """What `make` gives in the first process, told to all; where it fails there, all fail alike."""
        if not self.talks:
            return make()
        given: T | Exception | None = None
        if self.leads:
            try:
                given = make()
            except FAULTS as error:
                given = error
        given = self.told(given)
        if isinstance(given, Exception):
            raise given
        return cast(T, given)

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """A block that all processes run, without talking in it; where it fails in one, it fails in all."""
        error: Exception | None = None
        try:
            yield
        except FAULTS as caught:
            error = caught
        self._settle(error)

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """A block as in `agreed` that the first process runs alone; then the others, which find what it has made."""
        if not self.leads:
            self._settle(None)
        error: Exception | None = None
        try:
            yield
        except FAULTS as caught:
            error = caught
        if self.leads:
            self._settle(error)
        self._settle(error)

    def check_same(self, value: object) -> None:
        """Raises TrainingError in all processes where one has another value than the first: options, or data."""
        values = self._gathered(value)
        for number, other in enumerate(values):
            if other != values[0]:
                raise TrainingError(f"process {number} of {self.processes} has other options or data than process 0")

    def spread(self, tensors: Iterable[Tensor]) -> None:
        """Give tensors the values that they have in the first process: other processors draw other weights."""
        if self.talks:
            with _reached():
                for tensor in tensors:
                    dist.broadcast(tensor, 0)

    def add(self, parameters: Iterable[nn.Parameter], loss: Tensor) -> Tensor:
        """Add up the gradients of all processes, in place, and a loss, which is returned.

        A parameter that has no gradient in any process keeps none, so that no optimiser touches it.
        """
        if not self.talks:
            return loss
        parameters = list(parameters)
        used = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.uint8)
        with _reached():
            dist.all_reduce(used, dist.ReduceOp.MAX)
        trained = [parameter for parameter, has in zip(parameters, used.tolist(), strict=True) if has]
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [cast(Tensor, parameter.grad) for parameter in trained]
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), loss.reshape(1)])
        with _reached():
            dist.all_reduce(flat)
        parts = torch.split(flat[:-1], [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return flat[-1]

    def _settle(self, error: Exception | None) -> None:
        """Raise the error that one of the processes has, in all."""
        errors = self._gathered(error)
        if errors[0] is not None:
            raise errors[0]
        for number, found in enumerate(errors):
            if found is not None:
                raise TrainingError(f"in process {number} of {self.processes}: {found}")

    def _gathered(self, value: T) -> list[T]:
        if not self.talks:
            return [value]
        values: list[T] = [value] * self.processes
        with _reached():
            dist.all_gather_object(values, value)
        return values


ALONE = Share()


def step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of what is random in a step, for the rows of a rank."""
    first = seed * 1_000_003 + step
    return first if rank == 0 else int(np.random.SeedSequence([first, rank]).generate_state(1, np.uint64)[0])


@contextmanager
def joined() -> Iterator[Share]:
    """The share of this process, in a new training; where torchrun has started others, they can talk in the block.

    Raises TrainingError where they do not find each other.
    """
    found = launch()
    if found is None or found.processes == 1:
        yield Share(local=found.local if found else None)
        return
    ours = not dist.is_initialized()
    if ours:
        with _reached():
            # words and clocks go through gloo, gradients on GPUs through nccl
            gpus = torch.cuda.is_available() and dist.is_nccl_available()
            dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=PATIENCE)
    try:
        yield Share((found.number,), found.processes, found.processes, found.local)
    finally:
        if ours:
            dist.destroy_process_group()


@contextmanager
def _reached() -> Iterator[None]:
    """Talk to the others. Raises TrainingError where one is gone."""
    try:
        yield
    except RuntimeError as error:  # of torch: a connection that was closed
        reason = next(iter(str(error).splitlines()), "")
        raise TrainingError(
            f"another process of this training has ended or cannot be reached, so this one ends ({reason}); "
            "what was saved is still good: resume it"
        ) from error

"""Communication of the workers that train one model together: means of their gradients and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn


class Communicator(Protocol):
    """The place of this process among the workers of one training, and what it exchanges with them."""

    @property
    def rank(self) -> int:
        """Number of this worker, from 0; worker 0 writes files and reports."""
        ...

    @property
    def world_size(self) -> int:
        """Number of workers."""
        ...

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its mean over all workers; one that no worker has stays None."""
        ...

    def average_figures(self, figures: Mapping[str, float]) -> dict[str, float]:
        """The mean of each figure over the workers that have it."""
        ...


class SingleWorker:
    """The communicator of a training with one worker: means over one are the values themselves."""

    rank, world_size = 0, 1

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Nothing to do."""

    def average_figures(self, figures: Mapping[str, float]) -> dict[str, float]:
        """The figures themselves."""
        return dict(figures)


class ProcessGroup:
    """The default process group of torch.distributed (gloo or nccl), which whoever starts the processes sets up."""

    def __init__(self) -> None:
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """See Communicator."""
        # One vector of all gradients: one exchange instead of hundreds, for the memory of one more copy
        reached = self._reached(parameters)
        if not reached:
            return
        flat = torch.cat([_gradient(p).flatten() for p in reached])
        dist.all_reduce(flat)
        flat /= self.world_size

        # Back into the parameters; one without a gradient of its own gets the mean of the others
        begin = 0
        for parameter in reached:
            mean = flat[begin : begin + parameter.numel()]
            parameter.grad = mean.view_as(parameter).clone()
            begin += parameter.numel()

    def average_figures(self, figures: Mapping[str, float]) -> dict[str, float]:
        """See Communicator. Workers may have different figures: each is the mean over those that have it."""
        gathered: list[Any] = [None] * self.world_size
        dist.all_gather_object(gathered, dict(figures))
        names = dict.fromkeys(name for one in gathered for name in one)
        found = {name: [one[name] for one in gathered if name in one] for name in names}
        return {name: sum(values) / len(values) for name, values in found.items()}

    def _reached(self, parameters: Sequence[nn.Parameter]) -> list[nn.Parameter]:
        """The parameters that any worker has a gradient of; that depends on the prompts that its rows drew."""
        if not parameters:
            return []
        flags = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
        dist.all_reduce(flags)
        return [p for p, flag in zip(parameters, flags.tolist(), strict=True) if flag > 0]


def _gradient(parameter: nn.Parameter) -> Tensor:
    """The gradient of a parameter, zeros where this worker has none."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad

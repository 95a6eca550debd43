"""How the processes that train one model together agree: the mean of their gradients and of their figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn


class Communicator(Protocol):
    """This process among those that train together; worker `rank` of `world_size`."""

    @property
    def rank(self) -> int:
        """From 0; worker 0 writes files and reports."""
        ...

    @property
    def world_size(self) -> int:
        """How many workers there are."""
        ...

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its mean over all workers; one that no worker has stays None."""
        ...

    def average_figures(self, figures: Mapping[str, float]) -> dict[str, float]:
        """The mean of each figure over the workers that have it."""
        ...


class SingleWorker:
    """The only worker."""

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
        """See Communicator. All gradients travel as one vector, so memory for one more copy of them is needed."""
        reached = self._reached(parameters)
        if not reached:
            return
        flat = torch.cat([_gradient(p).flatten() for p in reached])
        dist.all_reduce(flat)
        flat /= self.world_size

        begin = 0
        for parameter in reached:
            mean = flat[begin : begin + parameter.numel()]
            parameter.grad = mean.view_as(parameter).clone()
            begin += parameter.numel()

    def average_figures(self, figures: Mapping[str, float]) -> dict[str, float]:
        """See Communicator."""
        gathered: list[Any] = [None] * self.world_size
        dist.all_gather_object(gathered, dict(figures))
        names = dict.fromkeys(name for one in gathered for name in one)
        found = {name: [one[name] for one in gathered if name in one] for name in names}
        return {name: sum(values) / len(values) for name, values in found.items()}

    def _reached(self, parameters: Sequence[nn.Parameter]) -> list[nn.Parameter]:
        """Those that some worker has a gradient of: which, depends on the prompts that its rows drew."""
        if not parameters:
            return []
        flags = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
        dist.all_reduce(flags)
        return [p for p, flag in zip(parameters, flags.tolist(), strict=True) if flag > 0]


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad

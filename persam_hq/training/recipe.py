"""The interface between the training loop and the models: lite is one recipe, Segment Anything another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

BatchT = TypeVar("BatchT")


@dataclass(frozen=True, slots=True)
class Pace:
    """The learning rate of a step, and its age: the steps since what learns in it began to learn."""

    rate: float
    age: int


@dataclass(frozen=True, slots=True, eq=False)
class StepResult:
    """The result of one step: the loss to descend, a scalar, and figures to log (name to value)."""

    loss: Tensor
    figures: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """The result of a validation: a contact sheet (H, W, 3) uint8 RGB and figures to log (name to value)."""

    picture: NDArray[np.uint8]
    figures: dict[str, float]

    def __repr__(self) -> str:
        return f"Validation(picture={self.picture.shape}, figures={self.figures})"


class Settings(Protocol):
    """The part of a configuration that the loop itself reads."""

    @property
    def weight_decay(self) -> float:
        """AdamW's weight decay, in parameter groups without one of their own."""
        ...

    @property
    def gradient_clip(self) -> float:
        """The largest norm of the gradient; a larger one is scaled down to it."""
        ...

    @property
    def ema_decay(self) -> float:
        """Decay of the exponential moving average of the weights, per step."""
        ...

    @property
    def save_every_seconds(self) -> float:
        """Seconds between saves."""
        ...


class Recipe(Protocol[BatchT]):
    """A model, its data and its steps. The batch and the random choices of a step depend on its number alone."""

    @property
    def model(self) -> nn.Module:
        """The model that is trained."""
        ...

    @property
    def steps(self) -> int:
        """Number of optimiser steps of the whole run."""
        ...

    @property
    def epoch_steps(self) -> int | None:
        """Steps from one validation to the next; None where there is no validation."""
        ...

    @property
    def learned(self) -> Sequence[str]:
        """Names in the model's state dict of all that the run may change; only these are averaged and saved."""
        ...

    @property
    def foundation(self) -> str:
        """Digest of all weights that the run never changes, to recognise a saved run by; empty where it changes all."""
        ...

    def start(self) -> None:
        """Load the first weights; called unless a run is resumed."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """AdamW's parameter groups: `params`, and as `factor` their share of the learning rate."""
        ...

    def prepare(self, step: int) -> Pace:
        """Unfreeze what learns in this step, freeze the rest, and return how fast it learns."""
        ...

    def batches(self, *, start: int, stop: int) -> Iterator[tuple[int, BatchT]]:
        """(step, batch) for each step from `start` to `stop` - 1."""
        ...

    def result(self, step: int, batch: BatchT) -> StepResult:
        """Compute the loss of a step, and figures to log."""
        ...

    def validate(self) -> Validation | None:
        """Validate on the same images every time; None for a recipe without validation."""
        ...

    def export(self, averaged: Mapping[str, Tensor], path: Path, *, step: int) -> None:
        """Write weights that the model's own loader reads, whole or not at all; `averaged` replaces what is learned."""
        ...

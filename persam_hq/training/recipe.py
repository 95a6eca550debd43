"""What the training loop asks of a model that it trains; `lite` is one recipe, Segment Anything another."""

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
    """The learning rate of a step, and for how many steps what learns in it has been learning."""

    rate: float
    age: int


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """A contact sheet (H, W, 3) uint8 RGB and figures to log (name to value)."""

    picture: NDArray[np.uint8]
    figures: dict[str, float]

    def __repr__(self) -> str:
        return f"Validation(picture={self.picture.shape}, figures={self.figures})"


class Settings(Protocol):
    """What the loop itself reads of a configuration."""

    @property
    def weight_decay(self) -> float:
        """AdamW's, where a parameter group does not say otherwise."""
        ...

    @property
    def gradient_clip(self) -> float:
        """The largest norm of a gradient."""
        ...

    @property
    def ema_decay(self) -> float:
        """Of the averaged weights."""
        ...

    @property
    def save_every_seconds(self) -> float:
        """Seconds between saves."""
        ...


class Recipe(Protocol[BatchT]):
    """A model, its data and its steps. A step's batch and random choices depend on the number of the step alone."""

    @property
    def model(self) -> nn.Module:
        """What is trained."""
        ...

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        ...

    @property
    def epoch_steps(self) -> int | None:
        """Steps from one validation to the next; None where there is no validation."""
        ...

    @property
    def learned(self) -> Sequence[str]:
        """Names in the model's state dict of all that a run may change; only these are averaged and saved."""
        ...

    @property
    def foundation(self) -> str:
        """A digest of all that a run never changes; empty where there is no such thing."""
        ...

    def start(self) -> None:
        """Load the first weights; called where there is no run to go on with."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """AdamW's groups: `params`, and as `factor` their share of the learning rate."""
        ...

    def prepare(self, step: int) -> Pace:
        """Let learn what learns in this step."""
        ...

    def batches(self, *, start: int, stop: int) -> Iterator[tuple[int, BatchT]]:
        """(step, batch) for each step."""
        ...

    def result(self, step: int, batch: BatchT) -> StepResult:
        """The loss of a step, and figures to log."""
        ...

    def validate(self) -> Validation | None:
        """Look at the same pictures as at any other time; None for a recipe without validation."""
        ...

    def export(self, averaged: Mapping[str, Tensor], path: Path, *, step: int) -> None:
        """Write weights that the model's own loader reads, whole or not at all; `averaged` replaces what is learned."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class StepResult:
    """The loss to descend, a scalar, and figures to log (name to value)."""

    loss: Tensor
    figures: dict[str, float]

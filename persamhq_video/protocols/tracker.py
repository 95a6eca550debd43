"""The tracker as an executor drives it: begin, encode, track."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from persamhq_video.types import Frame, FrameResult

TargetT = TypeVar("TargetT")


StateT = TypeVar("StateT")


FeaturesT = TypeVar("FeaturesT")


@dataclass(frozen=True, slots=True, eq=False)
class Beginning(Generic[TargetT, StateT]):
    """What the first, annotated frame gives: the target for every worker, the first state, the first result."""

    target: TargetT
    state: StateT
    result: FrameResult


class Tracker(Protocol[TargetT, StateT, FeaturesT]):
    """The costly stage and the cheap one, as an executor sees them. Every method is a pure function of its input."""

    chained: bool
    """True if frame t needs the state of frame t-1; False lets frames be tracked in any order."""

    def begin(self, frame: Frame, labels: NDArray[np.uint8]) -> Beginning[TargetT, StateT]:
        """Personalize on the first frame; `labels` (H, W) uint8 holds the object ids."""
        ...

    def encode(self, frame: Frame) -> FeaturesT:
        """The features of one frame; they stay on the worker that made them."""
        ...

    def track(self, target: TargetT, state: StateT, features: FeaturesT) -> tuple[StateT, FrameResult]:
        """One fold step; `state` and the result travel, so both are small and free of device memory."""
        ...

    def feature_bytes(self, features: FeaturesT) -> Mapping[str, int]:
        """Bytes of memory that `features` hold, by kind of tensor."""
        ...

    def counts(self) -> Mapping[str, int]:
        """What was counted since the tracker was built, such as `guided_decoder_calls`; summed over the workers."""
        ...

"""The protocol of trackers as executors drive them: begin on the first frame, then encode and track each one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from persamhq_video.types import Frame, FrameResult

TargetT = TypeVar("TargetT")
"""Computed once from the first frame and sent to every worker."""
StateT = TypeVar("StateT")
"""Travels from frame to frame, from worker to worker; small."""
FeaturesT = TypeVar("FeaturesT")
"""Of one frame; stay on the worker that encoded it."""


@dataclass(frozen=True, slots=True, eq=False)
class Beginning(Generic[TargetT, StateT]):
    """The outcome of the first, annotated frame: the target for every worker, the first state and the first result."""

    target: TargetT
    state: StateT
    result: FrameResult


class Tracker(Protocol[TargetT, StateT, FeaturesT]):
    """The costly stage, `encode`, and the cheap one, `track`. Every method is a pure function of its arguments."""

    chained: bool
    """True if frame t needs the state of frame t-1; False lets frames be tracked in any order."""

    def begin(self, frame: Frame, labels: NDArray[np.uint8]) -> Beginning[TargetT, StateT]:
        """Personalize on the first frame; `labels` (H, W) uint8 holds the object ids."""
        ...

    def encode(self, frame: Frame) -> FeaturesT:
        """The features of one frame; they stay on the worker that made them."""
        ...

    def track(self, target: TargetT, state: StateT, features: FeaturesT) -> tuple[StateT, FrameResult]:
        """One fold step; state and result travel between processes, so both are small and free of device memory."""
        ...

    def feature_bytes(self, features: FeaturesT) -> Mapping[str, int]:
        """Bytes of memory that `features` hold, by kind of tensor."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Counts since the tracker was built, such as `guided_decoder_calls`; they are summed over the workers."""
        ...

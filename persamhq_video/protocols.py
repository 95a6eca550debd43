"""What a strategy is, and what an executor drives: structural types, no behaviour."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from persamhq_video.types import Frame, FrameResult

if TYPE_CHECKING:
    # These need torch, which a worker whose tracker has no use for it does without.
    from persam_hq.types import LocationPrior, MaskPrediction, PromptSet

Box = tuple[float, float, float, float]
Decode = Callable[["Sequence[PromptSet]"], "MaskPrediction"]
"""Run the mask decoder on one prompt set an object, all objects in one batch."""


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """The frame a strategy works on: its index in output order and its size (height, width) in pixels."""

    index: int
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class ObjectView:
    """What a strategy may know of one object from earlier frames.

    `box` (x0, y0, x1, y1) in pixels and `mask_logits` (1, L, L) float32 in the decoder's grid belong to the last
    frame where the object was seen; None in `independent` mode and where there is none. `missing` counts the frames
    since then.
    """

    object_id: int
    box: Box | None
    mask_logits: NDArray[np.float32] | None
    missing: int


class PromptSelector(Protocol):
    """Turns the location prior of one object on one frame into prompts for the mask decoder."""

    needs_history: bool
    """True if it reads the object's earlier results; such a selector is refused in `independent` mode."""

    def __call__(self, prior: LocationPrior, view: ObjectView, frame: FrameInfo) -> PromptSet:
        """Prompts in pixels of the original frame."""
        ...


class MaskRefiner(Protocol):
    """Improves the masks of all objects of one frame; `decode` runs the decoder again on other prompts."""

    def __call__(
        self,
        prediction: MaskPrediction,
        prompts: Sequence[PromptSet],
        decode: Decode,
        image: NDArray[np.uint8],
    ) -> MaskPrediction:
        """`prediction` has one mask an object, in the order of `prompts`; `image` is (H, W, 3) uint8 RGB."""
        ...


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

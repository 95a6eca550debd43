"""Protocols of strategies, prompt selectors and mask refiners, and the values that they are handed on each frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from persamhq_video.types import PresenceState

if TYPE_CHECKING:
    # Not imported at run time, so that sources and sinks, which share this package, load without torch.
    from torch import Tensor

    from persam_hq.types import DecoderOutput, LocationPrior, MaskPrediction, PromptSet

Box = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in pixels of the frame."""

Slot = Any
"""The memory of a strategy for one object from frame to frame: None, numbers, text, arrays and CPU tensors, in tuples,
lists and dicts; at most 64 KB. It travels with the state, so results do not depend on which worker tracks a frame."""


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """The frame a strategy works on: its index in output order and its size (height, width) in pixels."""

    index: int
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class ObjectView:
    """The knowledge of one object from earlier frames that a selector is given.

    `box` (x0, y0, x1, y1) in pixels and `mask_logits` (1, L, L) float32 in the decoder's grid of this frame belong to
    the last frame where the object was seen; None in `independent` mode, where there is none, and for a selector that
    says it needs no history. `missing` counts the frames since then. `slot` is this selector's own memory of the
    object.
    """

    object_id: int
    box: Box | None
    mask_logits: NDArray[np.float32] | None
    missing: int
    slot: Slot = None


class Decode(Protocol):
    """The mask decoder bound to one frame; a call runs it again on one prompt set per object, all in one batch."""

    @property
    def frame(self) -> FrameInfo:
        """The frame."""
        ...

    @property
    def slots(self) -> tuple[Slot, ...]:
        """This refiner's memory, one slot per object."""
        ...

    @property
    def interm_embeddings(self) -> tuple[Tensor, ...]:
        """The encoder's interm embeddings, (1, h, w, C) float each; empty unless kept with `--keep-interm`."""
        ...

    def __call__(self, prompts: Sequence[PromptSet]) -> MaskPrediction:
        """The best of the decoder's masks for each object, by predicted IoU; HQ-corrected where HQ is on."""
        ...

    def hq_only(self, prompts: Sequence[PromptSet]) -> MaskPrediction:
        """The mask of the HQ-Output token alone (SAM-HQ, section 3.2)."""
        ...

    def unselected(self, prompts: Sequence[PromptSet]) -> DecoderOutput:
        """All masks and scores of the decoder, B = K objects."""
        ...

    def show(self, logits: Tensor, *, scores: Tensor) -> MaskPrediction:
        """Masks at image size from logits (K, 1, L, L) on the decoder's grid, or a finer one, and scores (K,)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class FirstFrame:
    """The annotated frame, for a strategy that fits something to it.

    `object_ids` are the objects, in the order of everything else here and of the slots that are returned. `image` is
    (H, W, 3) uint8 RGB, `masks` (K, H, W) bool; `priors` and `prompts` hold one per object, as on any other frame
    (`prompts` is empty where a selector is fitted: it has not chosen any yet).
    """

    frame: FrameInfo
    object_ids: tuple[int, ...]
    image: NDArray[np.uint8]
    masks: Tensor
    priors: tuple[LocationPrior, ...]
    prompts: tuple[PromptSet, ...]
    decode: Decode


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The result for one object on a frame: its final mask (H, W) bool, its state and score, and the location prior."""

    frame: FrameInfo
    object_id: int
    state: PresenceState
    score: float
    mask: Tensor
    prior: LocationPrior


class PromptSelector(Protocol):
    """Turns the location prior of one object on one frame into prompts for the mask decoder.

    `needs_history` is True if it reads the object's earlier results; such a selector is refused in `independent` mode.
    With False it is given none. A selector may also be a `Fits` and a `Remembers`.
    """

    needs_history: bool

    def __call__(self, prior: LocationPrior, view: ObjectView, frame: FrameInfo) -> PromptSet:
        """Prompts in pixels of the original frame."""
        ...


class MaskRefiner(Protocol):
    """Improves the masks of all objects of one frame; `decode` runs the decoder again on other prompts.

    It may also be a `Fits` and a `Remembers`. One with `needs_hq = True` is refused where HQ is off, one with
    `needs_interm = True` without `--keep-interm` (a selector may say so too).
    """

    def __call__(
        self,
        prediction: MaskPrediction,
        prompts: Sequence[PromptSet],
        decode: Decode,
        image: NDArray[np.uint8],
    ) -> MaskPrediction:
        """`prediction` has one mask per object, in the order of `prompts`; `image` is (H, W, 3) uint8 RGB."""
        ...


@runtime_checkable
class Fits(Protocol):
    """A strategy that learns something from the annotated frame."""

    def fit(self, first: FirstFrame) -> Sequence[Slot]:
        """The slot of each object; called once per video."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A strategy that keeps something from frame to frame; refused in `independent` mode."""

    def remember(self, slot: Slot, seen: Seen) -> Slot:
        """The slot after a frame, called for each object on every later frame; at first None, or the one from `fit`."""
        ...

"""The interface between a video tracker and a model: encode once, look for all objects in one batch, remember little.

A segmenter has values of its own for what the first frame says of the objects (the reference), for what one frame
leaves for the next (the memory), and for what it decodes a frame from (the context); the tracker hands them on
unread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from persam_hq.types import DecoderOutput, ImageFeatures, LocationPrior, MaskPrediction, PromptSet

__all__ = ["AnySegmenter", "Choice", "Decoded", "Locate", "Located", "Look", "Memory", "Segmenter"]

Choice = Literal["single", "best", "largest", "hq"]
"""The decoder's single mask; of its three the one with the highest predicted IoU, or the one with most pixels; or the
mask of the HQ-Output token alone."""


class Memory(Protocol):
    """The part of a memory of K objects that any tracker reads; it travels between frames, small and on the CPU."""

    @property
    def boxes(self) -> Tensor:
        """The last boxes (K, 4) float32, inclusive, in pixels of the original image."""
        ...

    @property
    def missing(self) -> Tensor:
        """Frames since each object was last seen, (K,) int64."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        ...


ReferenceT = TypeVar("ReferenceT")
ContextT = TypeVar("ContextT")
MemoryT = TypeVar("MemoryT", bound=Memory)


@dataclass(frozen=True, slots=True, eq=False)
class Located(Generic[ContextT, MemoryT]):
    """K objects looked for on one frame: a location prior each, and what the segmenter decodes from.

    windows: (K, 4) float32, what the decoder sees of the frame, in pixels of the encoder's input. memory: what the
    frames before left, after it was seen whether there was a cut; None without a chain of frames.
    """

    priors: tuple[LocationPrior, ...]
    features: ImageFeatures
    windows: Tensor
    context: ContextT
    memory: MemoryT | None = None

    def __repr__(self) -> str:
        return f"Located(objects={len(self.priors)})"


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """One mask per object: a MaskPrediction with N = K, and the probability (K,) that each object is there at all.

    certainty: (K,) in [0, 1], how far the mask can be trusted if the object is there, as an estimate of its IoU.
    similarity: (K,) cosine similarity of the target to the features under the mask, 0 for an empty mask.
    """

    prediction: MaskPrediction
    presence: Tensor
    certainty: Tensor
    similarity: Tensor

    def __repr__(self) -> str:
        return f"Decoded(objects={len(self.presence)})"


class Look(Protocol):
    """The verdict on one look at a frame: the masks, and which of the objects are there."""

    @property
    def decoded(self) -> Decoded:
        """The masks after all refinement."""
        ...

    @property
    def present(self) -> Tensor:
        """Which objects are there, (K,) bool."""
        ...


LookT = TypeVar("LookT", bound=Look)

Locate: TypeAlias = Callable[[ReferenceT, ImageFeatures, MemoryT | None], Located[ContextT, MemoryT]]
"""A function in place of `Segmenter.locate`, such as one that shares what it computes."""


class Segmenter(Protocol[ReferenceT, ContextT, MemoryT]):
    """A model behind plain values. Every method is a pure function of its arguments, and of those handed to it."""

    model: Any
    """The module itself; segmenters of the same model and weights may hold one between them."""

    def encode(self, image: NDArray[np.uint8]) -> ImageFeatures:
        """The features of an image (H, W, 3) uint8 RGB."""
        ...

    def personalize(self, features: ImageFeatures, masks: Tensor) -> ReferenceT:
        """The reference of K objects from their masks (K, H, W) bool on the first frame."""
        ...

    def begin(self, features: ImageFeatures, masks: Tensor) -> MemoryT:
        """The memory that the first frame leaves, from the same masks."""
        ...

    def look(
        self,
        reference: ReferenceT,
        features: ImageFeatures,
        memory: MemoryT | None,
        judge: Callable[[Located[ContextT, MemoryT]], LookT],
        *,
        locate: Locate[ReferenceT, MemoryT, ContextT] | None = None,
    ) -> LookT:
        """Look for all objects on a frame, as often as this model has to, and return the last look.

        `judge` selects prompts, decodes, refines and decides on presence; `locate` stands in for the method.
        """
        ...

    def locate(
        self, reference: ReferenceT, features: ImageFeatures, memory: MemoryT | None
    ) -> Located[ContextT, MemoryT]:
        """Look for all objects once, where `memory` says they are; without a memory by similarity alone."""
        ...

    def aim(
        self, reference: ReferenceT, located: Located[ContextT, MemoryT], prompts: Sequence[PromptSet]
    ) -> tuple[Located[ContextT, MemoryT], Sequence[PromptSet]]:
        """What a strategy's prompts make of where the objects were located, and the prompts as they lie there.

        Both as they are for a model that looks at whole frames; a model with windows looks where the prompts say.
        """
        ...

    def decode(
        self, located: Located[ContextT, MemoryT], prompts: Sequence[PromptSet], *, guided: bool, choice: Choice
    ) -> Decoded:
        """Decode all objects, in batches of equal prompts; one mask of each is chosen."""
        ...

    def outputs(
        self, located: Located[ContextT, MemoryT], prompts: Sequence[PromptSet], *, guided: bool
    ) -> DecoderOutput:
        """Decode all objects, nothing selected."""
        ...

    def show(self, located: Located[ContextT, MemoryT], logits: Tensor, *, scores: Tensor, presence: Tensor) -> Decoded:
        """Masks of the image from logits (K, 1, L, L) on the decoder's grid or a finer one; scores, presence (K,)."""
        ...

    def remembered_logits(self, located: Located[ContextT, MemoryT]) -> Tensor:
        """The logits in `located.memory` as they lie in its windows: (K, 1, L, L) float32, on the CPU."""
        ...

    def remember(self, located: Located[ContextT, MemoryT], decoded: Decoded, present: Tensor) -> MemoryT:
        """The memory after this frame; objects not `present` (K,) bool keep what was known of them."""
        ...


AnySegmenter: TypeAlias = Segmenter[Any, Any, Any]
"""A segmenter whose own values are handed on unread."""

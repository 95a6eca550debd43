"""What a video tracker needs of a model: encode once, locate and decode all objects in one batch, remember little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from persam_hq.segmenter.lite.appearance import Appearance
from persam_hq.types import DecoderOutput, ImageFeatures, LocationPrior, MaskPrediction, PromptSet

Choice = Literal["single", "best", "largest", "hq"]
"""The decoder's single mask; of its three the one with the highest predicted IoU, or the one with most pixels; or the
mask of the HQ-Output token alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What travels from frame to frame of K objects; small, on the CPU, in few bits where it is large.

    boxes: (K, 4) float32 x0, y0, x1, y1 in pixels of the original image; logits: (K, 1, L, L) in each object's window,
    float16 or as the segmenter packs them; windows: (K, 4) float32 in pixels of the encoder's input; keys: (K, C, g, g)
    int8 through the same windows (see `direction_bytes`), or None where the model matches nothing; missing: (K,) int64,
    frames since the object was last seen; velocity: (K, 2) float32, pixels a frame the box's middle moves; appearance:
    what was learnt after the first frame, or None where the model learns nothing.
    """

    boxes: Tensor
    logits: Tensor
    windows: Tensor
    keys: Tensor | None
    missing: Tensor
    velocity: Tensor
    appearance: Appearance | None = None

    def to(self, device: torch.device | str) -> Memory:
        """The same on a device."""
        return Memory(
            boxes=self.boxes.to(device),
            logits=self.logits.to(device),
            windows=self.windows.to(device),
            keys=None if self.keys is None else self.keys.to(device),
            missing=self.missing.to(device),
            velocity=self.velocity.to(device),
            appearance=None if self.appearance is None else self.appearance.to(device),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        tensors = [self.boxes, self.logits, self.windows, self.missing, self.velocity]
        tensors += [] if self.keys is None else [self.keys]
        learnt = 0 if self.appearance is None else self.appearance.nbytes
        return learnt + sum(t.numel() * t.element_size() for t in tensors)

    def __repr__(self) -> str:
        return f"Memory(objects={len(self.boxes)}, bytes={self.nbytes})"


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """K objects looked for on one frame: a location prior each, and what the segmenter decodes from (its own)."""

    priors: tuple[LocationPrior, ...]
    features: ImageFeatures
    windows: Tensor
    context: Any

    def __repr__(self) -> str:
        return f"Located(objects={len(self.priors)})"


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """One mask an object: a MaskPrediction with N = K, and the probability (K,) that the object is there at all.

    certainty: (K,) in [0, 1], how far the mask can be trusted if the object is there, as an estimate of its IoU.
    similarity: (K,) cosine similarity of the target to the features under the mask, 0 for an empty mask.
    """

    prediction: MaskPrediction
    presence: Tensor
    certainty: Tensor
    similarity: Tensor

    def __repr__(self) -> str:
        return f"Decoded(objects={len(self.presence)})"


class Segmenter(Protocol):
    """A model behind plain values. Every method is a pure function of its arguments."""

    model: Any
    """The module itself; segmenters of the same model and weights may hold one between them."""

    def encode(self, image: NDArray[np.uint8]) -> ImageFeatures:
        """The features of an image (H, W, 3) uint8 RGB."""
        ...

    def personalize(self, features: ImageFeatures, masks: Tensor) -> Any:
        """What is to be found: the reference of K objects from their masks (K, H, W) bool on the first frame."""
        ...

    def begin(self, features: ImageFeatures, masks: Tensor) -> Memory:
        """The memory that the first frame leaves."""
        ...

    def locate(self, reference: Any, features: ImageFeatures, memory: Memory | None) -> Located:
        """Look for all objects on a frame; without a memory by similarity alone."""
        ...

    def decode(self, located: Located, prompts: Sequence[PromptSet], *, guided: bool, choice: Choice) -> Decoded:
        """Decode all objects, in batches of equal prompts; one mask of each is chosen."""
        ...

    def outputs(self, located: Located, prompts: Sequence[PromptSet], *, guided: bool) -> DecoderOutput:
        """Decode all objects, nothing selected."""
        ...

    def show(self, located: Located, logits: Tensor, *, scores: Tensor, presence: Tensor) -> Decoded:
        """Masks of the image from logits (K, 1, L, L) on the decoder's grid or a finer one; scores, presence (K,)."""
        ...

    def carried(self, located: Located, memory: Memory) -> Tensor:
        """The remembered logits (K, 1, L, L) float32 as they lie on this frame's decoder grids; on the CPU."""
        ...

    def after_cut(self, features: ImageFeatures, memory: Memory) -> Memory:
        """`memory`, with objects counted as missing where nothing around them is as it was on the last frame."""
        ...

    def recentred(self, located: Located, decoded: Decoded, memory: Memory, present: Tensor) -> Memory | None:
        """Where a mask of a `present` (K,) object reaches the edge of its window: the memory to locate with once more.

        It is `memory`, with the boxes of those masks; None where no window cuts anything off.
        """
        ...

    def remember(self, located: Located, decoded: Decoded, memory: Memory | None, present: Tensor) -> Memory:
        """The memory after this frame; objects not `present` (K,) bool keep what was known of them."""
        ...

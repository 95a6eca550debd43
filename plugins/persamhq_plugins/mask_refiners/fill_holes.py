"""The mask refiner `fill_holes`: small holes in a mask are filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from persam_hq.types import MaskPrediction, PromptSet
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import Decode, MaskRefiner

_SURE: Final = 1e-3
"""The least logit of a filled pixel: at 0 it would be background."""

Largest = Annotated[
    float, Field(ge=0, le=1, description="a hole is filled if it has at most this share of the object's pixels")
]


class FillHoles:
    """Fill the small holes of each mask: background that the object surrounds, away from the image's border."""

    def __init__(self, *, largest: Largest = 0.005) -> None:
        self.largest = largest

    def __call__(
        self,
        prediction: MaskPrediction,
        prompts: Sequence[PromptSet],
        decode: Decode,
        image: NDArray[np.uint8],
    ) -> MaskPrediction:
        """See MaskRefiner."""
        del prompts, decode, image
        holes = torch.from_numpy(np.stack([self._holes(mask) for mask in prediction.masks.cpu().numpy()]))
        holes = holes.to(prediction.masks.device)

        # Logits and masks have to agree, so those of filled pixels become positive
        filled = prediction.logits.abs().clamp(min=_SURE)
        return replace(
            prediction,
            masks=prediction.masks | holes,
            logits=torch.where(holes, filled, prediction.logits),
        )

    def _holes(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The pixels (H, W) to fill in a mask (H, W)."""
        # Background is connected at sides only, as foreground is at corners too: an outline closes its inside
        height, width = mask.shape
        count, parts, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)

        # Holes do not touch the border of the image; part 0 is the mask itself
        left, top, across, down, area = stats.T
        inside = (left > 0) & (top > 0) & (left + across < width) & (top + down < height)
        small = area <= self.largest * int(mask.sum())
        return np.isin(parts, np.flatnonzero(inside & small & (np.arange(count) > 0)))


@hookimpl
def persamhq_register_mask_refiners(register: Register[MaskRefiner]) -> None:
    """Register `fill_holes`."""
    register.add("fill_holes", FillHoles)

"""The mask refiner `drop_specks`: small parts of a mask far from its largest part are removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from persam_hq.types import MaskPrediction, PromptSet
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import Decode, MaskRefiner

Share = Annotated[
    float, Field(ge=0, le=1, description="a part goes only if it has fewer pixels than this share of the largest part")
]
Reach = Annotated[
    float, Field(ge=0, description="a part goes only if it is farther away than this many longer sides of the largest")
]


class DropSpecks:
    """Remove small parts of a mask that lie far from its largest part; ears and hands nearby stay.

    A part goes if it has less than `min_share` of the largest part's pixels and lies farther from it than `reach`
    times the longer side of the largest part's box.
    """

    def __init__(self, *, min_share: Share = 0.05, reach: Reach = 0.15) -> None:
        self.min_share, self.reach = min_share, reach

    def __call__(
        self,
        prediction: MaskPrediction,
        prompts: Sequence[PromptSet],
        decode: Decode,
        image: NDArray[np.uint8],
    ) -> MaskPrediction:
        """See MaskRefiner."""
        del prompts, decode, image
        specks = torch.from_numpy(np.stack([self._specks(mask) for mask in prediction.masks.cpu().numpy()]))
        specks = specks.to(prediction.masks.device)

        # Logits and masks have to agree, so those of removed pixels become negative
        return replace(
            prediction,
            masks=prediction.masks & ~specks,
            logits=torch.where(specks, -prediction.logits.abs(), prediction.logits),
        )

    def _specks(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The pixels (H, W) to remove from a mask (H, W)."""
        count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        if count <= 2:  # the background and at most one part
            return np.zeros_like(mask)

        # Parts are numbered from 1, and 0 is the background
        areas = stats[1:, cv2.CC_STAT_AREA]
        largest = 1 + int(areas.argmax())
        distance = cv2.distanceTransform((parts != largest).astype(np.uint8), cv2.DIST_L2, 3)
        longer_side = max(stats[largest, cv2.CC_STAT_WIDTH], stats[largest, cv2.CC_STAT_HEIGHT])

        # A part goes if it is both small and far, by its nearest pixel
        small = np.flatnonzero(areas < self.min_share * areas.max()) + 1
        far = [part for part in small if distance[parts == part].min() > self.reach * longer_side]
        return np.isin(parts, far)


@hookimpl
def persamhq_register_mask_refiners(register: Register[MaskRefiner]) -> None:
    """Register `drop_specks`."""
    register.add("drop_specks", DropSpecks)

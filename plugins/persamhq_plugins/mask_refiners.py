"""The built-in mask refiners: cascaded post-refinement, and a broom for specks far from the object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from persam_hq.personalization import mask_box
from persam_hq.types import MaskPrediction, PromptSet
from persamhq_video.plugin import hookimpl
from persamhq_video.plugin.register import Register
from persamhq_video.protocols import Decode, MaskRefiner


class Cascade:
    """The mask as prompt, then mask and box (PerSAM, cascaded post-refinement)."""

    def __call__(
        self,
        prediction: MaskPrediction,
        prompts: Sequence[PromptSet],
        decode: Decode,
        image: NDArray[np.uint8],
    ) -> MaskPrediction:
        """See MaskRefiner."""
        del image
        second = decode([_with_mask(p, prediction, row) for row, p in enumerate(prompts)])
        boxes = [mask_box(mask) for mask in second.masks]
        return decode([replace(_with_mask(p, second, row), box=boxes[row]) for row, p in enumerate(prompts)])


class DropSpecks:
    """Remove small parts of a mask that lie far from its largest part; ears and hands nearby stay.

    A part goes if it has less than `min_share` of the largest part's pixels and lies farther from it than `reach`
    times the longer side of the largest part's box.
    """

    def __init__(self, *, min_share: float = 0.05, reach: float = 0.15) -> None:
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
        areas = stats[1:, cv2.CC_STAT_AREA]
        largest = 1 + int(areas.argmax())
        distance = cv2.distanceTransform((parts != largest).astype(np.uint8), cv2.DIST_L2, 3)
        longer_side = max(stats[largest, cv2.CC_STAT_WIDTH], stats[largest, cv2.CC_STAT_HEIGHT])
        small = np.flatnonzero(areas < self.min_share * areas.max()) + 1
        far = [part for part in small if distance[parts == part].min() > self.reach * longer_side]
        return np.isin(parts, far)


def _with_mask(prompt: PromptSet, prediction: MaskPrediction, row: int) -> PromptSet:
    """The points alone with an earlier mask; the box comes from that mask, not from the selector."""
    return replace(prompt, mask_input=prediction.low_res_logits[row : row + 1], box=None)


@hookimpl
def persamhq_register_mask_refiners(register: Register[MaskRefiner]) -> None:
    """Offer the built-in refiners."""
    register.add("cascade", Cascade)
    register.add("drop_specks", DropSpecks)

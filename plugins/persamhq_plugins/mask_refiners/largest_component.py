"""The mask refiner `largest_component`: only the largest connected part of a mask is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from persam_hq.types import MaskPrediction, PromptSet
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import Decode, MaskRefiner


class LargestComponent:
    """Keep the largest connected part of each mask and nothing else; of equal ones the uppermost."""

    def __call__(
        self,
        prediction: MaskPrediction,
        prompts: Sequence[PromptSet],
        decode: Decode,
        image: NDArray[np.uint8],
    ) -> MaskPrediction:
        """See MaskRefiner."""
        del prompts, decode, image
        masks = torch.from_numpy(np.stack([_largest_part(mask) for mask in prediction.masks.cpu().numpy()]))
        masks = masks.to(prediction.masks.device)

        # Logits and masks have to agree, so those of removed pixels become negative
        rest = prediction.masks & ~masks
        return replace(prediction, masks=masks, logits=torch.where(rest, -prediction.logits.abs(), prediction.logits))


def _largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest part of a mask (H, W), pixels at corners being connected; an empty one stays empty."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:  # the background and at most one part
        return mask
    return np.asarray(parts == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))


@hookimpl
def persamhq_register_mask_refiners(register: Register[MaskRefiner]) -> None:
    """Register `largest_component`."""
    register.add("largest_component", LargestComponent)

"""Which of the decoder's masks lite keeps: the one that agrees with the prior, and HQ's detail along its border."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from persam_hq.types import DecoderOutput

__all__ = [
    "agreement",
    "grown",
    "hq_detail",
    "likeness",
    "mask_by_agreement",
    "near_the_border",
    "touching",
]

_SINGLE_BONUS = 0.1
"""Mask 0 is trained for what the prior says; another one has to agree better by this much."""
_REACH = 6
"""Cells of SAM's mask on either side of its border in which the HQ mask has a say."""
_BLOCK = 16
"""Cells of the HQ mask over whose mean its detail is told."""
_GAIN = 2.0
"""Times the detail counts."""

_ALIKE, _ALIKE_WIDTH = 0.63, 0.02
"""Mean of the best similarities under a mask at which it may or may not be the object, and how sharply that turns."""


def agreement(masks: Tensor, expected: Tensor) -> Tensor:
    """Soft IoU (B, N) of mask logits (B, N, L, L) with expected shares (B, L, L) in [0, 1]."""
    probability, expected = torch.sigmoid(masks), expected[:, None]
    both = torch.minimum(probability, expected).sum(dim=(2, 3))
    return both / torch.maximum(probability, expected).sum(dim=(2, 3)).clamp(min=1)


def mask_by_agreement(output: DecoderOutput, expected: Tensor) -> Tensor:
    """Index (B,) of the mask with the highest sum of predicted IoU and agreement with `expected` (B, L, L)."""
    score = output.iou_predictions.clamp(0, 1) + agreement(output.masks, expected)
    score[:, 0] += _SINGLE_BONUS
    return score.argmax(dim=1)


def likeness(masks: Tensor, prior: Tensor) -> Tensor:
    """Probability (B,) that what masks (B, 1, L, L) cover is the object, by its best similarity to what is known of it.

    `prior` (B, 12, 2g, 2g), see DenseLocationPrior; 1 where it knows nothing of the first frame.
    """
    inside = (F.interpolate(masks, size=prior.shape[-2:], mode="area")[:, 0] > 0).float()
    similarity = (prior[:, 1] * inside).sum(dim=(1, 2)) / inside.sum(dim=(1, 2)).clamp(min=1)
    probability = torch.sigmoid((similarity - _ALIKE) / _ALIKE_WIDTH)
    return torch.where(prior[:, 5].amax(dim=(1, 2)) > 0, probability, 1.0)


def hq_detail(masks: Tensor, hq_masks: Tensor) -> Tensor:
    """What HQ adds to SAM's masks (B, 1, L, L), from the HQ mask (B, 1, sL, sL): (B, 1, sL, sL) logits.

    How large an object is, SAM's mask knows better, so the mean of the HQ mask around each cell is left out; what
    remains is detail, along the border alone.
    """
    _, _, height, width = hq_masks.shape
    mean = F.adaptive_avg_pool2d(hq_masks, (height // _BLOCK, width // _BLOCK))
    mean = F.interpolate(mean, size=(height, width), mode="bilinear", align_corners=False)
    return near_the_border(masks, _GAIN * (hq_masks - mean))


def near_the_border(masks: Tensor, hq_masks: Tensor, *, reach: int = _REACH) -> Tensor:
    """The HQ mask (B, 1, sL, sL), zero but within `reach` cells of the borders of SAM's masks (B, 1, L, L).

    Away from the border the two have to agree, so what SAM's mask says stands: HQ draws it finer and makes no other
    mask of it.
    """
    inside = masks > 0
    border = (grown(inside, reach) & grown(~inside, reach)).to(hq_masks.dtype)
    return hq_masks * F.interpolate(border, size=hq_masks.shape[-2:], mode="nearest")


def grown(masks: Tensor, reach: int = _REACH) -> Tensor:
    """Masks (B, 1, L, L) bool, as far wider as HQ has a say."""
    return F.max_pool2d(masks.float(), 2 * reach + 1, stride=1, padding=reach) > 0


def touching(masks: Tensor, others: Tensor) -> Tensor:
    """The connected parts of masks (K, H, W) bool that have a pixel in common with `others` (K, H, W) bool."""
    pairs = zip(masks.cpu().numpy(), others.cpu().numpy(), strict=True)
    return torch.from_numpy(np.stack([_touching(mask, other) for mask, other in pairs])).to(masks.device)


def _touching(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.bool_]:
    count, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    touched = np.bincount(parts[mask & other], minlength=count) > 0
    kept: NDArray[np.bool_] = touched[parts]
    return kept

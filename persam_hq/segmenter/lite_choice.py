"""Which of the decoder's masks lite keeps: the one that agrees with the prior, and HQ along its border."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from persam_hq.modeling.mask_decoder import corrected_masks
from persam_hq.types import DecoderOutput

__all__ = ["agreement", "grown", "hq_along_the_border", "hq_near_the_border", "mask_by_agreement", "touching"]

_SINGLE_BONUS = 0.1
"""Mask 0 is trained for what the prior says; another one has to agree better by this much."""
_REACH = 3
"""Cells of SAM's mask on either side of its border in which the HQ mask has a say."""


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


def hq_along_the_border(masks: Tensor, hq_masks: Tensor) -> Tensor:
    """SAM's masks (B, 1, L, L) with the HQ correction near their borders, (B, 1, sL, sL)."""
    return corrected_masks(masks, hq_near_the_border(masks, hq_masks))


def hq_near_the_border(masks: Tensor, hq_masks: Tensor) -> Tensor:
    """The HQ mask (B, 1, sL, sL), zero but near the borders of SAM's masks (B, 1, L, L).

    Away from the border the two have to agree, so what SAM's mask says stands: HQ draws it finer and makes no other
    mask of it.
    """
    inside = masks > 0
    border = (grown(inside) & grown(~inside)).to(hq_masks.dtype)
    return hq_masks * F.interpolate(border, size=hq_masks.shape[-2:], mode="nearest")


def grown(masks: Tensor) -> Tensor:
    """Masks (B, 1, L, L) bool, as far wider as HQ has a say."""
    return F.max_pool2d(masks.float(), 2 * _REACH + 1, stride=1, padding=_REACH) > 0


def touching(masks: Tensor, others: Tensor) -> Tensor:
    """The connected parts of masks (K, H, W) bool that have a pixel in common with `others` (K, H, W) bool."""
    pairs = zip(masks.cpu().numpy(), others.cpu().numpy(), strict=True)
    return torch.from_numpy(np.stack([_touching(mask, other) for mask, other in pairs])).to(masks.device)


def _touching(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.bool_]:
    count, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    touched = np.bincount(parts[mask & other], minlength=count) > 0
    kept: NDArray[np.bool_] = touched[parts]
    return kept

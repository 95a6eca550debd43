"""Selection among the decoder's masks in lite: the one that agrees with the prior, HQ's detail, likeness to the object.

Plain functions of tensors; `mask_head` wires them, and the training of lite uses the border of HQ's correction.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from persam_hq.modeling.lite.location_prior import PriorChannel
from persam_hq.segmenter.lite.config import SMALLEST_SHARE, LiteConfig
from persam_hq.types import DecoderOutput

__all__ = [
    "agreement",
    "along_the_border",
    "connected_to",
    "dilate",
    "held_by",
    "hq_detail",
    "likeness",
    "mask_by_agreement",
    "mask_by_points",
]


def agreement(masks: Tensor, expected: Tensor) -> Tensor:
    """Soft IoU (B, N) of mask logits (B, N, L, L) with expected shares (B, L, L) in [0, 1]."""
    probability, expected = torch.sigmoid(masks), expected[:, None]
    both = torch.minimum(probability, expected).sum(dim=(2, 3))
    return both / torch.maximum(probability, expected).sum(dim=(2, 3)).clamp(min=1)


def mask_by_agreement(output: DecoderOutput, prior: Tensor, config: LiteConfig) -> Tensor:
    """Index (B,) of the mask with the highest sum of predicted IoU and agreement with the prior (B, 12, 2g, 2g)."""
    # What matching to the first frame expects, on the decoder's grid
    read_out = prior[:, PriorChannel.FIRST_READ_OUT, None]
    expected = F.interpolate((read_out + 1) / 2, size=output.masks.shape[-2:], mode="bilinear")[:, 0]

    score = output.iou_predictions.clamp(0, 1) + agreement(output.masks, expected)
    score[:, 0] += config.single_bonus
    return score.argmax(dim=1)


def mask_by_points(output: DecoderOutput, pointed: Tensor, config: LiteConfig) -> Tensor:
    """Index (B,) of the mask with the highest predicted IoU among those that hold the positive points.

    `pointed` (B, 1, L, L) is positive at the points; without any, all masks hold them.
    """
    # A point that a mask leaves out costs more than any predicted IoU
    inside = ((output.masks > 0) * pointed).sum(dim=(2, 3)) / pointed.sum(dim=(2, 3)).clamp(min=SMALLEST_SHARE)
    score = output.iou_predictions.clamp(0, 1) + 2 * inside
    score[:, 0] += config.single_bonus
    return score.argmax(dim=1)


def held_by(pointed: Tensor, logits: Tensor, config: LiteConfig) -> Tensor:
    """Mask logits (B, 1, L, L) without the parts that hold no positive point; those points alone where no part does.

    `pointed` (B, 1, L, L) is above a half at the points; a row without any keeps its mask.
    """
    points = pointed[:, 0] > config.prompt_covered
    held = connected_to(logits[:, 0] > 0, points)
    # Without one, the mask is of something that nobody pointed at
    found, asked = (flags.flatten(1).any(dim=1)[:, None, None] for flags in (held, points))
    small = torch.where(points, config.first_logit_peak, -config.first_logit_peak)
    kept = torch.where(held, logits[:, 0], logits[:, 0].clamp(max=-config.first_logit_peak))
    return torch.where(asked, torch.where(found, kept, small), logits[:, 0])[:, None]


def likeness(masks: Tensor, prior: Tensor, config: LiteConfig) -> Tensor:
    """Probability (B,) that what masks (B, 1, L, L) cover is the object, by its best similarity to what is known of it.

    `prior` (B, 12, 2g, 2g), see DenseLocationPrior; 1 where it knows nothing of the first frame.
    """
    # The mean over the cells under the mask, in the prior's grid
    inside = (F.interpolate(masks, size=prior.shape[-2:], mode="area")[:, 0] > 0).float()
    alike = (prior[:, PriorChannel.FIRST_FOREGROUND] * inside).sum(dim=(1, 2)) / inside.sum(dim=(1, 2)).clamp(min=1)
    probability = torch.sigmoid((alike - config.alike) / config.alike_width)
    return torch.where(prior[:, PriorChannel.FIRST_KNOWN].amax(dim=(1, 2)) > 0, probability, 1.0)


def hq_detail(masks: Tensor, hq_masks: Tensor, config: LiteConfig) -> Tensor:
    """The correction of SAM's masks (B, 1, L, L) by the HQ mask (B, 1, sL, sL): (B, 1, sL, sL) logits.

    How large an object is, SAM's mask knows better, so the mean of the HQ mask around each cell is left out; what
    remains is detail, along the border alone.
    """
    # Block means, interpolated so that no edge of a block shows
    _, _, height, width = hq_masks.shape
    mean = F.adaptive_avg_pool2d(hq_masks, (height // config.hq_block, width // config.hq_block))
    mean = F.interpolate(mean, size=(height, width), mode="bilinear", align_corners=False)
    return along_the_border(masks, config.hq_gain * (hq_masks - mean), reach=config.hq_reach)


def along_the_border(masks: Tensor, hq_masks: Tensor, *, reach: int) -> Tensor:
    """The HQ mask (B, 1, sL, sL), zero but within `reach` cells of the borders of SAM's masks (B, 1, L, L).

    Away from the border the two have to agree, so what SAM's mask says stands: HQ draws it finer and makes no other
    mask of it.
    """
    inside = masks > 0
    border = (dilate(inside, reach) & dilate(~inside, reach)).to(hq_masks.dtype)
    return hq_masks * F.interpolate(border, size=hq_masks.shape[-2:], mode="nearest")


def dilate(masks: Tensor, reach: int) -> Tensor:
    """Masks (B, 1, L, L) bool, `reach` cells wider on every side."""
    return F.max_pool2d(masks.float(), 2 * reach + 1, stride=1, padding=reach) > 0


def connected_to(masks: Tensor, others: Tensor) -> Tensor:
    """The connected parts of masks (K, H, W) bool that have a pixel in common with `others` (K, H, W) bool."""
    # By OpenCV, one object at a time: torch has no connected components
    pairs = zip(masks.cpu().numpy(), others.cpu().numpy(), strict=True)
    return torch.from_numpy(np.stack([_connected_to(mask, other) for mask, other in pairs])).to(masks.device)


def _connected_to(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.bool_]:
    # OpenCV's default: pixels that meet at a corner are connected too
    count, parts = cv2.connectedComponents(mask.astype(np.uint8))
    touched = np.bincount(parts[mask & other], minlength=count) > 0
    kept: NDArray[np.bool_] = touched[parts]
    return kept

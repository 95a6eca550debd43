"""Which of the decoder's masks lite keeps: the one that agrees with the prior, HQ where it agrees with SAM's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.modeling.mask_decoder import corrected_masks
from persam_hq.types import DecoderOutput

__all__ = ["agreement", "hq_where_it_agrees", "mask_by_agreement"]

_SINGLE_BONUS = 0.1
"""Mask 0 is trained for what the prior says; another one has to agree better by this much."""
_ALIKE = 0.8
"""IoU from which the corrected mask counts as the same mask."""


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


def hq_where_it_agrees(masks: Tensor, hq_masks: Tensor) -> Tensor:
    """SAM's masks (B, 1, L, L) with the HQ correction where that leaves the mask what it is: (B, 1, sL, sL)."""
    corrected = corrected_masks(masks, hq_masks)
    plain = F.interpolate(masks, size=corrected.shape[-2:], mode="bilinear", align_corners=False)
    both = ((plain > 0) & (corrected > 0)).sum(dim=(1, 2, 3))
    either = ((plain > 0) | (corrected > 0)).sum(dim=(1, 2, 3))
    alike = both >= _ALIKE * either
    return torch.where(alike[:, None, None, None], corrected, plain)

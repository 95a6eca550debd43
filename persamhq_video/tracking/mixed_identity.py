"""Doubt about which object is which: two objects whose own masks claim the same pixels."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

__all__ = ["distinctness"]

_MIXED_FROM: Final = 0.6
"""IoU of two objects' masks from which they are taken for one region. Where equal objects crossed, each mask had both
of them from then on (0.68 on the first such frame, then 1.00); where different ones did, 0.47 was the most."""
_SAMPLE_STEP: Final = 4
"""Rows and columns are counted in steps of so many pixels; a sixteenth of the pixels tells shares of large masks."""
_SMALL_AREA: Final = 4096
"""Pixels; with a smaller mask among them all pixels are counted."""


def distinctness(masks: Tensor, present: Tensor) -> Tensor:
    """How far each object has its mask (K, H, W) bool for itself: (K,) in [0, 1], 1 minus its IoU with another's.

    Only IoUs of `_MIXED_FROM` and more count: less is the common overlap of neighbours. Each pixel of a label map goes
    to one object, so objects of one region divide it between them, as good as by chance. Objects that are not
    `present` (K,) bool claim nothing.
    """
    k, _, _ = masks.shape
    alone = torch.ones(k)
    if k == 1:
        return alone

    # Areas, and what two masks have in common, as one product; counts are exact in float32
    step = 1 if int(masks.flatten(1).sum(dim=1).min()) < _SMALL_AREA else _SAMPLE_STEP
    claimed = (masks[:, ::step, ::step] & present.to(masks.device)[:, None, None]).flatten(1).float()
    common = claimed @ claimed.T
    area = common.diagonal()
    iou = common / (area[:, None] + area[None] - common).clamp(min=1)

    # The other object that is most alike; an object is not compared with itself
    most, _ = iou.fill_diagonal_(0).max(dim=1)
    return torch.where(most.cpu() >= _MIXED_FROM, 1 - most.cpu(), alone)

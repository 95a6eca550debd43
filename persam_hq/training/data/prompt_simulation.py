"""Simulated prompts for training, from the true mask: points inside or outside, jittered boxes, rough masks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.training.data.rng import StepRng

BOX_JITTER = 0.06
"""How far each edge of a box moves at most, as a part of the box. Chosen; SAM (appendix A) has a deviation of 10 %."""


def random_points(mask: Tensor, number: int, rng: StepRng, *, inside: bool = True) -> Tensor:
    """Pixels (B, number, 2) as (x, y): in masks (B, S, S), off their border where there is room, or outside of them."""
    # Weight of each pixel. People click well inside, so 2 pixels along the border count only where there is no core
    _, _, width = mask.shape
    weights = mask if inside else 1 - mask
    if inside:
        core = -F.max_pool2d(-weights[:, None], 5, stride=1, padding=2)[:, 0]
        weights = torch.where(core.flatten(1).sum(1)[:, None, None] > 5, core, weights)

    # A little everywhere, so that an empty mask has points too
    chosen = rng.cells(weights.flatten(1) + 1e-6, number)
    return torch.stack([chosen % width, chosen // width], dim=-1).float()


def jitter_boxes(boxes: Tensor, rng: StepRng) -> Tensor:
    """Boxes (B, 4), each edge moved by up to BOX_JITTER of the box."""
    extent = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    return boxes + rng.uniform(-BOX_JITTER, BOX_JITTER, 4) * extent


def noisy_mask(truth: Tensor, rng: StepRng) -> Tensor:
    """A mask (B, 1, L, L) of 0 and 1 whose border wanders about the true one, as in a rough drawing."""
    # The threshold of a blurred mask varies smoothly over the image
    noise = F.interpolate(rng.uniform(-1, 1, 1, 12, 12), size=truth.shape[-2:], mode="bilinear")
    soft = F.avg_pool2d(truth, 7, stride=1, padding=3)
    return (soft + 0.5 * noise > 0.5).float()

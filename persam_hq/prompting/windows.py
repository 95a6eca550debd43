"""Windows of the passes: around a prompt for the first one, around the masks so far for the refining ones.

All windows are (B, 4) float x0, y0, x1, y1 in pixels of the encoder's input, inside the image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from persam_hq.mask_boxes import outer_box
from persam_hq.modeling.lite.window import window_around
from persam_hq.prompting.policy import PromptPolicy
from persam_hq.prompting.prompt_map import PromptMap
from persam_hq.types import ImageGeometry


def first_windows(prompt: PromptMap, geometry: ImageGeometry, policy: PromptPolicy) -> Tensor:
    """One window around a box or a mask; around points several of different size, and the whole image: (B, 4)."""
    height, width = geometry.input
    # A box, or a mask that has one, says how large the object is
    if prompt.box is not None:
        return _around(prompt.box[None], geometry, factor=policy.box_factor, min_side=policy.min_side)
    if prompt.mask is not None:
        box = outer_box(prompt.mask[0, 0, :height, :width] > 0.5)
        if box is not None:
            return _around(box[None], geometry, factor=policy.box_factor, min_side=policy.min_side)
    points = prompt.foreground
    whole = points.new_tensor([[0.0, 0.0, width, height]])
    if not len(points):
        return whole

    # Points do not. Sides shorter than the image; the longest that fits is as long as its shorter side
    box = torch.cat([points.amin(dim=0), points.amax(dim=0)])[None]
    longest = float(min(height, width))
    least = policy.point_factor * float((box[:, 2:] - box[:, :2]).max())
    sides = sorted({min(max(side, least), longest) for side in (*policy.point_sides, longest)})
    around = [_around(box, geometry, factor=0.0, min_side=side) for side in sides]
    # In a square image the longest of these is the whole image already
    return torch.cat(around if height == width else [*around, whole])


def closer_windows(masks: Tensor, windows: Tensor, geometry: ImageGeometry, policy: PromptPolicy) -> Tensor:
    """Windows (B, 4) around masks (B, L, L) bool seen through `windows` (B, 4); an empty mask keeps its window."""
    _, _, side = masks.shape
    closer = []
    for mask, window in zip(masks, windows, strict=True):
        box = outer_box(mask)
        if box is None:
            closer.append(window[None])
            continue
        # From cells of the window to input pixels
        unit = (window[2:] - window[:2]).repeat(2) / side
        placed = window[:2].repeat(2) + box * unit
        closer.append(_around(placed[None], geometry, factor=policy.closer_factor, min_side=policy.min_side))
    return torch.cat(closer)


def _around(boxes: Tensor, geometry: ImageGeometry, *, factor: float, min_side: float) -> Tensor:
    height, width = geometry.input
    return window_around(boxes, factor=factor, min_side=min_side, bounds=(float(height), float(width)))

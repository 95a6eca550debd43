"""Boxes of masks, and windows that miss them as a tracker's windows do."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from persam_hq.modeling.window import window_around
from persam_hq.training.chances import Chances

SMALLEST_SIDE = 96.0
"""Pixels: no window is drawn smaller, unless its aspect asks for it."""


def outer_boxes(masks: Tensor) -> Tensor:
    """Boxes (B, 4) of masks (B, H, W) > 0.5: outer edges, in their own pixels; an empty mask gives the whole grid."""
    _, h, w = masks.shape
    inside = masks > 0.5
    columns, rows = inside.any(dim=1), inside.any(dim=2)

    def ends(flags: Tensor, size: int) -> tuple[Tensor, Tensor]:
        index = torch.arange(size, device=flags.device)
        first = torch.where(flags, index, size).amin(dim=1)
        last = torch.where(flags, index + 1, 0).amax(dim=1)
        empty = ~flags.any(dim=1)
        return first.masked_fill(empty, 0), last.masked_fill(empty, size)

    (x0, x1), (y0, y1) = ends(columns, w), ends(rows, h)
    return torch.stack([x0, y0, x1, y1], dim=1).float()


def jittered_windows(boxes: Tensor, chances: Chances, *, side: int, low: float = 1.3, high: float = 2.3) -> Tensor:
    """Windows (B, 4) around boxes (B, 4) in a crop of `side` pixels: `low` to `high` times the box, a little beside it.

    Two fifths of them are not square, and those may reach over the crop's border.
    """
    factor = torch.exp(chances.uniform(np.log(low), np.log(high)))
    length = factor * (boxes[:, 2:] - boxes[:, :2]).amax(dim=1)
    shift = chances.uniform(-0.08, 0.08, 2) * length[:, None]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + shift
    aspect = torch.exp(chances.uniform(-0.25, 0.25) * chances.each(0.4))
    half = torch.stack([length * aspect, length / aspect], dim=1) / 2
    grown = torch.cat([centre - half, centre + half], dim=1)

    bounds = (float(side), float(side))
    square = window_around(grown, factor=1.0, min_side=SMALLEST_SIDE, bounds=bounds)
    return torch.where((aspect == 1)[:, None], square, _cut(grown, side))


def window_area(windows: Tensor) -> Tensor:
    """Pixels (B,) of windows (B, 4)."""
    return (windows[:, 2] - windows[:, 0]) * (windows[:, 3] - windows[:, 1])


def _cut(windows: Tensor, side: int) -> Tensor:
    """Windows cut to the crop, at least 64 pixels wide and high all the same."""
    cut = windows.clamp(0, side)
    middle = (cut[:, :2] + cut[:, 2:]) / 2
    half = ((cut[:, 2:] - cut[:, :2]) / 2).clamp(min=32)
    return torch.cat([middle - half, middle + half], dim=1)

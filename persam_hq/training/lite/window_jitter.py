"""Jittered windows of training clips, which miss the objects as a tracker's windows do."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from persam_hq.modeling.lite.window import window_around
from persam_hq.segmenter.lite.config import LiteConfig
from persam_hq.training.data.rng import StepRng

SMALLEST_SIDE: Final = LiteConfig().min_side
"""Pixels: no window is drawn smaller, as in tracking, unless its aspect asks for it."""


def jittered_windows(boxes: Tensor, chances: StepRng, *, side: int, low: float = 1.3, high: float = 2.3) -> Tensor:
    """Windows (B, 4) around boxes (B, 4) in a crop of `side` pixels: `low` to `high` times the box, a little beside it.

    Two fifths of them are not square, and those may reach over the crop's border.
    """
    # A size and a place that miss the box a little; numbers are chosen
    factor = torch.exp(chances.uniform(np.log(low), np.log(high)))
    length = factor * (boxes[:, 2:] - boxes[:, :2]).amax(dim=1)
    shift = chances.uniform(-0.08, 0.08, 2) * length[:, None]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + shift

    # Some are stretched by up to a quarter (in the logarithm), width against height
    aspect = torch.exp(chances.uniform(-0.25, 0.25) * chances.each(0.4))
    half = torch.stack([length * aspect, length / aspect], dim=1) / 2
    windows = torch.cat([centre - half, centre + half], dim=1)

    # Square ones are pushed inside the crop, as in tracking; the others are cut to it
    bounds = (float(side), float(side))
    square = window_around(windows, factor=1.0, min_side=SMALLEST_SIDE, bounds=bounds)
    return torch.where((aspect == 1)[:, None], square, _cut(windows, side))


def window_area(windows: Tensor) -> Tensor:
    """Pixels (B,) of windows (B, 4)."""
    return (windows[:, 2] - windows[:, 0]) * (windows[:, 3] - windows[:, 1])


def _cut(windows: Tensor, side: int) -> Tensor:
    """Windows cut to the crop, at least 64 pixels wide and high (twice the half below) all the same."""
    cut = windows.clamp(0, side)
    middle = (cut[:, :2] + cut[:, 2:]) / 2
    half = ((cut[:, 2:] - cut[:, :2]) / 2).clamp(min=32)
    return torch.cat([middle - half, middle + half], dim=1)

"""Prompts drawn as soft masks in windows; lite's dense prior takes them where a tracker would give the last mask."""

from __future__ import annotations

import torch
from torch import Tensor

from persam_hq.modeling.lite.window import cell_positions


def box_shapes(boxes: Tensor, windows: Tensor, *, grid: int) -> Tensor:
    """Boxes (B, 4) of input pixels, filled: the share (B, 1, grid, grid) of each cell of `windows` (B, 4)."""
    # The overlap of the box with each cell, one axis at a time
    index = torch.arange(grid, device=boxes.device, dtype=boxes.dtype)

    def axis(low: Tensor, high: Tensor, start: Tensor, stop: Tensor) -> Tensor:
        unit = (stop - start) / grid
        first, last = ((edge - start) / unit for edge in (low, high))
        return (torch.minimum(last[:, None], index + 1) - torch.maximum(first[:, None], index)).clamp(0, 1)

    columns = axis(boxes[:, 0], boxes[:, 2], windows[:, 0], windows[:, 2])
    rows = axis(boxes[:, 1], boxes[:, 3], windows[:, 1], windows[:, 3])
    return rows[:, None, :, None] * columns[:, None, None, :]


def point_shapes(points: Tensor, labels: Tensor, windows: Tensor, *, grid: int, radius: float) -> Tensor:
    """Points (B, N, 2) of input pixels as disks (B, 1, grid, grid) in [0, 1], of `radius` window sides.

    `windows` (B, 4); `labels` (B, N): a disk of 1 is in the shape, one of 0 is cut out of it.
    """
    b, _, _ = points.shape
    side = (windows[:, 2:] - windows[:, :2]).amax(dim=1)[:, None, None]
    cells = cell_positions(windows, grid=grid)
    distance = (cells[:, :, None] - points[:, None]).square().sum(dim=-1).sqrt()
    # A disk's border falls off over one cell, so that its area changes smoothly with its radius
    covered = ((radius * side - distance) * grid / side + 0.5).clamp(0, 1)
    inside = (covered * (labels == 1)[:, None]).amax(dim=-1)
    outside = (covered * (labels == 0)[:, None]).amax(dim=-1)
    return (inside * (1 - outside)).reshape(b, 1, grid, grid)

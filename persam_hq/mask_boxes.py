"""Boxes of masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch import Tensor


def mask_box(mask: Tensor) -> Tensor | None:
    """x0, y0, x1, y1 of the first and the last foreground column and row of (H, W) bool: (4,) float; None if empty."""
    columns, rows = torch.nonzero(mask.any(dim=0))[:, 0], torch.nonzero(mask.any(dim=1))[:, 0]
    if not len(columns):
        return None
    return torch.stack([columns[0], rows[0], columns[-1], rows[-1]]).float()


def mask_boxes(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (K, 4) float, first and last foreground column and row, of masks (K, H, W) bool; and which are empty."""
    columns, rows = masks.any(dim=1), masks.any(dim=2)

    def ends(flags: Tensor) -> tuple[Tensor, Tensor]:
        size = flags.shape[1]
        first = flags.to(torch.uint8).argmax(dim=1)
        last = size - 1 - flags.flip(1).to(torch.uint8).argmax(dim=1)
        return first, last

    (x0, x1), (y0, y1) = ends(columns), ends(rows)
    return torch.stack([x0, y0, x1, y1], dim=1).float(), ~columns.any(dim=1)


def _extent(mask: Tensor) -> Tensor | None:
    """Outer edges (4,) float of a mask (H, W) bool; None if it is empty."""
    columns, rows = torch.nonzero(mask.any(dim=0))[:, 0], torch.nonzero(mask.any(dim=1))[:, 0]
    if not len(columns):
        return None
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()


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

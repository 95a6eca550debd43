"""Bounding boxes of masks, in the two conventions that the rest of the package names by these functions.

Boxes are (x0, y0, x1, y1) in pixels of the mask's own grid. They differ in what x1 and y1 mean:

- *inclusive*: the first and the last foreground column and row, so one pixel at (3, 5) has the box (3, 5, 3, 5). That
  is SAM's and PerSAM's convention for box prompts, and what scores.csv reports.
- *outer*: the outer edges of those pixels, so the same pixel has the box (3, 5, 4, 6). Windows and crops are cut around
  outer boxes, whose sides are the object's width and height.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = [
    "inclusive_box",
    "inclusive_box_of_array",
    "inclusive_boxes",
    "outer_box",
    "outer_box_of_array",
    "outer_boxes",
]


def inclusive_box(mask: Tensor) -> Tensor | None:
    """First and last foreground column and row of a mask (H, W) bool: (4,) float; None where it is empty."""
    # Columns and rows with a foreground pixel, in rising order
    columns, rows = torch.nonzero(mask.any(dim=0))[:, 0], torch.nonzero(mask.any(dim=1))[:, 0]
    if not len(columns):
        return None
    return torch.stack([columns[0], rows[0], columns[-1], rows[-1]]).float()


def outer_box(mask: Tensor) -> Tensor | None:
    """Outer edges of the foreground of a mask (H, W) bool: (4,) float; None where it is empty."""
    box = inclusive_box(mask)
    return None if box is None else _to_outer(box)


def inclusive_boxes(masks: Tensor) -> tuple[Tensor, Tensor]:
    """First and last foreground columns and rows of masks (K, H, W) bool, without a loop over them.

    Returns boxes (K, 4) float and which masks are empty, (K,) bool. The box of an empty mask covers the whole grid.
    """
    columns, rows = masks.any(dim=1), masks.any(dim=2)  # (K, W) and (K, H)

    def ends(flags: Tensor) -> tuple[Tensor, Tensor]:
        # argmax gives the first True, or 0 where there is none; it is not defined for bool
        size = flags.shape[1]
        first = flags.to(torch.uint8).argmax(dim=1)
        last = size - 1 - flags.flip(1).to(torch.uint8).argmax(dim=1)
        return first, last

    (x0, x1), (y0, y1) = ends(columns), ends(rows)
    return torch.stack([x0, y0, x1, y1], dim=1).float(), ~columns.any(dim=1)


def outer_boxes(masks: Tensor) -> Tensor:
    """Outer edges of masks (K, H, W), bool or above 0.5: (K, 4) float; those of the whole grid where one is empty."""
    boxes, _ = inclusive_boxes(masks > 0.5)
    return _to_outer(boxes)


def inclusive_box_of_array(mask: NDArray[Any]) -> tuple[int, int, int, int] | None:
    """First and last non-zero column and row of an array (H, W); None where it has none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def outer_box_of_array(mask: NDArray[Any]) -> tuple[int, int, int, int] | None:
    """Outer edges of the non-zero pixels of an array (H, W); None where it has none."""
    box = inclusive_box_of_array(mask)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    return x0, y0, x1 + 1, y1 + 1


def _to_outer(boxes: Tensor) -> Tensor:
    """Inclusive boxes (..., 4) as outer ones."""
    return boxes + boxes.new_tensor([0, 0, 1, 1])

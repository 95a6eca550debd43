"""Boxes, crops and point grids of the automatic mask generator, and the filters on them."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from persam_hq.mask_boxes import inclusive_boxes
from persam_hq.types import Size

__all__ = [
    "Box",
    "crop_boxes",
    "mask_boxes",
    "near_crop_edge",
    "non_maximum_suppression",
    "point_grid",
    "remove_small_regions",
    "uncropped",
]

Box: TypeAlias = tuple[int, int, int, int]
"""x0, y0, x1, y1."""
EDGE_TOLERANCE = 20.0
"""Pixels that a box may be away from its crop's edge and still count as cut off by it."""


def point_grid(per_side: int) -> NDArray[np.float64]:
    """(per_side^2, 2) points (x, y) in the middle of equal cells of the unit square, row by row."""
    middles = (np.arange(per_side) + 0.5) / per_side
    x, y = np.meshgrid(middles, middles)
    return np.stack([x, y], axis=-1).reshape(-1, 2)


def crop_boxes(size: Size, *, layers: int, overlap_ratio: float) -> list[tuple[Box, int]]:
    """The whole image of `size` (H, W) as layer 0, and 2^i by 2^i overlapping crops in layer i, each with its layer."""
    height, width = size
    boxes = [((0, 0, width, height), 0)]
    for layer in range(1, layers + 1):
        number = 2**layer
        overlap = int(overlap_ratio * min(height, width) * (2 / number))
        crop_w, crop_h = (math.ceil((overlap * (number - 1) + side) / number) for side in (width, height))
        lefts, tops = ([(side - overlap) * index for index in range(number)] for side in (crop_w, crop_h))
        boxes += [
            ((left, top, min(left + crop_w, width), min(top + crop_h, height)), layer) for left in lefts for top in tops
        ]
    return boxes


def mask_boxes(masks: Tensor) -> Tensor:
    """First and last foreground column and row of (B, H, W) bool: (B, 4) int64, zeros where a mask is empty."""
    boxes, empty = inclusive_boxes(masks)
    return boxes.long() * ~empty[:, None]


def near_crop_edge(boxes: Tensor, crop: Box, size: Size, *, tolerance: float = EDGE_TOLERANCE) -> Tensor:
    """Which boxes (B, 4), in pixels of their crop, the crop cuts off, at an edge that is not the image's own: (B,)."""
    height, width = size
    x0, y0, _, _ = crop
    placed = boxes.float() + boxes.new_tensor([x0, y0, x0, y0])
    at_crop, at_image = (
        (placed - placed.new_tensor(edges)).abs() <= tolerance for edges in (crop, (0, 0, width, height))
    )
    return (at_crop & ~at_image).any(dim=1)


def uncropped(masks: Tensor, crop: Box, size: Size) -> Tensor:
    """Masks (B, h, w) of a crop in the image of `size`: (B, H, W)."""
    (x0, y0, x1, y1), (height, width) = crop, size
    return F.pad(masks, (x0, width - x1, y0, height - y1))


def non_maximum_suppression(boxes: Tensor, scores: Tensor, *, threshold: float) -> Tensor:
    """Indices of boxes (B, 4), best score first, that overlap none of the better ones kept by an IoU above `threshold`.

    Boxes without area overlap nothing. Among equal scores the first one is better.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    boxes = boxes.float()[order]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    alive = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    for index in range(len(boxes)):
        if not alive[index]:
            continue
        later = boxes[index + 1 :]
        sides = torch.minimum(boxes[index, 2:], later[:, 2:]) - torch.maximum(boxes[index, :2], later[:, :2])
        both = sides.clamp(min=0).prod(dim=1)
        alive[index + 1 :] &= ~(both / (areas[index] + areas[index + 1 :] - both) > threshold)
    return order[alive]


def remove_small_regions(
    mask: NDArray[np.bool_], area: float, *, kind: Literal["holes", "islands"]
) -> tuple[NDArray[np.bool_], bool]:
    """(H, W) bool without holes, or islands, of fewer than `area` pixels, and whether there were any.

    Pixels that touch at a corner belong together. Where all islands are small the largest one stays.
    """
    searched = (mask if kind == "islands" else ~mask).astype(np.uint8)
    _, regions, stats, _ = cv2.connectedComponentsWithStats(searched, connectivity=8)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    small = np.flatnonzero(sizes < area) + 1
    if not len(small):
        return mask, False
    if kind == "holes":
        return mask | np.isin(regions, small), True
    kept = np.flatnonzero(sizes >= area) + 1
    return np.isin(regions, kept if len(kept) else [int(sizes.argmax()) + 1]), True

"""Where lite's segmenter looks: windows around the boxes of masks, in pixels of the encoder's input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from persam_hq.mask_boxes import inclusive_boxes
from persam_hq.modeling.lite.window import edges_touched, window_around
from persam_hq.segmenter.base import Memory
from persam_hq.transforms import boxes_to_input
from persam_hq.types import ImageGeometry

_EDGE = 2
"""Cells of a mask at a window's edge in which it is taken to go on beyond."""


@dataclass(frozen=True, slots=True)
class WindowPolicy:
    """How windows lie around objects: times the box's longer side, at least so many input pixels."""

    reference_factor: float = 1.1
    track_factor: float = 1.5
    min_side: float = 96.0

    def around(self, boxes: Tensor, geometry: ImageGeometry, *, factor: float) -> Tensor:
        """Windows (K, 4) around boxes (K, 4) of input pixels, inside the image."""
        height, width = geometry.input
        return window_around(boxes, factor=factor, min_side=self.min_side, bounds=(float(height), float(width)))


def whole_windows(geometry: ImageGeometry, k: int, *, device: torch.device | str = "cpu") -> Tensor:
    """K windows (K, 4) over all of the image."""
    height, width = geometry.input
    return torch.tensor([0.0, 0.0, width, height], device=device).repeat(k, 1)


def outer_edges(boxes: Tensor) -> Tensor:
    """Inclusive pixel boxes (K, 4) to the outer edges of their pixels."""
    return boxes + boxes.new_tensor([0, 0, 1, 1])


def shifted(boxes: Tensor, velocity: Tensor) -> Tensor:
    """Boxes (K, 4) a frame later, moving by `velocity` (K, 2), at most by half their longer side."""
    limit = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1, keepdim=True) / 2
    return boxes + torch.minimum(torch.maximum(velocity, -limit), limit).repeat(1, 2)


def cut_off(masks: Tensor, windows: Tensor, geometry: ImageGeometry) -> Tensor:
    """Which masks (K, L, L) bool reach an edge of their windows (K, 4) that is not one of the image: (K,) bool."""
    return edges_touched(masks, windows, bounds=geometry.input, cells=_EDGE).amax(dim=1) > 0


def followed(memory: Memory, boxes: Tensor, present: Tensor) -> Tensor:
    """Velocities (K, 2), pixels a frame, after boxes (K, 4) were found: a running mean, 0 after a loss.

    An object that is not `present` (K,) bool, or comes back, moves nobody knows how.
    """
    moved = ((boxes - memory.boxes)[:, :2] + (boxes - memory.boxes)[:, 2:]) / 2
    known = (present & (memory.missing == 0))[:, None]
    return torch.where(known, 0.5 * memory.velocity + 0.5 * moved, torch.zeros_like(moved))


def input_boxes(masks: Tensor, geometry: ImageGeometry) -> Tensor:
    """The boxes (K, 4) of masks (K, H, W) bool of the original image: outer edges in input pixels."""
    boxes, _ = inclusive_boxes(masks)
    return boxes_to_input(outer_edges(boxes), geometry)


def input_shares(masks: Tensor, geometry: ImageGeometry) -> Tensor:
    """Masks (K, H, W) bool to shares (K, 1, H', W') in [0, 1] over the padded input, area-averaged."""
    height, width = geometry.input
    share = F.interpolate(masks[:, None].float(), size=(height, width), mode="area")
    return F.pad(share, (0, geometry.padded[1] - width, 0, geometry.padded[0] - height))

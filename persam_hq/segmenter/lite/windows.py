"""Windows of lite's tracker: the squares around each object that the decoder sees, in pixels of the encoder's input.

Boxes of masks are inclusive in the memory, as they are reported and prompted with; windows are cut around outer edges.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from persam_hq.mask_boxes import inclusive_boxes
from persam_hq.modeling.lite.window import edges_touched, window_around
from persam_hq.segmenter.lite.config import LiteConfig
from persam_hq.transforms import boxes_to_input
from persam_hq.types import ImageGeometry

__all__ = [
    "input_boxes",
    "input_shares",
    "moved_boxes",
    "outer_edges",
    "reference_windows",
    "touches_window_edge",
    "tracking_windows",
    "updated_velocity",
    "whole_windows",
]


def reference_windows(boxes: Tensor, geometry: ImageGeometry, config: LiteConfig) -> Tensor:
    """The windows (K, 4) in which the first frame is remembered, around boxes (K, 4) of input pixels."""
    return _windows_around(boxes, geometry, factor=config.reference_factor, config=config)


def tracking_windows(boxes: Tensor, geometry: ImageGeometry, config: LiteConfig) -> Tensor:
    """The windows (K, 4) in which objects are tracked, around boxes (K, 4) of input pixels."""
    return _windows_around(boxes, geometry, factor=config.track_factor, config=config)


def _windows_around(boxes: Tensor, geometry: ImageGeometry, *, factor: float, config: LiteConfig) -> Tensor:
    height, width = geometry.input
    return window_around(boxes, factor=factor, min_side=config.min_side, bounds=(float(height), float(width)))


def whole_windows(geometry: ImageGeometry, k: int, *, device: torch.device | str = "cpu") -> Tensor:
    """K windows (K, 4) over all of the image."""
    height, width = geometry.input
    return torch.tensor([0.0, 0.0, width, height], device=device).repeat(k, 1)


def outer_edges(boxes: Tensor) -> Tensor:
    """Inclusive boxes (K, 4) as boxes of the outer edges of their pixels."""
    return boxes + boxes.new_tensor([0, 0, 1, 1])


def moved_boxes(boxes: Tensor, velocity: Tensor, config: LiteConfig) -> Tensor:
    """Boxes (K, 4), outer edges, one frame later: moved by `velocity` (K, 2), at most by `motion_limit` of a side."""
    # One wrong box must not throw the window away
    limit = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1, keepdim=True) * config.motion_limit
    return boxes + torch.minimum(torch.maximum(velocity, -limit), limit).repeat(1, 2)


def updated_velocity(velocity: Tensor, before: Tensor, after: Tensor, known: Tensor, config: LiteConfig) -> Tensor:
    """Velocities (K, 2), pixels per frame, as a running mean over the motion from boxes `before` to `after` (K, 4).

    0 where the motion is not `known` (K,) bool: of an object that is absent, or that has just come back.
    """
    # The middle of a box moves by the mean of what its corners move by
    change = after - before
    moved = (change[:, :2] + change[:, 2:]) / 2
    mean = config.velocity_mean * velocity + (1 - config.velocity_mean) * moved
    return torch.where(known[:, None], mean, torch.zeros_like(moved))


def touches_window_edge(masks: Tensor, windows: Tensor, geometry: ImageGeometry, config: LiteConfig) -> Tensor:
    """Which masks (K, L, L) bool reach an edge of their windows (K, 4) that is not one of the image: (K,) bool."""
    return edges_touched(masks, windows, bounds=geometry.input, cells=config.edge_cells).amax(dim=1) > 0


def input_boxes(masks: Tensor, geometry: ImageGeometry) -> Tensor:
    """The boxes (K, 4) of masks (K, H, W) bool of the original image: outer edges in input pixels."""
    boxes, _ = inclusive_boxes(masks)
    return boxes_to_input(outer_edges(boxes), geometry)


def input_shares(masks: Tensor, geometry: ImageGeometry) -> Tensor:
    """Masks (K, H, W) bool as shares (K, 1, H', W') in [0, 1] over the padded input, area-averaged."""
    # The padding belongs to no object
    height, width = geometry.input
    share = F.interpolate(masks[:, None].float(), size=(height, width), mode="area")
    return F.pad(share, (0, geometry.padded[1] - width, 0, geometry.padded[0] - height))

"""Baselines of propagation: the first mask copied, and the first mask carried along optical flow."""

from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from persam_hq.evaluation.label_maps import Frame, LabelMap

Baseline = Callable[[Iterable[Frame], LabelMap], Iterator[LabelMap]]
"""From frames (H, W, 3) uint8 RGB and the label map of the first to one label map per frame, the first included."""


def first_mask_copied(frames: Iterable[Frame], first_mask: LabelMap) -> Iterator[LabelMap]:
    """The first label map on every frame, as if nothing moved."""
    for _ in frames:
        yield first_mask.copy()


def flow_propagation(frames: Iterable[Frame], first_mask: LabelMap) -> Iterator[LabelMap]:
    """The first mask carried along dense optical flow (DIS, Kroeger et al. 2016).

    Carried are the coordinates of each pixel in the first frame, not the labels: moves of less than a pixel add up and
    edges stay sharp.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    origin = grid = _pixel_grid(first_mask.shape)
    previous: NDArray[np.uint8] | None = None
    for frame in frames:
        grey = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        if previous is not None:
            # From this frame back to the previous one, where the coordinates are known
            back = flow.calc(grey, previous, np.zeros_like(grid))
            origin = _sample(origin, grid + back)
        yield _labels_at(first_mask, origin)
        previous = grey


_NO_SECOND_MAP = np.zeros(0, dtype=np.float32)
"""Positions come as pairs in one array, so OpenCV's second map is empty."""


def _pixel_grid(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """(x, y) of every pixel, (H, W, 2)."""
    height, width = shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([x, y], axis=-1)


def _sample(field: NDArray[np.float32], positions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values of a field (H, W, 2) at positions (H, W, 2), between pixels by bilinear interpolation."""
    sampled = cv2.remap(field, positions, _NO_SECOND_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, dtype=np.float32)


def _labels_at(labels: LabelMap, positions: NDArray[np.float32]) -> LabelMap:
    """The labels (H, W) of the pixels nearest to positions (H, W, 2)."""
    height, width = labels.shape
    x = np.clip(np.rint(positions[..., 0]).astype(np.int64), 0, width - 1)
    y = np.clip(np.rint(positions[..., 1]).astype(np.int64), 0, height - 1)
    return labels[y, x]

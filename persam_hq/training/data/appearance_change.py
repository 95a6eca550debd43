"""Objects that turn: a side which the first frame does not show comes round, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from persam_hq.mask_boxes import outer_box_of_array
from persam_hq.training.data.datasets import Array, Photo
from persam_hq.training.data.scene import photo_background

_EDGE = 0.06
"""Width of the transition between the sides, as a part of the object's box."""
_UNEVEN = 0.1
"""How far, in the same unit, the line between the sides is from straight where that is typical."""


def turn(frames: Array, masks: Array, *, others: Sequence[Photo], rng: np.random.Generator) -> Array:
    """Frames (T, S, S, 3) uint8 in which the object of masks (T, S, S) gets another look, from one side on.

    What comes is the object in other colours, or a part of a photo, and moves with its box. The first frame stays:
    matching to it says less and less, and only the frame before tells that this is still the object.
    """
    length, size = masks.shape[:2]
    angle, share = rng.uniform(0, 2 * math.pi), rng.uniform(0.25, 0.9)
    gain, offset = np.exp(rng.normal(0, 0.5, size=3)), rng.normal(0, 30, size=3)
    texture = photo_background(others, size, rng) if others and rng.random() < 0.5 else None
    uneven = cv2.resize(rng.normal(0, _UNEVEN, size=(4, 4)).astype(np.float32), (size, size))
    turned = frames.copy()
    for index in range(1, length):
        if not masks[index].any():
            continue
        position, centre = _along(masks[index], angle)
        covered = share * index / (length - 1)
        other_side = np.clip((covered - position - uneven) / _EDGE, 0, 1) * cv2.GaussianBlur(
            masks[index].astype(np.float32), (0, 0), 0.8
        )
        look = frames[index] * gain + offset if texture is None else _centred(texture, centre)
        mixed = look * other_side[..., None] + frames[index] * (1 - other_side[..., None])
        turned[index] = np.clip(mixed, 0, 255).astype(np.uint8)
    return turned


def _along(mask: Array, angle: float) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """How far each pixel (S, S) lies along a direction, 0 to 1 across the mask's box, and the box's centre (x, y)."""
    # NumPy's integers, not Python's: they make the arithmetic with the float32 grids below one in double precision
    left, top, right, bottom = np.array(outer_box_of_array(mask))
    x, y = (left + right) / 2, (top + bottom) / 2
    c, s = math.cos(angle), math.sin(angle)
    rows, columns = np.mgrid[0 : mask.shape[0], 0 : mask.shape[1]].astype(np.float32)
    across, down = (columns - x) / (right - left), (rows - y) / (bottom - top)
    position: NDArray[np.float32] = 0.5 + (c * across + s * down) / (abs(c) + abs(s))
    return position, (float(x), float(y))


def _centred(texture: Array, centre: tuple[float, float]) -> Array:
    """A texture (S, S, 3) with its middle at `centre`."""
    size = texture.shape[0]
    shift = np.array([[1.0, 0.0, centre[0] - size / 2], [0.0, 1.0, centre[1] - size / 2]])
    return np.asarray(cv2.warpAffine(texture, shift, (size, size), borderMode=cv2.BORDER_REFLECT_101), dtype=np.uint8)

"""Appearance change in training clips: a new look spreads over the object from one side, as when an object turns."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from persam_hq.mask_boxes import outer_box_of_array
from persam_hq.training.data.datasets import Array, Photo
from persam_hq.training.data.scene import EDGE_BLUR, photo_background

# Both chosen, as parts of the object's box along the direction of the change
_TRANSITION = 0.06
"""Width of the transition between the old look and the new one."""
_UNEVENNESS = 0.1
"""Standard deviation of the border between the two from a straight line."""

_FINAL_SHARE = 0.25, 0.9
"""How much of the object has changed on the last frame: never all of it, so that something still tells what it is."""


def change_appearance(frames: Array, masks: Array, *, others: Sequence[Photo], rng: np.random.Generator) -> Array:
    """Frames (T, S, S, 3) uint8 in which the object of masks (T, S, S) gets another look, spreading from one side.

    The new look is the object in other colours, or a part of one of the photos `others`, and moves with the object's
    box. The first frame stays as it is: matching to it tells less and less, and only the previous frame shows that this
    is still the object.
    """
    # What changes: direction, share in the end, new colours, and in half of the clips a photo's texture
    length, size = masks.shape[:2]
    angle, share = rng.uniform(0, 2 * math.pi), rng.uniform(*_FINAL_SHARE)
    gain, offset = np.exp(rng.normal(0, 0.5, size=3)), rng.normal(0, 30, size=3)
    texture = photo_background(others, size, rng) if others and rng.random() < 0.5 else None
    uneven = cv2.resize(rng.normal(0, _UNEVENNESS, size=(4, 4)).astype(np.float32), (size, size))

    changed = frames.copy()
    for index in range(1, length):
        if not masks[index].any():
            continue
        # Weight of the new look per pixel: 0 or 1 but at the transition and at the object's edge
        position, centre = _along(masks[index], angle)
        covered = share * index / (length - 1)
        weight = np.clip((covered - position - uneven) / _TRANSITION, 0, 1) * cv2.GaussianBlur(
            masks[index].astype(np.float32), (0, 0), EDGE_BLUR
        )
        look = frames[index] * gain + offset if texture is None else _centred(texture, centre)
        mixed = look * weight[..., None] + frames[index] * (1 - weight[..., None])
        changed[index] = np.clip(mixed, 0, 255).astype(np.uint8)
    return changed


def _along(mask: Array, angle: float) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Position of each pixel (S, S) along a direction, 0 to 1 across the mask's box, and the box's centre (x, y)."""
    # NumPy's integers, not Python's: they make the arithmetic with the float32 grids below one in double precision
    left, top, right, bottom = np.array(outer_box_of_array(mask))
    x, y = (left + right) / 2, (top + bottom) / 2

    # Projection onto the direction, divided by its extent over the box
    c, s = math.cos(angle), math.sin(angle)
    rows, columns = np.mgrid[0 : mask.shape[0], 0 : mask.shape[1]].astype(np.float32)
    across, down = (columns - x) / (right - left), (rows - y) / (bottom - top)
    position: NDArray[np.float32] = 0.5 + (c * across + s * down) / (abs(c) + abs(s))
    return position, (float(x), float(y))


def _centred(texture: Array, centre: tuple[float, float]) -> Array:
    """A texture (S, S, 3) with its middle at `centre`, mirrored beyond its border."""
    size = texture.shape[0]
    shift = np.array([[1.0, 0.0, centre[0] - size / 2], [0.0, 1.0, centre[1] - size / 2]])
    return np.asarray(cv2.warpAffine(texture, shift, (size, size), borderMode=cv2.BORDER_REFLECT_101), dtype=np.uint8)

"""Values of a mask that are no objects: blends and near doubles of other colours, and outlines around an object."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["blended_class", "rim_class", "speckled_class"]

_SHARE_BETWEEN: Final = 0.8
_SHARE_SOLID: Final = 0.1
_LEAST_BLEND: Final = 4
"""Pixels of a blend at least: of fewer it cannot be said that they follow an edge."""
_SAME_COLOUR: Final = 4
"""Colours that differ by this in a channel at most look the same."""
_VOID: Final = 255
"""The value of the band around each object of PASCAL VOC that belongs to nobody; it is up to 5 pixels wide."""
_VOID_RADIUS: Final = 3
_RIM_RADIUS: Final = 2
_SMALL_FRAME: Final = 200
"""Frames with a side below this have thinner outlines, of a radius less by one."""
_SHARE_BESIDE: Final = 0.8
_SHARE_OF_OUTLINE: Final = 0.6
_MAX_CLASSES: Final = 32
"""With more classes than this only the void value is looked at: a careful numbering has no rims."""


def blended_class(classes: NDArray[np.int64], colours: NDArray[np.uint8]) -> int | None:
    """A class (from 1) that is an anti-aliased edge: thin, and in colour between its neighbours; None without one.

    classes: (H, W), 0 = background; colours: (N, 3) by class.
    """
    picture = colours[classes]
    kernel = np.ones((3, 3), np.uint8)
    lowest, highest = cv2.erode(picture, kernel), cv2.dilate(picture, kernel)
    # Every channel that varies around a pixel has to have it inside its range
    inside = (lowest < picture) & (picture < highest)
    between = (inside | (lowest == highest)).all(axis=2) & inside.any(axis=2)

    # Thin classes with nearly all pixels between
    flat = (cv2.erode(classes.astype(np.int16), kernel) == classes) & (
        cv2.dilate(classes.astype(np.int16), kernel) == classes
    )
    count = len(colours)
    sizes, cores, blends = (
        np.bincount(classes[chosen], minlength=count) for chosen in (np.ones_like(flat), flat, between)
    )
    is_blend = (sizes >= _LEAST_BLEND) & (cores < _SHARE_SOLID * sizes) & (blends >= _SHARE_BETWEEN * sizes)
    found = np.flatnonzero(is_blend[1:]) + 1
    return int(found[0]) if len(found) else None


def speckled_class(classes: NDArray[np.int64], colours: NDArray[np.uint8]) -> int | None:
    """A class (from 1) that is scattered over another one of nearly its colour; None without one."""
    kernel = np.ones((3, 3), np.uint8)
    distance = np.abs(colours[1:, None].astype(int) - colours[None, 1:]).max(axis=2)
    for number, other in np.argwhere((distance > 0) & (distance <= _SAME_COLOUR)) + 1:
        mine, near = (classes == number).astype(np.uint8), (classes == other).astype(np.uint8)
        size = int(mine.sum())
        if size < _LEAST_BLEND or size > near.sum() or cv2.erode(mine, kernel).sum() >= _SHARE_SOLID * size:
            continue
        if (cv2.dilate(near, kernel) & mine).sum() >= _SHARE_BESIDE * size:
            return int(number)
    return None


def rim_class(classes: NDArray[np.int64], values: tuple[int, ...]) -> int | None:
    """A class (from 1) that is only an outline around another one; None without one. `values` are those stored."""
    height, width = classes.shape
    thinner = int(min(height, width) < _SMALL_FRAME)
    for number, value in enumerate(values, start=1):
        if value != _VOID and len(values) > _MAX_CLASSES:
            continue
        radius = _VOID_RADIUS if value == _VOID else _RIM_RADIUS - thinner
        if _is_rim(classes, number, radius):
            return number
    return None


def _is_rim(classes: NDArray[np.int64], number: int, radius: int) -> bool:
    """Whether a class is thin, lies along others, and follows most of one's outline."""
    mine = (classes == number).astype(np.uint8)
    size = int(mine.sum())
    side = 2 * radius + 1
    if cv2.erode(mine, np.ones((side, side), np.uint8)).sum() >= _SHARE_SOLID * size:
        return False

    # Nearly every pixel has another object within the rim's width
    others = ((classes > 0) & (mine == 0)).astype(np.uint8)
    reach = np.ones((2 * side + 1, 2 * side + 1), np.uint8)
    if (cv2.dilate(others, reach) & mine).sum() < _SHARE_BESIDE * size:
        return False

    # The object that it touches most has most of its outline in it
    kernel = np.ones((3, 3), np.uint8)
    touched = classes[(cv2.dilate(mine, kernel) > 0) & (others > 0)]
    if not touched.size:
        return False
    inner = (classes == np.bincount(touched).argmax()).astype(np.uint8)
    outline = (cv2.dilate(inner, kernel) > 0) & (inner == 0)
    return bool((mine[outline] > 0).mean() >= _SHARE_OF_OUTLINE)

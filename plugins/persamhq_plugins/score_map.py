"""Peaks and regions of score maps (H, W), which hold each pixel's likeness to the target; not a plugin itself."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from persamhq_video.protocols import Box

__all__ = ["find_peaks", "level", "peak_region"]

ScoreMap = NDArray[np.floating]
Point = tuple[float, float]


def level(scores: ScoreMap, share: float) -> float:
    """The score that lies `share` of the way from the map's mean to its maximum."""
    mean, highest = float(scores.mean()), float(scores.max())
    return min(mean + share * (highest - mean), highest)


def find_peaks(scores: ScoreMap, *, count: int, reach: float, at_least: float = -np.inf) -> list[Point]:
    """(x, y) of up to `count` local maxima, the highest first (non-maximum suppression).

    No two are within `reach` pixels of each other, and none is lower than `at_least`. Of equal ones the first in
    reading order counts.
    """
    # Local maxima: pixels as high as the highest of their 3 x 3 neighbourhood
    highest_near = cv2.dilate(scores.astype(np.float32), np.ones((3, 3), np.uint8))
    rows, columns = np.nonzero((scores >= highest_near) & (scores >= at_least))
    order = np.argsort(-scores[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]

    # The highest one that is left, which then removes those within reach
    found: list[Point] = []
    while len(found) < count and len(rows):
        y, x = rows[0], columns[0]
        found.append((float(x), float(y)))
        apart = (rows - y) ** 2 + (columns - x) ** 2 > reach**2
        rows, columns = rows[apart], columns[apart]
    return found


def peak_region(scores: ScoreMap, *, share: float) -> tuple[Point, Box]:
    """The highest pixel (x, y), and the box of the connected region around it that is above `level(scores, share)`."""
    y, x = divmod(int(scores.argmax()), scores.shape[1])

    # The connected part that holds the peak; pixels at corners are connected
    above = (scores >= level(scores, share)).astype(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    left, top, width, height = stats[parts[y, x], : cv2.CC_STAT_AREA].tolist()
    return (float(x), float(y)), (float(left), float(top), float(left + width - 1), float(top + height - 1))

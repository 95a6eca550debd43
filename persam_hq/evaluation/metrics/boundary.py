"""Boundary measure F of DAVIS (Perazzi et al. 2016): precision and recall of contours within a tolerance."""

import math
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from persam_hq.evaluation.metrics.region import Mask, as_mask_pair

DAVIS_TOLERANCE = 0.008
"""Share of the image diagonal within which contours match, as in the published evaluation of DAVIS."""


def boundary_measure(
    annotation: NDArray[Any],
    segmentation: NDArray[Any],
    *,
    tolerance: float = DAVIS_TOLERANCE,
) -> float:
    """F of two masks (H, W), of any dtype with non-zero as foreground.

    A contour pixel is matched when the other contour passes within `tolerance`, a share of the image diagonal
    (or a number of pixels from 1 on). Both contours empty give 1, one of them empty gives 0.
    """
    annotated, segmented = as_mask_pair(annotation, segmentation)
    radius = boundary_radius(annotated.shape, tolerance=tolerance)

    # An empty contour has nothing to match: the harmonic mean of 1 and 0 is 0.
    truth, found = boundary_map(annotated), boundary_map(segmented)
    num_truth, num_found = int(np.count_nonzero(truth)), int(np.count_nonzero(found))
    if num_truth == 0 or num_found == 0:
        return 1.0 if num_truth == num_found else 0.0

    # Both dilations read and answer only inside the box around the two contours.
    truth, found = _crop_to_contours(truth, found)
    precision = _count_near(found, truth, radius=radius) / num_found
    recall = _count_near(truth, found, radius=radius) / num_truth
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary_radius(shape: tuple[int, ...], *, tolerance: float = DAVIS_TOLERANCE) -> int:
    """The tolerance in pixels for an image of `shape` (height, width), rounded up."""
    if tolerance >= 1:
        return math.ceil(tolerance)
    # The same norm as the published code, so that a product on an integer rounds the same way.
    return math.ceil(tolerance * float(np.linalg.norm(shape)))


def boundary_map(mask: Mask) -> NDArray[np.uint8]:
    """Contour pixels of a mask (H, W) bool as (H, W) uint8 0/1.

    A pixel is on the contour when it differs from its right, lower or lower right neighbour; beyond the image the
    last row and column go on, so the image border itself is never a contour.
    """
    padded = np.asarray(cv2.copyMakeBorder(mask.view(np.uint8), 0, 1, 0, 1, cv2.BORDER_REPLICATE), dtype=np.uint8)
    here, right, below, diagonal = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    contour: NDArray[np.uint8] = (here ^ right) | (here ^ below) | (here ^ diagonal)
    return contour


@lru_cache(maxsize=16)
def disk(radius: int) -> NDArray[np.uint8]:
    """Pixels at a distance of at most `radius` from the centre, (2r+1, 2r+1) uint8 0/1; not to be written to."""
    offsets = np.arange(-radius, radius + 1)
    element = (offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius**2).astype(np.uint8)
    element.setflags(write=False)
    return element


def _crop_to_contours(
    first: NDArray[np.uint8], second: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Both maps cut to the box around the contours of the two."""
    x, y, width, height = cv2.boundingRect(first | second)
    window = slice(y, y + height), slice(x, x + width)
    return first[window], second[window]


def _count_near(contour: NDArray[np.uint8], other: NDArray[np.uint8], *, radius: int) -> int:
    """How many pixels of a contour have a pixel of the other one within the radius."""
    reach = np.asarray(cv2.dilate(other, disk(radius)), dtype=np.uint8)
    return int(np.count_nonzero(contour & reach))

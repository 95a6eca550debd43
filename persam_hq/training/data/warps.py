"""Random geometry of training clips: crops around objects, small motions, smooth bends."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from persam_hq.mask_boxes import outer_box_of_array
from persam_hq.training.data.datasets import Array

Matrix = NDArray[np.float64]
PADDING = (127, 127, 127)
"""What lies outside a photo: the value that normalises to zero, as the encoder pads."""


@dataclass(frozen=True, slots=True, eq=False)
class Bend:
    """A smooth displacement of a crop: where each pixel comes from, (S, S) float32 each."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]

    def __repr__(self) -> str:
        return f"Bend({self.x.shape})"


def similarity(*, scale: float, angle: float, aspect: float = 1.0, flip: bool = False) -> Matrix:
    """The linear map (2, 2) that stretches by `scale`, `aspect` times more across than down, and turns by `angle`."""
    c, s = math.cos(angle), math.sin(angle)
    stretch = np.diag([scale * math.sqrt(aspect) * (-1 if flip else 1), scale / math.sqrt(aspect)])
    out: Matrix = np.array([[c, -s], [s, c]]) @ stretch
    return out


def place(linear: Matrix, *, source: tuple[float, float], destination: tuple[float, float]) -> Matrix:
    """The affine matrix (2, 3) with that linear part which takes point `source` to point `destination`."""
    return np.column_stack([linear, np.asarray(destination) - linear @ np.asarray(source)])


def object_crop(mask: Array, size: int, rng: np.random.Generator, *, span: tuple[float, float]) -> Matrix:
    """An affine matrix (2, 3) from the image of `mask` (H, W) to a crop around its object.

    The object's longer side becomes a random part `span` of the crop, anywhere that keeps most of it. It is never
    enlarged more than twice, and the image fills the crop as far as the object allows.
    """
    height, width = mask.shape
    box = outer_box_of_array(mask)
    assert box is not None, "clips show objects with a pixel at least"
    x0, y0, x1, y1 = map(float, box)
    longer = max(x1 - x0, y1 - y0)
    share = math.exp(rng.uniform(math.log(span[0]), math.log(span[1])))
    filling = min(size / min(height, width), span[1] * size / longer)
    scale = min(max(share * size / longer, filling), 2.0)
    linear = similarity(
        scale=scale,
        angle=rng.normal(0, 0.12),
        aspect=math.exp(rng.normal(0, 0.1)),
        flip=bool(rng.random() < 0.5),
    )
    free = max(0.0, size - scale * longer) / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    left, right = scale * x, scale * (width - x)
    if np.linalg.det(linear) < 0:  # mirrored
        left, right = right, left
    centre = (
        filling_position(size / 2 + rng.uniform(-free, free), size=size, before=left, after=right),
        filling_position(size / 2 + rng.uniform(-free, free), size=size, before=scale * y, after=scale * (height - y)),
    )
    return place(linear, source=(x, y), destination=centre)


def jolt(size: int, rng: np.random.Generator, *, strength: float) -> Matrix:
    """A small random motion about the middle of the crop, (3, 3)."""
    linear = similarity(
        scale=math.exp(rng.normal(0, 0.08 * strength)),
        angle=rng.normal(0, 0.1 * strength),
        aspect=math.exp(rng.normal(0, 0.05 * strength)),
    )
    middle = (size / 2, size / 2)
    moved = (size / 2 + rng.normal(0, 0.05 * strength * size), size / 2 + rng.normal(0, 0.05 * strength * size))
    return np.vstack([place(linear, source=middle, destination=moved), [0, 0, 1]])


def bend(size: int, rng: np.random.Generator, *, strength: float) -> Bend:
    """A smooth random displacement, `strength` of the crop's side where it is typical."""
    coarse = rng.normal(0, strength * size, size=(2, 4, 4)).astype(np.float32)
    dx, dy = (cv2.resize(c, (size, size), interpolation=cv2.INTER_CUBIC) for c in coarse)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    return Bend(x=x + dx, y=y + dy)


def warp(image: Array, matrix: Matrix, size: int) -> Array:
    """An image (H, W, 3) through an affine matrix (2, 3): (S, S, 3) uint8."""
    shrink = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if shrink < 0.6:  # blur first what would alias
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.4 / shrink), dtype=np.uint8)
    warped = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=PADDING)
    return np.asarray(warped, dtype=np.uint8)


def warp_mask(mask: Array, matrix: Matrix, size: int) -> Array:
    """A mask (H, W) of 0/1 through an affine matrix (2, 3): (S, S) uint8 of 0/1."""
    soft = cv2.warpAffine(mask * np.uint8(255), matrix, (size, size), flags=cv2.INTER_LINEAR)
    return (np.asarray(soft) > 127).astype(np.uint8)


def filling_position(position: float, *, size: int, before: float, after: float) -> float:
    """`position` moved so that an image with so much of it `before` and `after` that point fills a crop of `size`.

    Where it is too small for that, it lies in the middle.
    """
    lowest, highest = size - after, before
    if lowest > highest:
        return (lowest + highest) / 2
    return min(max(position, lowest), highest)

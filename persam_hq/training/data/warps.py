"""Random geometry of training crops: crops around objects, small motions, smooth deformations."""

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
"""Colour of what lies outside a photo: the value that normalises to zero, as the encoder pads."""
MAX_ENLARGEMENT = 2.0
"""No crop enlarges an image more: the pixels made up between would teach nothing. Chosen."""


ZOOMING_SHARE, PANNING_SHARE = 0.4, 0.15
"""Shares of the clips in which the camera zooms, or pans until an object may have left the frame. Chosen."""
LARGEST_ZOOM = 6.0
"""Times that an object grows or shrinks at most within a clip: vehicles that come close grow fivefold in ten frames."""
SHAKE_STRENGTH = 0.3
"""Strength of `random_motion` that every frame has beside the camera's path. Chosen."""


@dataclass(frozen=True, slots=True, eq=False)
class CameraPath:
    """The camera's motion over a clip, as a matrix (3, 3) per frame on the crop.

    factor: by which it zooms in all; pans: whether it turns so far away that an object may leave the frame.
    """

    matrices: tuple[Matrix, ...]
    factor: float
    pans: bool

    def __repr__(self) -> str:
        return f"CameraPath(frames={len(self.matrices)}, factor={self.factor:.2f})"

    @property
    def moves(self) -> bool:
        """Whether it does more than shake."""
        return self.factor != 1 or self.pans

    def span(self, span: tuple[float, float]) -> tuple[float, float]:
        """The part of the crop, from `span`, that an object fills on the first frame, so that the zoom has room."""
        low, high = span
        if self.factor > 1:
            # It may end a little larger than the crop
            high = min(high, max(1.2 / self.factor, 0.12))
            return min(low, high), high
        # It may end as small as things are in videos
        return max(low, min(high, 0.1 / self.factor)), high


@dataclass(frozen=True, slots=True, eq=False)
class Deformation:
    """A smooth displacement of a crop: the coordinates that each pixel comes from, (S, S) float32 each."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]

    def __repr__(self) -> str:
        return f"Deformation({self.x.shape})"


def linear_map(*, scale: float, angle: float, aspect: float = 1.0, flip: bool = False) -> Matrix:
    """The linear map (2, 2) that stretches by `scale`, `aspect` times more across than down, and turns by `angle`.

    `angle` in radians; `flip` mirrors left and right first.
    """
    c, s = math.cos(angle), math.sin(angle)
    stretch = np.diag([scale * math.sqrt(aspect) * (-1 if flip else 1), scale / math.sqrt(aspect)])
    out: Matrix = np.array([[c, -s], [s, c]]) @ stretch
    return out


def affine_map(linear: Matrix, *, source: tuple[float, float], destination: tuple[float, float]) -> Matrix:
    """The affine matrix (2, 3) with that linear part which takes point `source` to point `destination`."""
    return np.column_stack([linear, np.asarray(destination) - linear @ np.asarray(source)])


def object_crop(mask: Array, size: int, rng: np.random.Generator, *, span: tuple[float, float]) -> Matrix:
    """An affine matrix (2, 3) from the image of `mask` (H, W) to a crop around its object.

    The object's longer side becomes a random part `span` of the crop, anywhere that keeps most of it. It is never
    enlarged more than twice, and the image fills the crop as far as the object allows.
    """
    # Scale: log-uniform, so that half and double are as likely, but large enough that the image fills the crop
    height, width = mask.shape
    box = outer_box_of_array(mask)
    assert box is not None, "clips show objects with a pixel at least"
    x0, y0, x1, y1 = map(float, box)
    longer = max(x1 - x0, y1 - y0)
    share = math.exp(rng.uniform(math.log(span[0]), math.log(span[1])))
    filling = min(size / min(height, width), span[1] * size / longer)
    scale = min(max(share * size / longer, filling), MAX_ENLARGEMENT)

    # Small changes of angle (7 degrees typically) and aspect, and a mirror image in half of the crops
    linear = linear_map(
        scale=scale,
        angle=rng.normal(0, 0.12),
        aspect=math.exp(rng.normal(0, 0.1)),
        flip=bool(rng.random() < 0.5),
    )

    # The box's centre goes anywhere that keeps the box inside, then so that the image leaves no border free
    free = max(0.0, size - scale * longer) / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    left, right = scale * x, scale * (width - x)
    if np.linalg.det(linear) < 0:  # mirrored
        left, right = right, left
    centre = (
        filling_position(size / 2 + rng.uniform(-free, free), size=size, before=left, after=right),
        filling_position(size / 2 + rng.uniform(-free, free), size=size, before=scale * y, after=scale * (height - y)),
    )
    return affine_map(linear, source=(x, y), destination=centre)


def random_motion(size: int, rng: np.random.Generator, *, strength: float) -> Matrix:
    """A small random motion about the middle of a crop of `size` pixels, (3, 3); one frame of a layer's path.

    At `strength` 1 typically 8 % of scale, 6 degrees, 5 % of aspect and 5 % of the crop's side; chosen.
    """
    linear = linear_map(
        scale=math.exp(rng.normal(0, 0.08 * strength)),
        angle=rng.normal(0, 0.1 * strength),
        aspect=math.exp(rng.normal(0, 0.05 * strength)),
    )
    middle = (size / 2, size / 2)
    moved = (size / 2 + rng.normal(0, 0.05 * strength * size), size / 2 + rng.normal(0, 0.05 * strength * size))
    return np.vstack([affine_map(linear, source=middle, destination=moved), [0, 0, 1]])


def camera_path(length: int, size: int, rng: np.random.Generator) -> CameraPath:
    """How a camera moves over `length` frames of a crop of `size` pixels: it zooms, pans away and back, or shakes.

    Shares are chosen: two in five zoom, by 1.5 to 6 times in all, a quarter of those there and back; three in twenty
    pan so far that an object may leave the frame, and mostly come back.
    """
    # Position along the path, 0 at the first frame and 1 at the end, or in the middle where it leads back
    zooms, pans = rng.random() < ZOOMING_SHARE, rng.random() < PANNING_SHARE
    there_and_back = bool(rng.random() < (0.75 if pans else 0.25))
    along = np.linspace(0.0, 1.0, length)
    progress = 1 - np.abs(2 * along - 1) if there_and_back and length > 2 else along

    # The farthest that it goes: a factor, and a shift in crops, in any direction
    factor = math.exp(rng.uniform(math.log(1.5), math.log(LARGEST_ZOOM)) * rng.choice([-1, 1])) if zooms else 1.0
    angle, reach = rng.uniform(0, 2 * math.pi), rng.uniform(0.6, 1.3) if pans else 0.0
    shift = reach * size * np.array([math.cos(angle), math.sin(angle)])

    # Each frame about the middle of the crop, with a little shake of its own after the first
    matrices, middle = [], (size / 2, size / 2)
    for index, share in enumerate(progress):
        linear = linear_map(scale=factor**share, angle=0.0)
        destination = (middle[0] + share * shift[0], middle[1] + share * shift[1])
        path = np.vstack([affine_map(linear, source=middle, destination=destination), [0, 0, 1]])
        shake = random_motion(size, rng, strength=SHAKE_STRENGTH if index else 0.0)
        matrices.append(shake @ path)
    return CameraPath(matrices=tuple(matrices), factor=factor, pans=bool(pans))


def motion_blur(image: Array, rng: np.random.Generator, *, longest: float) -> Array:
    """An image (S, S, 3) uint8, blurred along a line of up to `longest` pixels in a random direction."""
    reach = int(rng.integers(3, max(4, int(longest))))
    kernel = np.zeros((reach, reach), np.float32)
    angle = rng.uniform(0, math.pi)
    x, y = math.cos(angle) * reach / 2, math.sin(angle) * reach / 2
    ends = [(round(reach / 2 + s * x), round(reach / 2 + s * y)) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1)
    return np.asarray(cv2.filter2D(image, -1, kernel / max(kernel.sum(), 1)), dtype=np.uint8)


def random_deformation(size: int, rng: np.random.Generator, *, strength: float) -> Deformation:
    """A smooth random displacement; its standard deviation is `strength` of the crop's side."""
    # Noise on a grid of 4 x 4, enlarged: neighbouring pixels move alike
    coarse = rng.normal(0, strength * size, size=(2, 4, 4)).astype(np.float32)
    dx, dy = (cv2.resize(c, (size, size), interpolation=cv2.INTER_CUBIC) for c in coarse)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    return Deformation(x=x + dx, y=y + dy)


def warp(image: Array, matrix: Matrix, size: int, *, mirrored: bool = False) -> Array:
    """An image (H, W, 3) uint8 through an affine matrix (2, 3): (S, S, 3) uint8, PADDING or `mirrored` around it."""
    shrink = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if shrink < 0.6:
        # What bilinear sampling would skip is blurred first, or fine texture would alias
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.4 / shrink), dtype=np.uint8)
    border = cv2.BORDER_REFLECT_101 if mirrored else cv2.BORDER_CONSTANT
    warped = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=PADDING)
    return np.asarray(warped, dtype=np.uint8)


def warp_mask(mask: Array, matrix: Matrix, size: int) -> Array:
    """A mask (H, W) of 0/1 through an affine matrix (2, 3): (S, S) uint8 of 0/1, cut at half coverage."""
    soft = cv2.warpAffine(mask * np.uint8(255), matrix, (size, size), flags=cv2.INTER_LINEAR)
    return (np.asarray(soft) > 127).astype(np.uint8)


def filling_position(position: float, *, size: int, before: float, after: float) -> float:
    """`position` of a point in a crop of `size`, moved so that an image around the point fills the crop.

    The image reaches `before` and `after` the point; where it is too small to fill the crop, it lies in the middle.
    """
    lowest, highest = size - after, before
    if lowest > highest:
        return (lowest + highest) / 2
    return min(max(position, lowest), highest)

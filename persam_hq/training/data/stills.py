"""Still images for image prompts: two segments per photo, so that only the prompt says which one is meant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from persam_hq.training.data.clips import MIN_OBJECT_PIXELS, recolour
from persam_hq.training.data.datasets import Array, Photo
from persam_hq.training.data.scene import pick_segment
from persam_hq.training.data.warps import object_crop, warp, warp_mask

_TRIES = 4
"""Draws of a second segment before the photo is given up; another photo costs more than another draw."""
_SAME_SEGMENT_IOU = 0.7
"""Segments with a higher IoU are the same one, drawn by another annotator. Chosen."""


@dataclass(frozen=True, slots=True, eq=False)
class StillImage:
    """An image (S, S, 3) uint8 RGB and the masks of two of its segments, (2, S, S) uint8 0/1."""

    image: Array
    masks: Array

    def __repr__(self) -> str:
        return f"StillImage(image={self.image.shape})"


def draw_still(photo: Photo, *, size: int, rng: np.random.Generator) -> StillImage | None:
    """A crop of a photo with two different segments; None where no two are large enough.

    A prompt has to mean one thing, so unions of segments are no targets here.
    """
    # The crop is around the first segment
    first = pick_segment(photo, rng, unions=False)
    if first is None:
        return None
    matrix = object_crop(first, size, rng, span=(0.15, 0.9))
    seen = warp_mask(first, matrix, size)

    # Any other segment that the crop shows enough of
    for _ in range(_TRIES):
        second = pick_segment(photo, rng, unions=False)
        if second is None:
            continue
        other = warp_mask(second, matrix, size)
        if min(seen.sum(), other.sum()) >= MIN_OBJECT_PIXELS and _iou(seen, other) < _SAME_SEGMENT_IOU:
            image = recolour(warp(photo.image, matrix, size)[None], rng)[0]
            return StillImage(image=image, masks=np.stack([seen, other]))
    return None


def _iou(a: Array, b: Array) -> float:
    """IoU of two masks of 0/1; 0 where both are empty."""
    return float((a & b).sum() / max(1, (a | b).sum()))

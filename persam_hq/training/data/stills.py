"""Photos for image prompts: two segments of each, so that only the prompt says which one is meant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from persam_hq.training.data.clips import FEWEST_PIXELS, recolour
from persam_hq.training.data.datasets import Array, Photo
from persam_hq.training.data.scene import pick_segment
from persam_hq.training.data.warps import object_crop, warp, warp_mask

_TRIES = 4
_ALIKE = 0.7
"""Segments with a higher IoU are the same one, drawn by another person."""


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """An image (S, S, 3) uint8 RGB and two segments of it, (2, S, S) uint8 0/1."""

    image: Array
    masks: Array

    def __repr__(self) -> str:
        return f"Still(image={self.image.shape})"


def photo_still(photo: Photo, *, size: int, rng: np.random.Generator) -> Still | None:
    """A crop of a photo with two different segments; None where there are none that are large enough.

    What is meant by a prompt has to be one thing, so unions of segments are no targets here.
    """
    first = pick_segment(photo, rng, unions=False)
    if first is None:
        return None
    matrix = object_crop(first, size, rng, span=(0.15, 0.9))
    seen = warp_mask(first, matrix, size)
    for _ in range(_TRIES):
        second = pick_segment(photo, rng, unions=False)
        if second is None:
            continue
        other = warp_mask(second, matrix, size)
        if min(seen.sum(), other.sum()) >= FEWEST_PIXELS and _overlap(seen, other) < _ALIKE:
            image = recolour(warp(photo.image, matrix, size)[None], rng)[0]
            return Still(image=image, masks=np.stack([seen, other]))
    return None


def _overlap(a: Array, b: Array) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))

"""Augmented views of annotated images for SAM-type models: the whole image or a crop around the object, recoloured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from persam_hq.training.data.datasets import Array
from persam_hq.training.data.pair_sources import AnnotatedImage
from persam_hq.training.data.warps import object_crop, warp, warp_mask
from persam_hq.transforms import LongestSide, mask_image, resize_image

# All chosen
MIN_OBJECT_SHARE: Final = 2e-4
"""A view whose object covers less than this part of the frame is drawn again: 210 pixels at 1024."""
_WHOLE_SHARE: Final = 0.5
"""Share of the views that show the whole image."""
_SPAN: Final = (0.15, 0.95)
"""The object's longer side as a part of a crop's side."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """An image (h, w, 3) uint8 RGB, its longer side that of the model's input, and a mask (h, w) uint8 0/1."""

    image: Array
    mask: Array

    def __repr__(self) -> str:
        return f"View(image={self.image.shape})"

    @property
    def usable(self) -> bool:
        """Whether enough of the object is visible."""
        side = max(self.mask.shape)
        return bool(self.mask.sum() >= max(1, MIN_OBJECT_SHARE * side * side))


def draw_view(annotated: AnnotatedImage, rng: np.random.Generator, *, side: int) -> View:
    """A whole image, mirrored or not, in half of the draws; otherwise a square crop around the object."""
    view = _whole(annotated, rng, side=side) if rng.random() < _WHOLE_SHARE else _crop(annotated, rng, side=side)
    return View(image=_recolour(view.image, rng), mask=view.mask)


def _whole(annotated: AnnotatedImage, rng: np.random.Generator, *, side: int) -> View:
    """The whole image, resized as the model's own transform does it, mirrored in half of the draws."""
    height, width = annotated.mask.shape
    size = LongestSide(side)((height, width)).input
    step = -1 if rng.random() < 0.5 else 1
    image = resize_image(annotated.image[:, ::step], size)
    mask = resize_image(mask_image(annotated.mask[:, ::step] > 0), size)[..., 0] > 127
    return View(image=image, mask=mask.astype(np.uint8))


def _crop(annotated: AnnotatedImage, rng: np.random.Generator, *, side: int) -> View:
    """A square crop with the object somewhere in it."""
    matrix = object_crop(annotated.mask, side, rng, span=_SPAN)
    return View(image=warp(annotated.image, matrix, side), mask=warp_mask(annotated.mask, matrix, side))


def _recolour(image: Array, rng: np.random.Generator) -> Array:
    """The image with another brightness, contrast and tint: typically 8 of 255, 12 % and 4 % per channel; chosen."""
    gain, offset = math.exp(rng.normal(0, 0.12)), rng.normal(0, 8)
    tint = np.exp(rng.normal(0, 0.04, size=3)) * gain
    changed = image * tint.astype(np.float32) + np.float32(offset)
    return np.asarray(np.clip(changed, 0, 255), dtype=np.uint8)

"""A scene made from photos: a moving cut-out, what lies behind it, and a distractor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from persam_hq.training.sources import Array, Photo
from persam_hq.training.warps import Bend, Matrix, object_crop, place, similarity, warp, warp_mask

LayerName = Literal["main", "back", "distractor"]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A cut-out in the crop's frame: image (S, S, 3) uint8 and mask (S, S) uint8 of 0/1."""

    image: Array
    mask: Array

    def __repr__(self) -> str:
        return f"Layer({self.image.shape})"

    def moved(self, matrix: Matrix, bend: Bend) -> Layer:
        """The layer after an affine motion (3, 3) and a smooth bend."""
        size = self.mask.shape
        image = cv2.warpAffine(self.image, matrix[:2], size, borderMode=cv2.BORDER_REFLECT_101)
        mask = cv2.warpAffine(self.mask * np.uint8(255), matrix[:2], size)
        image = cv2.remap(image, bend.x, bend.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        mask = cv2.remap(mask, bend.x, bend.y, cv2.INTER_LINEAR)
        return Layer(image=np.asarray(image, dtype=np.uint8), mask=(np.asarray(mask) > 127).astype(np.uint8))


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """How the layers lie over each other.

    back: None where the object is not cut out: its whole photo moves with it. on_top: the distractor hides the object
    from the second frame on, instead of lying behind it. vanishing: the frame that the object is missing from.
    """

    main: Layer
    back: Layer | None
    distractor: Layer | None
    on_top: bool
    vanishing: int | None

    def frame(self, index: int, motion: Mapping[LayerName, Matrix], bend: Bend) -> tuple[Array, Array]:
        """Image (S, S, 3) and the object's visible mask (S, S) after each layer's motion (3, 3)."""
        visible = self.main.moved(motion["main"], bend)
        canvas = visible.image if self.back is None else self.back.moved(motion["back"], bend).image
        shown = visible.mask if index != self.vanishing else np.zeros_like(visible.mask)
        other = None if self.distractor is None else self.distractor.moved(motion["distractor"], bend)
        behind = None if self.on_top else other
        before = other if self.on_top and index > 0 else None

        if behind is not None:
            canvas = _paste(canvas, behind)
        if self.back is not None or behind is not None:
            canvas = _paste(canvas, Layer(image=visible.image, mask=shown))
        if before is not None:
            canvas = _paste(canvas, before)
            shown = shown * (1 - before.mask)
        return canvas, shown


def pick_segment(photo: Photo, rng: np.random.Generator) -> Array | None:
    """A random segment of a photo, or a union of some, as a mask (H, W) of 0/1; None where it is no good target."""
    labels = photo.labels[int(rng.integers(len(photo.labels)))]
    ids = np.unique(labels)
    if photo.background:
        ids = ids[ids != 0]
    if len(ids) == 0:
        return None
    if photo.background and rng.random() < 0.5:
        mask = labels != 0
    else:
        number = min(len(ids), 1 + int(rng.random() < 0.3) + int(rng.random() < 0.1))
        mask = np.isin(labels, rng.choice(ids, size=number, replace=False))
    share = float(mask.mean())
    return mask.astype(np.uint8) if 0.004 < share < 0.6 else None


def make_scene(
    photo: Photo, mask: Array, *, others: Sequence[Photo], length: int, size: int, rng: np.random.Generator
) -> Scene:
    """The segment `mask` (H, W) of a photo as a scene of `length` frames: cut out or not, with a distractor or not."""
    matrix = object_crop(mask, size, rng, span=(0.2, 0.85))
    main = Layer(image=warp(photo.image, matrix, size), mask=warp_mask(mask, matrix, size))
    cut_out = rng.random() < 0.6
    back = _background(others, size, rng) if cut_out else None
    distractor = _distractor(photo, mask, others, size, rng) if rng.random() < 0.5 else None
    vanishing = int(rng.integers(1, length)) if cut_out and rng.random() < 0.2 else None
    on_top = bool(rng.random() < 0.4)
    return Scene(main=main, back=back, distractor=distractor, on_top=on_top, vanishing=vanishing)


def _paste(canvas: Array, layer: Layer) -> Array:
    alpha = cv2.GaussianBlur(layer.mask.astype(np.float32), (0, 0), 0.8)[..., None]
    return (layer.image * alpha + canvas * (1 - alpha)).astype(np.uint8)


def _background(others: Sequence[Photo], size: int, rng: np.random.Generator) -> Layer:
    photo = others[int(rng.integers(len(others)))]
    height, width = photo.image.shape[:2]
    scale = size / min(height, width) * rng.uniform(1.0, 2.0)
    linear = similarity(scale=scale, angle=rng.normal(0, 0.1), flip=bool(rng.random() < 0.5))
    source = (rng.uniform(0.3, 0.7) * width, rng.uniform(0.3, 0.7) * height)
    image = warp(photo.image, place(linear, source=source, destination=(size / 2, size / 2)), size)
    return Layer(image=image, mask=np.zeros((size, size), np.uint8))


def _distractor(
    photo: Photo, mask: Array, others: Sequence[Photo], size: int, rng: np.random.Generator
) -> Layer | None:
    """Another object, or a second copy of the same kind: the same cut-out would be a twin, so it is recoloured."""
    twin = rng.random() < 0.25
    other = photo if twin else others[int(rng.integers(len(others)))]
    cut = mask if twin else pick_segment(other, rng)
    if cut is None:
        return None
    matrix = object_crop(cut, size, rng, span=(0.15, 0.5))
    image = warp(other.image, matrix, size)
    if twin:
        image = np.clip(image.astype(np.float32) * rng.uniform(0.5, 1.4, size=3), 0, 255).astype(np.uint8)
    return Layer(image=image, mask=warp_mask(cut, matrix, size))

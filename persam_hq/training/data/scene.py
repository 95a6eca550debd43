"""A scene made from photos: a moving cut-out, what lies behind it, and a distractor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from persam_hq.training.data.datasets import Array, Photo
from persam_hq.training.data.warps import (
    Bend,
    Matrix,
    bend,
    filling_position,
    jolt,
    object_crop,
    place,
    similarity,
    warp,
    warp_mask,
)

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


def pick_segment(photo: Photo, rng: np.random.Generator, *, unions: bool = True) -> Array | None:
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
        number = min(len(ids), 1 + int(rng.random() < 0.3) + int(rng.random() < 0.1)) if unions else 1
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


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What a video's object is put into: another background, a distractor, both, or (rarely) neither.

    on_top: the distractor hides the object from the second frame on, instead of lying behind it.
    """

    back: Layer | None
    distractor: Layer | None
    on_top: bool


def make_surroundings(others: Sequence[Photo], *, size: int, rng: np.random.Generator) -> Surroundings:
    """A background from a photo or none, and a distractor or none, for a crop of `size` pixels."""
    back = _background(others, size, rng) if rng.random() < 0.65 else None
    photo = others[int(rng.integers(len(others)))]
    segment = pick_segment(photo, rng) if back is None or rng.random() < 0.5 else None
    distractor = None
    if segment is not None:
        matrix = object_crop(segment, size, rng, span=(0.15, 0.5))
        distractor = Layer(image=warp(photo.image, matrix, size), mask=warp_mask(segment, matrix, size))
    return Surroundings(back=back, distractor=distractor, on_top=bool(rng.random() < 0.5))


def recompose(frames: Array, masks: Array, surroundings: Surroundings, rng: np.random.Generator) -> tuple[Array, Array]:
    """Frames (T, S, S, 3) and the object's masks (T, S, S) with other surroundings, which move on their own."""
    size = masks.shape[-1]
    made, shown = [], []
    layers: dict[LayerName, Layer | None] = {"back": surroundings.back, "distractor": surroundings.distractor}
    motion: dict[LayerName, Matrix] = dict.fromkeys(layers, np.eye(3))
    still = bend(size, rng, strength=0.0)
    for index, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        back, other = (None if layer is None else layer.moved(motion[name], still) for name, layer in layers.items())
        canvas = frame if back is None else back.image
        if other is not None:
            canvas = _paste(canvas, other)
        hidden = other is not None and surroundings.on_top and index > 0
        visible = mask * (1 - other.mask) if other is not None and hidden else mask
        made.append(_paste(canvas, Layer(image=frame, mask=visible)))
        shown.append(visible)
        motion = {name: jolt(size, rng, strength=0.5 if name == "back" else 1.5) @ m for name, m in motion.items()}
    return np.stack(made), np.stack(shown)


def _paste(canvas: Array, layer: Layer) -> Array:
    alpha = cv2.GaussianBlur(layer.mask.astype(np.float32), (0, 0), 0.8)[..., None]
    return (layer.image * alpha + canvas * (1 - alpha)).astype(np.uint8)


def photo_background(others: Sequence[Photo], size: int, rng: np.random.Generator) -> Array:
    """Some part of some photo, (S, S, 3) uint8."""
    photo = others[int(rng.integers(len(others)))]
    height, width = photo.image.shape[:2]
    scale = size / min(height, width) * rng.uniform(1.0, 2.0)
    linear = similarity(scale=scale, angle=rng.normal(0, 0.1), flip=bool(rng.random() < 0.5))
    x, y = rng.uniform(0.3, 0.7) * width, rng.uniform(0.3, 0.7) * height
    left, right = (x, width - x) if np.linalg.det(linear) > 0 else (width - x, x)
    middle = (
        filling_position(size / 2, size=size, before=scale * left, after=scale * right),
        filling_position(size / 2, size=size, before=scale * y, after=scale * (height - y)),
    )
    return warp(photo.image, place(linear, source=(x, y), destination=middle), size)


def _background(others: Sequence[Photo], size: int, rng: np.random.Generator) -> Layer:
    return Layer(image=photo_background(others, size, rng), mask=np.zeros((size, size), np.uint8))


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

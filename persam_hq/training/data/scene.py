"""Synthetic scenes of training clips: a moving cut-out of a photo, a background behind it, and a distractor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np

from persam_hq.training.data.datasets import Array, Photo
from persam_hq.training.data.warps import (
    Deformation,
    Matrix,
    affine_map,
    filling_position,
    linear_map,
    object_crop,
    random_deformation,
    random_motion,
    warp,
    warp_mask,
)

LayerName = Literal["main", "back", "distractor"]

# Shares and sizes below without a source are chosen, such that the clips look like videos with an occasional surprise.
EDGE_BLUR: Final = 0.8
"""Pixels of blur along the edge of what is pasted: about that of a photo's own edges."""
MIN_SEGMENT_SHARE, MAX_SEGMENT_SHARE = 0.004, 0.6
"""Smaller segments of a photo are details and larger ones its background."""
CUT_OUT_SHARE: Final = 0.6
"""Share of the photo clips whose object lies alone over another photo; in the others its whole photo moves."""
DISTRACTOR_SHARE: Final = 0.5
VANISHING_SHARE: Final = 0.2
"""Share of the cut-outs that are missing from one frame."""
ON_TOP_SHARE: Final = 0.4
"""Share of the distractors that hide the object instead of lying behind it."""
TWIN_SHARE: Final = 0.25
"""Share of the distractors that are a second copy of the object, in other colours."""
BACKGROUND_STRENGTH: Final = 0.5
"""Backgrounds move half as much as objects."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A cut-out in the frame of the crop: image (S, S, 3) uint8 and mask (S, S) uint8 of 0/1."""

    image: Array
    mask: Array

    def __repr__(self) -> str:
        return f"Layer({self.image.shape})"

    def moved(self, matrix: Matrix, deformation: Deformation) -> Layer:
        """The layer after an affine motion (3, 3) and a smooth deformation."""
        size = self.mask.shape
        image = cv2.warpAffine(self.image, matrix[:2], size, borderMode=cv2.BORDER_REFLECT_101)
        mask = cv2.warpAffine(self.mask * np.uint8(255), matrix[:2], size)
        image = cv2.remap(image, deformation.x, deformation.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        mask = cv2.remap(mask, deformation.x, deformation.y, cv2.INTER_LINEAR)
        return Layer(image=np.asarray(image, dtype=np.uint8), mask=(np.asarray(mask) > 127).astype(np.uint8))


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The layers of one clip and their order.

    back: None where the object is not cut out: its whole photo moves with it. on_top: the distractor hides the object
    from the second frame on, instead of lying behind it. vanishing: index of the frame without the object, or None.
    """

    main: Layer
    back: Layer | None
    distractor: Layer | None
    on_top: bool
    vanishing: int | None

    def frame(self, index: int, motion: Mapping[LayerName, Matrix], deformation: Deformation) -> tuple[Array, Array]:
        """Image (S, S, 3) and the object's visible mask (S, S) after each layer's motion (3, 3)."""
        # Where each layer is on this frame
        visible = self.main.moved(motion["main"], deformation)
        canvas = visible.image if self.back is None else self.back.moved(motion["back"], deformation).image
        shown = visible.mask if index != self.vanishing else np.zeros_like(visible.mask)
        other = None if self.distractor is None else self.distractor.moved(motion["distractor"], deformation)
        behind = None if self.on_top else other
        before = other if self.on_top and index > 0 else None

        # From back to front; a whole photo holds its object already, unless something was pasted over it
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

    # Where 0 is background, all segments together are an object as often as one of them (a person and the clothes)
    if photo.background and rng.random() < 0.5:
        mask = labels != 0
    else:
        number = min(len(ids), 1 + int(rng.random() < 0.3) + int(rng.random() < 0.1)) if unions else 1
        mask = np.isin(labels, rng.choice(ids, size=number, replace=False))
    share = float(mask.mean())
    return mask.astype(np.uint8) if MIN_SEGMENT_SHARE < share < MAX_SEGMENT_SHARE else None


def make_scene(
    photo: Photo, mask: Array, *, others: Sequence[Photo], length: int, size: int, rng: np.random.Generator
) -> Scene:
    """The segment `mask` (H, W) of a photo as a scene of `length` frames: cut out or not, with a distractor or not."""
    matrix = object_crop(mask, size, rng, span=(0.2, 0.85))
    main = Layer(image=warp(photo.image, matrix, size), mask=warp_mask(mask, matrix, size))
    cut_out = rng.random() < CUT_OUT_SHARE
    back = _background(others, size, rng) if cut_out else None
    distractor = _distractor(photo, mask, others, size, rng) if rng.random() < DISTRACTOR_SHARE else None
    vanishing = int(rng.integers(1, length)) if cut_out and rng.random() < VANISHING_SHARE else None
    on_top = bool(rng.random() < ON_TOP_SHARE)
    return Scene(main=main, back=back, distractor=distractor, on_top=on_top, vanishing=vanishing)


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What the object of a video is put into: another background, a distractor, both, or (rarely) neither.

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
    # Of strength 0 it deforms nothing, but takes its draws all the same, which later ones depend on
    still = random_deformation(size, rng, strength=0.0)
    for index, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        back, other = (None if layer is None else layer.moved(motion[name], still) for name, layer in layers.items())
        canvas = frame if back is None else back.image
        if other is not None:
            canvas = _paste(canvas, other)

        # The object over both, less what the distractor hides; the first frame shows all of it
        hidden = other is not None and surroundings.on_top and index > 0
        visible = mask * (1 - other.mask) if other is not None and hidden else mask
        made.append(_paste(canvas, Layer(image=frame, mask=visible)))
        shown.append(visible)
        motion = {
            name: random_motion(size, rng, strength=BACKGROUND_STRENGTH if name == "back" else 1.5) @ m
            for name, m in motion.items()
        }
    return np.stack(made), np.stack(shown)


def _paste(canvas: Array, layer: Layer) -> Array:
    """The layer over a canvas (S, S, 3), with a soft edge."""
    alpha = cv2.GaussianBlur(layer.mask.astype(np.float32), (0, 0), EDGE_BLUR)[..., None]
    return (layer.image * alpha + canvas * (1 - alpha)).astype(np.uint8)


def photo_background(others: Sequence[Photo], size: int, rng: np.random.Generator) -> Array:
    """A random part of a random photo, (S, S, 3) uint8, at up to twice the scale that just fills the crop."""
    photo = others[int(rng.integers(len(others)))]
    height, width = photo.image.shape[:2]
    scale = size / min(height, width) * rng.uniform(1.0, 2.0)
    linear = linear_map(scale=scale, angle=rng.normal(0, 0.1), flip=bool(rng.random() < 0.5))

    # A point of the middle of the photo, put where the photo fills the crop
    x, y = rng.uniform(0.3, 0.7) * width, rng.uniform(0.3, 0.7) * height
    left, right = (x, width - x) if np.linalg.det(linear) > 0 else (width - x, x)
    middle = (
        filling_position(size / 2, size=size, before=scale * left, after=scale * right),
        filling_position(size / 2, size=size, before=scale * y, after=scale * (height - y)),
    )
    return warp(photo.image, affine_map(linear, source=(x, y), destination=middle), size)


def _background(others: Sequence[Photo], size: int, rng: np.random.Generator) -> Layer:
    """`photo_background` as a layer; its mask is not used."""
    return Layer(image=photo_background(others, size, rng), mask=np.zeros((size, size), np.uint8))


def _distractor(
    photo: Photo, mask: Array, others: Sequence[Photo], size: int, rng: np.random.Generator
) -> Layer | None:
    """Another object, or a second copy of this one, recoloured so that something tells the two apart."""
    twin = rng.random() < TWIN_SHARE
    other = photo if twin else others[int(rng.integers(len(others)))]
    cut = mask if twin else pick_segment(other, rng)
    if cut is None:
        return None
    matrix = object_crop(cut, size, rng, span=(0.15, 0.5))
    image = warp(other.image, matrix, size)
    if twin:
        image = np.clip(image.astype(np.float32) * rng.uniform(0.5, 1.4, size=3), 0, 255).astype(np.uint8)
    return Layer(image=image, mask=warp_mask(cut, matrix, size))

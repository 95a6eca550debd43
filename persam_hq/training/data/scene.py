"""Synthetic scenes of training clips: a moving cut-out of a photo, a background behind it, and a distractor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
FEWEST_LOOK_ALIKE_PIXELS: Final = 200
"""Smaller objects would only be a blot when they are pasted beside themselves."""
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
TWIN_SHARE: Final = 0.35
"""Share of the distractors that are a second copy of the object, most of them in other colours."""
RECOLOURED_SHARE: Final = 0.7
"""Share of the second copies in other colours; the rest can be told from the object by where they were alone."""
THINGS_SHARE: Final = 0.8
"""Share of the targets of a panoptic photo that are one of its things; the rest is anything, and unions."""
BACKGROUND_STRENGTH: Final = 0.5
"""Backgrounds move half as much as objects."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A cut-out: image (H, W, 3) uint8 and mask (H, W) uint8 of 0/1, and where both lie in the crop.

    base: the affine matrix (2, 3) from the image to the crop; None where the image is the crop itself.
    """

    image: Array
    mask: Array
    base: Matrix | None = None

    def __repr__(self) -> str:
        return f"Layer({self.image.shape})"

    def moved(self, matrix: Matrix, deformation: Deformation, *, mirrored: bool = True) -> Layer:
        """The layer in the crop (S, S) after an affine motion (3, 3) and a smooth deformation.

        Beyond the image's border it goes on `mirrored`, or ends: a mirrored object would have no mask.
        """
        # Straight from the image, so that what a camera zooms in on stays sharp
        size = deformation.x.shape[0]
        if self.base is not None:
            matrix = matrix @ np.vstack([self.base, [0, 0, 1]])
        moved = warp(self.image, matrix[:2], size, mirrored=mirrored)
        mask = cv2.warpAffine(self.mask * np.uint8(255), matrix[:2], (size, size))
        image = cv2.remap(moved, deformation.x, deformation.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        mask = cv2.remap(mask, deformation.x, deformation.y, cv2.INTER_LINEAR)
        return Layer(image=np.asarray(image, dtype=np.uint8), mask=(np.asarray(mask) > 127).astype(np.uint8))


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The layers of one clip and their order.

    back: None where the object is not cut out: its whole photo moves with it. on_top: the distractor hides the object
    from the second frame on, instead of lying behind it. vanishing: indices of the frames without the object.
    beside: another segment (H, W) of the object's photo, where that is seen whole, or None.
    """

    main: Layer
    back: Layer | None
    distractor: Layer | None
    on_top: bool
    vanishing: frozenset[int] = frozenset()
    beside: Array | None = None

    def frame(
        self, index: int, motion: Mapping[LayerName, Matrix], deformation: Deformation
    ) -> tuple[Array, Array, Array]:
        """Image (S, S, 3), the object's visible mask (S, S) after each layer's motion (3, 3), and that of another one.

        The other one is the distractor, or else another segment of the photo; its mask is empty without either.
        """
        # Where each layer is on this frame
        visible = self.main.moved(motion["main"], deformation, mirrored=self.back is not None)
        canvas = visible.image if self.back is None else self.back.moved(motion["back"], deformation).image
        shown = visible.mask if index not in self.vanishing else np.zeros_like(visible.mask)
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

        # What a prompt could mean instead
        if before is not None:
            return canvas, shown, before.mask
        if behind is not None:
            return canvas, shown, behind.mask * (1 - shown)
        if self.beside is not None:
            beside = replace(self.main, mask=self.beside).moved(motion["main"], deformation)
            return canvas, shown, beside.mask * (1 - shown)
        return canvas, shown, np.zeros_like(shown)


def pick_segment(photo: Photo, rng: np.random.Generator, *, unions: bool = True) -> Array | None:
    """A random segment of a photo, or a union of some, as a mask (H, W) of 0/1; None where it is no good target."""
    labels = photo.labels[int(rng.integers(len(photo.labels)))]
    ids = np.unique(labels)
    if photo.background:
        ids = ids[ids != 0]
    if photo.unlabelled is not None:
        ids = ids[ids != photo.unlabelled]
    # Where it is known what is an object, that is what is mostly tracked, and by itself
    things = [int(each) for each in ids if int(each) in photo.things]
    if things and rng.random() < THINGS_SHARE:
        ids, unions = np.array(things), False
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
    photo: Photo,
    mask: Array,
    *,
    others: Sequence[Photo],
    length: int,
    size: int,
    rng: np.random.Generator,
    span: tuple[float, float] = (0.2, 0.85),
) -> Scene:
    """The segment `mask` (H, W) of a photo as a scene of `length` frames: cut out or not, with a distractor or not."""
    main = Layer(image=photo.image, mask=mask, base=object_crop(mask, size, rng, span=span))
    cut_out = rng.random() < CUT_OUT_SHARE
    back = _background(others, size, rng) if cut_out else None
    distractor = _distractor(photo, mask, others, size, rng) if rng.random() < DISTRACTOR_SHARE else None
    vanishing: frozenset[int] = frozenset()
    if cut_out and rng.random() < VANISHING_SHARE:
        # For one frame or several, while the scene and its distractor go on
        start = int(rng.integers(1, length))
        vanishing = frozenset(range(start, min(length, start + int(rng.integers(1, 4)))))
    on_top = bool(rng.random() < ON_TOP_SHARE)
    beside = None if cut_out else pick_segment(photo, rng, unions=False)
    return Scene(main=main, back=back, distractor=distractor, on_top=on_top, vanishing=vanishing, beside=beside)


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What the object of a video is put into: another background, a distractor, both, or (rarely) neither.

    on_top: the distractor hides the object from the second frame on, instead of lying behind it.
    """

    back: Layer | None
    distractor: Layer | None
    on_top: bool


def make_surroundings(
    others: Sequence[Photo], *, size: int, rng: np.random.Generator, twin: Layer | None = None
) -> Surroundings:
    """A background from a photo or none, and a distractor or none, for a crop of `size` pixels.

    `twin`: a look-alike, which then is the distractor; mostly in the video's own surroundings.
    """
    if twin is not None:
        back = _background(others, size, rng) if rng.random() < 0.3 else None
        return Surroundings(back=back, distractor=twin, on_top=bool(rng.random() < 0.3))
    back = _background(others, size, rng) if rng.random() < 0.65 else None
    photo = others[int(rng.integers(len(others)))]
    segment = pick_segment(photo, rng) if back is None or rng.random() < 0.5 else None
    distractor = None
    if segment is not None:
        matrix = object_crop(segment, size, rng, span=(0.15, 0.5))
        distractor = Layer(image=warp(photo.image, matrix, size), mask=warp_mask(segment, matrix, size))
    return Surroundings(back=back, distractor=distractor, on_top=bool(rng.random() < 0.5))


def recompose(
    frames: Array,
    masks: Array,
    surroundings: Surroundings,
    rng: np.random.Generator,
    *,
    camera: Sequence[Matrix] | None = None,
) -> tuple[Array, Array, Array]:
    """Frames (T, S, S, 3) and the object's masks (T, S, S) with other surroundings, which move on their own.

    Beside these the masks (T, S, S) of the distractor, as far as it can be seen. `camera`: matrices (3, 3) per frame,
    by which the frames have been moved, and the distractor is too.
    """
    size = masks.shape[-1]
    made, shown, beside = [], [], []
    layers: dict[LayerName, Layer | None] = {"back": surroundings.back, "distractor": surroundings.distractor}
    motion: dict[LayerName, Matrix] = dict.fromkeys(layers, np.eye(3))
    # Of strength 0 it deforms nothing, but takes its draws all the same, which later ones depend on
    still = random_deformation(size, rng, strength=0.0)
    for index, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        # Another background fills the frame whatever the camera does
        seen = motion if camera is None else {**motion, "distractor": camera[index] @ motion["distractor"]}
        back, other = (None if layer is None else layer.moved(seen[name], still) for name, layer in layers.items())
        canvas = frame if back is None else back.image
        if other is not None:
            canvas = _paste(canvas, other)

        # The object over both, less what the distractor hides; the first frame shows all of it
        hidden = other is not None and surroundings.on_top and index > 0
        visible = mask * (1 - other.mask) if other is not None and hidden else mask
        made.append(_paste(canvas, Layer(image=frame, mask=visible)))
        shown.append(visible)
        beside.append(np.zeros_like(visible) if other is None else other.mask * (1 - visible))
        motion = {
            name: random_motion(size, rng, strength=BACKGROUND_STRENGTH if name == "back" else 1.5) @ m
            for name, m in motion.items()
        }
    return np.stack(made), np.stack(shown), np.stack(beside)


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
    if twin and rng.random() < RECOLOURED_SHARE:
        image = np.clip(image.astype(np.float32) * rng.uniform(0.5, 1.4, size=3), 0, 255).astype(np.uint8)
    return Layer(image=image, mask=warp_mask(cut, matrix, size))


def look_alike(image: Array, mask: Array, *, size: int, rng: np.random.Generator) -> Layer | None:
    """The object of `mask` (H, W) in a frame of a video as a distractor beside itself; None where it is too small."""
    if mask.sum() < FEWEST_LOOK_ALIKE_PIXELS:
        return None
    matrix = object_crop(mask, size, rng, span=(0.15, 0.5))
    copy = warp(image, matrix, size)
    if rng.random() < RECOLOURED_SHARE / 2:
        copy = np.clip(copy.astype(np.float32) * rng.uniform(0.6, 1.3, size=3), 0, 255).astype(np.uint8)
    return Layer(image=copy, mask=warp_mask(mask, matrix, size))

"""Training clips of lite: a reference frame and frames to track, cut from videos or made from photos."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from persam_hq.training.data.datasets import Array, Clip, Photo
from persam_hq.training.data.scene import (
    BACKGROUND_STRENGTH,
    LayerName,
    look_alike,
    make_scene,
    make_surroundings,
    pick_segment,
    recompose,
)
from persam_hq.training.data.warps import (
    Matrix,
    camera_path,
    motion_blur,
    object_crop,
    random_deformation,
    random_motion,
    warp,
    warp_mask,
)

# All chosen; what came of training with them is in persam_hq/weights/README.md.
MIN_OBJECT_PIXELS = 80
"""An object smaller than this on the first frame makes no clip: a few cells of the feature map say nothing of it."""
FRAME_STEPS = {1: 0.2, 2: 0.2, 3: 0.2, 5: 0.2, 8: 0.12, 12: 0.08}
"""Distances between the frames of a video, in frames, and how often each is drawn."""
JUMP_SHARE = 0.25
"""Share of the video clips whose first frame is any other one: the object has changed, and is elsewhere."""
RECOMPOSED_SHARE = 0.45
"""Share of the video clips whose object is put into other surroundings."""
SMEARED_SHARE = 0.08
"""Share of the frames that are blurred in one direction, by up to 6 % of the crop, as by fast motion."""
LOOK_ALIKE_SHARE = 0.35
"""Share of the recomposed clips in which the object of another frame moves beside it."""
BLURRED_SHARE = 0.05
"""Share of the frames that are blurred, as by a shake of the camera."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingClip:
    """Frames (T, S, S, 3) uint8 RGB and the object's masks (T, S, S) uint8 0/1; frame 0 always shows the object.

    beside: (T, S, S) masks of another object, which a prompt could mean instead; empty where there is none.
    """

    frames: Array
    masks: Array
    beside: Array

    def __repr__(self) -> str:
        return f"TrainingClip(frames={self.frames.shape})"


def video_clip(
    clip: Clip,
    *,
    others: Sequence[Photo],
    length: int,
    size: int,
    rng: np.random.Generator,
    span: tuple[float, float] = (0.25, 0.95),
) -> TrainingClip | None:
    """Frames at random distances, forwards or backwards, all cut by one crop around the object, and a camera's path.

    In some clips the object moves over a photo instead of where it was, or an object of a photo moves across. None
    where the frame drawn as the first shows no object, or one too small.
    """
    # One object of the first frame, wherever it is on the others
    order = _draw_frames(len(clip.frames), length, rng)
    labels = [clip.labels[k] for k in order]
    ids = np.unique(labels[0])
    ids = ids[ids > 0]
    if len(ids) == 0:
        return None
    chosen = int(rng.choice(ids))
    rest = ids[ids != chosen]
    other = int(rng.choice(rest)) if len(rest) else None
    masks = [(seen == chosen).astype(np.uint8) for seen in labels]
    if masks[0].sum() < MIN_OBJECT_PIXELS:
        return None

    # One crop holds the object on all frames, until the camera moves; one that zooms is about the first frame alone
    camera = camera_path(length, size, rng)
    held = masks[0] if camera.moves else np.maximum.reduce(masks)
    crop = np.vstack([object_crop(held, size, rng, span=camera.span(span)), [0, 0, 1]])
    matrices = [(matrix @ crop)[:2] for matrix in camera.matrices]
    images = [clip.frames[k] for k in order]
    frames = np.stack([warp(image, matrix, size) for image, matrix in zip(images, matrices, strict=True)])
    warped = np.stack([warp_mask(mask, matrix, size) for mask, matrix in zip(masks, matrices, strict=True)])
    beside = np.zeros_like(warped)
    if other is not None:
        seen_beside = [(seen == other).astype(np.uint8) for seen in labels]
        beside = np.stack([warp_mask(mask, matrix, size) for mask, matrix in zip(seen_beside, matrices, strict=True)])

    # Other surroundings, or a look-alike: the object of another frame beside itself
    if others and rng.random() < RECOMPOSED_SHARE:
        twin = None
        if rng.random() < LOOK_ALIKE_SHARE:
            index = int(rng.integers(len(clip.frames)))
            mask = (clip.labels[index] == chosen).astype(np.uint8)
            twin = look_alike(clip.frames[index], mask, size=size, rng=rng)
        surroundings = make_surroundings(others, size=size, rng=rng, twin=twin)
        frames, warped, pasted = recompose(frames, warped, surroundings, rng, camera=camera.matrices)
        beside = pasted if surroundings.back is not None or pasted.any() else beside
    if warped[0].sum() < MIN_OBJECT_PIXELS:
        return None
    return TrainingClip(frames=recolour(frames, rng), masks=warped, beside=beside)


def photo_clip(
    photo: Photo,
    *,
    others: Sequence[Photo],
    length: int,
    size: int,
    rng: np.random.Generator,
    span: tuple[float, float] = (0.2, 0.85),
) -> TrainingClip | None:
    """A photo set in motion: an object alone over another photo, with look-alikes, or the whole scene.

    None where the segment drawn makes no good target, or too little of it is in the crop.
    """
    mask = pick_segment(photo, rng)
    if mask is None:
        return None
    camera = camera_path(length, size, rng)
    scene = make_scene(photo, mask, others=others, length=length, size=size, rng=rng, span=camera.span(span))

    # Motions add up from frame to frame, deformations do not; the camera moves all of it
    frames, masks, beside = [], [], []
    motion: dict[LayerName, Matrix] = {"main": np.eye(3), "back": np.eye(3), "distractor": np.eye(3)}
    for index in range(length):
        if index > 0:
            motion = {
                name: random_motion(size, rng, strength=BACKGROUND_STRENGTH if name == "back" else 1.0) @ m
                for name, m in motion.items()
            }
        seen = {name: camera.matrices[index] @ matrix for name, matrix in motion.items()}
        image, shown, other = scene.frame(index, seen, random_deformation(size, rng, strength=0.012))
        frames.append(image)
        masks.append(shown)
        beside.append(other)
    if masks[0].sum() < MIN_OBJECT_PIXELS:
        return None
    return TrainingClip(frames=recolour(np.stack(frames), rng), masks=np.stack(masks), beside=np.stack(beside))


def _draw_frames(count: int, length: int, rng: np.random.Generator) -> list[int]:
    """Indices of `length` frames out of `count`, evenly spaced, forwards or backwards; the first may be any other."""
    # A short video has room for small distances only
    step = int(rng.choice(list(FRAME_STEPS), p=list(FRAME_STEPS.values())))
    step = min(step, (count - 1) // length)
    start = int(rng.integers(0, count - step * (length - 1)))
    order = [start + step * k for k in range(length)]
    if rng.random() < 0.5:
        order.reverse()
    if rng.random() < JUMP_SHARE:
        order[0] = int(rng.integers(count))
    return order


def recolour(frames: Array, rng: np.random.Generator) -> Array:
    """Frames (T, S, S, 3) uint8 in other colours: one change for the clip, and a small one of its own per frame.

    Typically 15 % of contrast, 12 of 255 of brightness, 20 % of saturation and 5 % per channel; chosen.
    """
    gain, offset = math.exp(rng.normal(0, 0.15)), rng.normal(0, 12)
    saturation, tint = math.exp(rng.normal(0, 0.2)), np.exp(rng.normal(0, 0.05, size=3))
    out = np.empty_like(frames)
    for index, frame in enumerate(frames):
        x = frame.astype(np.float32)
        grey = x.mean(axis=2, keepdims=True)
        own = math.exp(rng.normal(0, 0.04))
        # Saturation about the grey of each pixel, then tint, contrast and brightness
        x = (grey + (x - grey) * saturation) * (tint * gain * own).astype(np.float32) + np.float32(offset)
        out[index] = np.clip(x, 0, 255).astype(np.uint8)
        if rng.random() < SMEARED_SHARE:
            out[index] = motion_blur(out[index], rng, longest=0.06 * frame.shape[0])
        elif rng.random() < BLURRED_SHARE:
            out[index] = cv2.GaussianBlur(out[index], (0, 0), rng.uniform(0.5, 1.5))
    return out

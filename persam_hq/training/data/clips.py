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
    make_scene,
    make_surroundings,
    pick_segment,
    recompose,
)
from persam_hq.training.data.warps import Matrix, object_crop, random_deformation, random_motion, warp, warp_mask

# All chosen; what came of training with them is in persam_hq/weights/README.md.
MIN_OBJECT_PIXELS = 80
"""An object smaller than this on the first frame makes no clip: a few cells of the feature map say nothing of it."""
FRAME_STEPS = {1: 0.2, 2: 0.25, 3: 0.2, 5: 0.2, 8: 0.15}
"""Distances between the frames of a video, in frames, and how often each is drawn."""
JUMP_SHARE = 0.25
"""Share of the video clips whose first frame is any other one: the object has changed, and is elsewhere."""
RECOMPOSED_SHARE = 0.45
"""Share of the video clips whose object is put into other surroundings."""
BLURRED_SHARE = 0.05
"""Share of the frames that are blurred, as by a shake of the camera."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingClip:
    """Frames (T, S, S, 3) uint8 RGB and the object's masks (T, S, S) uint8 0/1; frame 0 always shows the object."""

    frames: Array
    masks: Array

    def __repr__(self) -> str:
        return f"TrainingClip(frames={self.frames.shape})"


def video_clip(
    clip: Clip, *, others: Sequence[Photo], length: int, size: int, rng: np.random.Generator
) -> TrainingClip | None:
    """Frames at random distances, forwards or backwards, all cut by one crop around the object.

    In some clips the object moves over a photo instead of where it was, or an object of a photo moves across. None
    where the frame drawn as the first shows no object, or one too small.
    """
    # One object of the first frame, wherever it is on the others
    order = _draw_frames(len(clip.frames), length, rng)
    ids = np.unique(clip.labels[order[0]])
    ids = ids[ids > 0]
    if len(ids) == 0:
        return None
    chosen = int(rng.choice(ids))
    masks = [(clip.labels[k] == chosen).astype(np.uint8) for k in order]
    if masks[0].sum() < MIN_OBJECT_PIXELS:
        return None

    # One crop holds the object on all frames
    matrix = object_crop(np.maximum.reduce(masks), size, rng, span=(0.25, 0.95))
    frames = np.stack([warp(clip.frames[k], matrix, size) for k in order])
    warped = np.stack([warp_mask(mask, matrix, size) for mask in masks])
    if others and rng.random() < RECOMPOSED_SHARE:
        frames, warped = recompose(frames, warped, make_surroundings(others, size=size, rng=rng), rng)
    if warped[0].sum() < MIN_OBJECT_PIXELS:
        return None
    return TrainingClip(frames=recolour(frames, rng), masks=warped)


def photo_clip(
    photo: Photo, *, others: Sequence[Photo], length: int, size: int, rng: np.random.Generator
) -> TrainingClip | None:
    """A photo set in motion: an object alone over another photo, with look-alikes, or the whole scene.

    None where the segment drawn makes no good target, or too little of it is in the crop.
    """
    mask = pick_segment(photo, rng)
    if mask is None:
        return None
    scene = make_scene(photo, mask, others=others, length=length, size=size, rng=rng)

    # Motions add up from frame to frame, deformations do not
    frames, masks = [], []
    motion: dict[LayerName, Matrix] = {"main": np.eye(3), "back": np.eye(3), "distractor": np.eye(3)}
    for index in range(length):
        if index > 0:
            motion = {
                name: random_motion(size, rng, strength=BACKGROUND_STRENGTH if name == "back" else 1.0) @ m
                for name, m in motion.items()
            }
        image, shown = scene.frame(index, motion, random_deformation(size, rng, strength=0.012))
        frames.append(image)
        masks.append(shown)
    if masks[0].sum() < MIN_OBJECT_PIXELS:
        return None
    return TrainingClip(frames=recolour(np.stack(frames), rng), masks=np.stack(masks))


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
        if rng.random() < BLURRED_SHARE:
            out[index] = cv2.GaussianBlur(out[index], (0, 0), rng.uniform(0.5, 1.5))
    return out

"""The validation picture of lite: one row per clip, the given frame first, then what the network tracks by itself."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor

from persam_hq.build.lite import training_geometry
from persam_hq.modeling.lite.model import Lite
from persam_hq.modeling.lite.window import paste_window
from persam_hq.training.data.clip_batches import Batch
from persam_hq.training.data.datasets import Array
from persam_hq.training.data.rng import StepRng
from persam_hq.training.lite.encoded_frames import EncodedFrame, encode_clips
from persam_hq.training.lite.step_losses import StepLosses
from persam_hq.training.lite.unrolled_tracker import TrainingMemory, UnrolledTracker
from persam_hq.training.losses import mask_iou
from persam_hq.training.recipe import Validation
from persam_hq.training.validation_picture import FOUND, GAP, TILE, TRUTH, tinted

_PURPOSE: Final = 9
"""Keeps the random choices of validation apart from those of training steps with the same seed."""


@torch.no_grad()
def validate_clips(model: Lite, batch: Batch, *, seed: int) -> Validation:
    """Track through the clips of a batch; their picture, and the mean IoU of the tracked frames as `iou_validation`."""
    model = model.on_grids(training_geometry(batch.grid))
    clip = encode_clips(model, batch.frames, batch.masks)
    # Windows and prompts are drawn as in training, the same in every validation
    rng = np.random.default_rng([seed, _PURPOSE])
    chances = StepRng(rng, batch=len(batch.frames), device=batch.frames.device)
    tracker = UnrolledTracker(model, chances=chances, losses=StepLosses(rng))
    reference, memory = tracker.begin(clip[0])
    found = [clip[0].mask]
    for frame in clip[1:]:
        memory = tracker.track(frame, reference, memory)
        reference = tracker.learn(frame, reference, memory)
        found.append(_whole(frame, memory))

    # The first frame was given, so it does not count
    masks = torch.stack(found, dim=1)
    overlap = mask_iou(masks[:, 1:] - 0.5, batch.masks[:, 1:])
    return Validation(picture=_sheet(batch, masks), figures={"iou_validation": float(overlap.mean())})


def _whole(frame: EncodedFrame, memory: TrainingMemory) -> Tensor:
    """The result as masks (B, S, S) float of the whole crop."""
    size = (frame.side, frame.side)
    return (paste_window(memory.logits, memory.windows, size=size, scale=(1.0, 1.0))[:, 0] > 0).float()


def _sheet(batch: Batch, masks: Tensor) -> Array:
    """Clips below each other, frames side by side, (B * (TILE + GAP), T * (TILE + GAP), 3) uint8."""
    rows = []
    for frames, truths, found in zip(batch.frames, batch.masks, masks, strict=True):
        images = frames.permute(0, 2, 3, 1).byte().cpu().numpy()
        tiles = [_tile(*seen) for seen in zip(images, truths.cpu().numpy(), found.cpu().numpy(), strict=True)]
        rows.append(np.hstack(tiles))
    return np.vstack(rows)


def _tile(image: Array, truth: Array, found: Array) -> Array:
    """The mask that was found as a tint, the true one as an outline."""
    tile = tinted(image, found > 0.5, FOUND)
    outlines, _ = cv2.findContours((truth > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(tile, outlines, -1, TRUTH, 1)
    tile = np.asarray(cv2.resize(tile, (TILE, TILE), interpolation=cv2.INTER_AREA))
    return np.pad(tile, ((0, GAP), (0, GAP), (0, 0)), constant_values=255).astype(np.uint8)

"""Validation pictures of SAM-type models: one row per view with image, prompt, true mask and predicted mask."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.training.data.datasets import Array
from persam_hq.training.data.views import View

TILE: Final = 256
"""Pixels of a side of each tile."""
GAP: Final = 4
"""White pixels right of and below each tile."""

# Colours, RGB
POSITIVE, NEGATIVE, TRUTH, FOUND = (40, 220, 40), (230, 40, 40), (60, 140, 255), (255, 170, 40)


def picture_row(view: View, prompts: PromptBatch, logits: Tensor, *, title: str) -> Array:
    """Four tiles side by side, (TILE + GAP, 4 * (TILE + GAP), 3) uint8; logits (L, L') over the padded frame."""
    # All four at the size of the input frame
    side = max(view.mask.shape)
    image = _framed(view.image, side)
    truth = _framed(np.repeat(view.mask[..., None], 3, axis=2), side)[..., 0] > 0
    found = _enlarged(logits, side)
    tiles = [image, _prompted(image, prompts, side), tinted(image, truth, TRUTH), tinted(image, found, FOUND)]

    # Shrunk, titled and set apart
    small = [cv2.resize(tile, (TILE, TILE), interpolation=cv2.INTER_AREA) for tile in tiles]
    cv2.putText(small[-1], title, (6, TILE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    padded = [np.pad(tile, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for tile in small]
    return np.hstack(padded).astype(np.uint8)


def _framed(image: Array, side: int) -> Array:
    """An image (h, w, 3) in the upper left corner of a black square, as the model pads it."""
    height, width = image.shape[:2]
    return np.pad(image, ((0, side - height), (0, side - width), (0, 0)))


def _enlarged(logits: Tensor, side: int) -> NDArray[np.bool_]:
    """The mask (side, side) of logits (L, L')."""
    values = logits.detach().float().cpu().numpy()
    return np.asarray(cv2.resize(values, (side, side), interpolation=cv2.INTER_LINEAR)) > 0


def _prompted(image: Array, prompts: PromptBatch, side: int) -> Array:
    """The image with its prompt: points as discs, a box as its outline, a mask as a tint."""
    out = image.copy()
    if prompts.masks is not None:
        out = tinted(out, _enlarged(prompts.masks[0, 0], side), POSITIVE)
    thickness = max(1, side // 128)
    if prompts.boxes is not None:
        x0, y0, x1, y1 = (round(edge) for edge in prompts.boxes[0].tolist())
        cv2.rectangle(out, (x0, y0), (x1, y1), POSITIVE, thickness)
    if prompts.points is not None:
        positions, labels = (values[0].tolist() for values in prompts.points)
        for (x, y), label in zip(positions, labels, strict=True):
            cv2.circle(out, (round(x), round(y)), 3 * thickness, POSITIVE if label == 1 else NEGATIVE, -1)
    return out


def tinted(image: Array, where: NDArray[np.bool_], colour: tuple[int, int, int]) -> Array:
    """The image with half its colours replaced by `colour` in the mask `where`."""
    mixed = (image.astype(np.uint16) + np.array(colour, np.uint16)) // 2
    return np.where(where[..., None], mixed, image).astype(np.uint8)

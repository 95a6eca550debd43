"""Masks as run lengths, column by column and background first: uncompressed, and as COCO's compressed strings."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from persam_hq.io.rle import coco_counts, run_lengths

__all__ = ["CocoRle", "Rle", "area_from_rle", "coco_encode_rle", "masks_to_rle", "rle_to_mask"]


class Rle(TypedDict):
    """Size [H, W], and the lengths of runs of background and foreground in turn, the first one of background."""

    size: list[int]
    counts: list[int]


class CocoRle(TypedDict):
    """As Rle, the counts in the string that COCO's tools read."""

    size: list[int]
    counts: str


def masks_to_rle(masks: Tensor) -> list[Rle]:
    """(B, H, W) bool to B run-length encodings."""
    _, h, w = masks.shape
    return [Rle(size=[h, w], counts=run_lengths(mask)) for mask in masks.cpu().numpy()]


def rle_to_mask(rle: Rle) -> NDArray[np.bool_]:
    """The mask (H, W) bool."""
    height, width = rle["size"]
    foreground = np.arange(len(rle["counts"])) % 2 == 1
    return np.repeat(foreground, rle["counts"]).reshape(width, height).T


def area_from_rle(rle: Rle) -> int:
    """How many pixels are foreground."""
    return sum(rle["counts"][1::2])


def coco_encode_rle(rle: Rle) -> CocoRle:
    """The same with its counts as COCO compresses them."""
    return CocoRle(size=list(rle["size"]), counts=coco_counts(rle["counts"]))

"""Masks as run lengths, column by column and background first: uncompressed, and as COCO's compressed strings."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
    return [Rle(size=[h, w], counts=_runs(mask.T.reshape(-1))) for mask in masks]


def rle_to_mask(rle: Rle) -> NDArray[np.bool_]:
    """The mask (H, W) bool."""
    height, width = rle["size"]
    foreground = np.arange(len(rle["counts"])) % 2 == 1
    return np.repeat(foreground, rle["counts"]).reshape(width, height).T


def area_from_rle(rle: Rle) -> int:
    """How many pixels are foreground."""
    return sum(rle["counts"][1::2])


def coco_encode_rle(rle: Rle) -> CocoRle:
    """The counts as COCO compresses them: differences to the count but one, five bits a character, lowest first."""
    counts = rle["counts"]
    text = []
    for index, count in enumerate(counts):
        left = count - counts[index - 2] if index > 2 else count
        while True:
            bits = left & 0x1F
            left >>= 5
            last = left == (-1 if bits & 0x10 else 0)  # what is left is the sign that bit 4 shows already
            text.append(chr(48 + (bits if last else bits | 0x20)))
            if last:
                break
    return CocoRle(size=list(rle["size"]), counts="".join(text))


def _runs(flat: Tensor) -> list[int]:
    """Lengths of the runs of (N,) bool, the first one of False and perhaps 0."""
    changes = torch.nonzero(flat[1:] != flat[:-1])[:, 0] + 1
    ends = torch.cat([changes, changes.new_tensor([len(flat)])])
    starts = torch.cat([changes.new_tensor([0]), changes])
    lengths: list[int] = (ends - starts).tolist()
    return [0, *lengths] if bool(flat[0]) else lengths

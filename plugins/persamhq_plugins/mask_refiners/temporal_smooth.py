"""The mask refiner `temporal_smooth`: each mask is blended with the one before it, so that borders do not flicker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from persam_hq.personalization import mask_box
from persam_hq.types import MaskPrediction, PromptSet
from persamhq_plugins.boxes import longer_side
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import Box, Decode, FirstFrame, MaskRefiner, Seen, Slot

Map = NDArray[np.float32]

_SIDE: Final = 128
"""Height and width of the kept mask in cells: 32 KB in float16, half of what a slot may hold."""
_CLOSEST: Final = 1e-6
"""Distance that probabilities keep from 0 and 1, whose logits are infinite."""

Weight = Annotated[float, Field(gt=0, lt=1, description="share of the previous mask in the blend")]
Agreement = Annotated[
    float, Field(ge=0, le=1, description="IoU with the previous mask, moved along, below which nothing is blended")
]


class TemporalSmooth:
    """Blend each mask with the one before it, moved to where the object is now.

    Probabilities are blended, the previous mask's being how much of each of 128 x 128 cells of its box it covers. Where
    the object has changed so much that the two hardly agree the mask stays as it is.
    """

    def __init__(self, *, weight: Weight = 0.2, agreement: Agreement = 0.6) -> None:
        self.weight, self.agreement = weight, agreement

    def fit(self, first: FirstFrame) -> Sequence[Slot]:
        """See Fits: the given masks."""
        return [_kept(mask) for mask in first.masks]

    def remember(self, slot: Slot, seen: Seen) -> Slot:
        """See Remembers: the decided mask, None where the object is absent."""
        del slot
        return None if seen.state == "absent" else _kept(seen.mask)

    def __call__(
        self,
        prediction: MaskPrediction,
        prompts: Sequence[PromptSet],
        decode: Decode,
        image: NDArray[np.uint8],
    ) -> MaskPrediction:
        """See MaskRefiner."""
        del prompts, image
        rows = zip(prediction.logits, prediction.masks, decode.slots, strict=True)
        logits = torch.stack([self._blended(logits, mask, slot) for logits, mask, slot in rows])
        return replace(prediction, masks=logits > 0, logits=logits)

    def _blended(self, logits: torch.Tensor, mask: torch.Tensor, slot: Slot) -> torch.Tensor:
        """Logits (H, W) of one object; what lies outside a window around both masks stays as it was."""
        box = mask_box(mask)
        if slot is None or box is None:
            return logits

        # The previous mask, drawn where the object is now, in a window of the frame
        moved = _centred_on(slot["box"], box.tolist())
        rows, columns = _window(moved, box.tolist(), margin=1 + longer_side(moved) / min(slot["shares"].shape))
        now, inside = logits[rows, columns], mask[rows, columns]
        origin, size = (columns.start, rows.start), (now.shape[1], now.shape[0])
        before = torch.from_numpy(_drawn(slot["shares"], moved, origin=origin, size=size)).to(now)

        # Nothing is blended where the two masks hardly overlap
        both, either = (inside & (before > 0.5)).sum(), (inside | (before > 0.5)).sum()
        if float(both) < self.agreement * float(either):
            return logits

        # The blend of both probabilities, in the window alone
        probability = (1 - self.weight) * torch.sigmoid(now) + self.weight * before
        blended = logits.clone()
        blended[rows, columns] = torch.logit(probability, eps=_CLOSEST)
        return blended


def _kept(mask: torch.Tensor) -> Slot:
    """The slot of a mask (H, W) bool: its box, and the share of each cell of the box that it covers, float16."""
    box = mask_box(mask)
    if box is None:
        return None
    x0, y0, x1, y1 = (int(edge) for edge in box.tolist())
    inside = mask[y0 : y1 + 1, x0 : x1 + 1].cpu().numpy().astype(np.float32)
    height, width = (min(side, _SIDE) for side in inside.shape)
    shares = cv2.resize(inside, (width, height), interpolation=cv2.INTER_AREA)
    return {"box": (x0, y0, x1, y1), "shares": shares.astype(np.float16)}


def _centred_on(box: Box, other: Sequence[float]) -> Box:
    """The box, moved so that its middle is that of the other."""
    across, down = (other[0] + other[2] - box[0] - box[2]) / 2, (other[1] + other[3] - box[1] - box[3]) / 2
    return box[0] + across, box[1] + down, box[2] + across, box[3] + down


def _window(one: Sequence[float], other: Sequence[float], *, margin: float) -> tuple[slice, slice]:
    """Rows and columns that hold both boxes and a margin; they may end beyond the image."""
    low = [max(0, math.floor(min(one[axis], other[axis]) - margin)) for axis in (1, 0)]
    high = [math.ceil(max(one[2 + axis], other[2 + axis]) + margin) + 1 for axis in (1, 0)]
    return slice(low[0], high[0]), slice(low[1], high[1])


def _drawn(kept: NDArray[np.float16], box: Box, *, origin: tuple[int, int], size: tuple[int, int]) -> Map:
    """The kept cells drawn into `box`, in a window of `size` (width, height) with its corner at `origin` (x, y)."""
    rows, columns = kept.shape
    across, down = (box[2] - box[0] + 1) / columns, (box[3] - box[1] + 1) / rows
    # The centre of cell c is c + 0.5 cells from the box's edge, which lies half a pixel before its first pixel's centre
    left, top = box[0] - origin[0] + across / 2 - 0.5, box[1] - origin[1] + down / 2 - 0.5
    onto = np.array([[across, 0, left], [0, down, top]])
    return np.asarray(cv2.warpAffine(kept.astype(np.float32), onto, size, flags=cv2.INTER_LINEAR))


@hookimpl
def persamhq_register_mask_refiners(register: Register[MaskRefiner]) -> None:
    """Register `temporal_smooth`."""
    register.add("temporal_smooth", TemporalSmooth)

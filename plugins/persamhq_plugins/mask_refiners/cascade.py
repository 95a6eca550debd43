"""The mask refiner `cascade`: PerSAM's two passes after the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from persam_hq.personalization import mask_box
from persam_hq.types import MaskPrediction, PromptSet
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import Decode, MaskRefiner


class Cascade:
    """The mask as prompt, then mask and box (PerSAM, cascaded post-refinement)."""

    def __call__(
        self,
        prediction: MaskPrediction,
        prompts: Sequence[PromptSet],
        decode: Decode,
        image: NDArray[np.uint8],
    ) -> MaskPrediction:
        """See MaskRefiner."""
        del image
        second = decode([_with_mask(p, prediction, row) for row, p in enumerate(prompts)])
        boxes = [mask_box(mask) for mask in second.masks]
        return decode([replace(_with_mask(p, second, row), box=boxes[row]) for row, p in enumerate(prompts)])


def _with_mask(prompt: PromptSet, prediction: MaskPrediction, row: int) -> PromptSet:
    """The points alone with an earlier mask; the box comes from that mask, not from the selector."""
    return replace(prompt, mask_input=prediction.low_res_logits[row : row + 1], box=None)


@hookimpl
def persamhq_register_mask_refiners(register: Register[MaskRefiner]) -> None:
    """Offer `cascade`."""
    register.add("cascade", Cascade)

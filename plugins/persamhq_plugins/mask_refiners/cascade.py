"""The mask refiner `cascade`: PerSAM's two passes of the decoder after the first."""

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
        # Second pass: the selector's points and the first mask
        second = decode([_with_mask(p, prediction, row) for row, p in enumerate(prompts)])

        # Third pass: also the second mask's box
        boxes = [mask_box(mask) for mask in second.masks]
        return decode([replace(_with_mask(p, second, row), box=boxes[row]) for row, p in enumerate(prompts)])


def _with_mask(prompt: PromptSet, prediction: MaskPrediction, row: int) -> PromptSet:
    """The prompt's points with the mask of object `row`; the selector's box is dropped, as the mask says more."""
    return replace(prompt, mask_input=prediction.low_res_logits[row : row + 1], box=None)


@hookimpl
def persamhq_register_mask_refiners(register: Register[MaskRefiner]) -> None:
    """Register `cascade`."""
    register.add("cascade", Cascade)

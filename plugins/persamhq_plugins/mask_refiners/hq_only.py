"""The mask refiner `hq_only`: a last pass of the decoder that takes the HQ-Output token's mask alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from persam_hq.types import MaskPrediction, PromptSet
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import Decode, MaskRefiner

WithMask = Annotated[bool, Field(description="the mask so far is one of the prompts; without it the selector's alone")]


class HqOnly:
    """Another pass, of which the mask of the HQ-Output token alone is taken (SAM-HQ, section 3.2).

    Such masks have the finest borders, but the token was trained to correct SAM's masks, not to replace them.
    """

    needs_hq = True

    def __init__(self, *, with_mask: WithMask = True) -> None:
        self.with_mask = with_mask

    def __call__(
        self,
        prediction: MaskPrediction,
        prompts: Sequence[PromptSet],
        decode: Decode,
        image: NDArray[np.uint8],
    ) -> MaskPrediction:
        """See MaskRefiner."""
        del image
        if not self.with_mask:
            return decode.hq_only(prompts)
        so_far = prediction.low_res_logits
        return decode.hq_only([replace(p, mask_input=so_far[row : row + 1]) for row, p in enumerate(prompts)])


@hookimpl
def persamhq_register_mask_refiners(register: Register[MaskRefiner]) -> None:
    """Register `hq_only`."""
    register.add("hq_only", HqOnly)

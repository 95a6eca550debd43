"""The prompt selector `previous_mask`: the object's last mask as a mask prompt, with its box."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from persam_hq.personalization import bottom_points, top_points
from persam_hq.types import LocationPrior, PromptSet
from persamhq_plugins.boxes import centre, grown, longer_side
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import FrameInfo, ObjectView, PromptSelector

Margin = Annotated[float, Field(ge=0, le=4, description="how much the last box grows on each side, in longer sides")]
Centre = Annotated[bool, Field(description="a positive point in the middle of the box")]
LostAfter = Annotated[int, Field(ge=0, description="frames without the object after which its last mask is forgotten")]


class PreviousMask:
    """The last mask as mask prompt and its box, grown; similarity peaks where there is none (SAM, mask prompts)."""

    needs_history = True

    def __init__(self, *, margin: Margin = 0.1, centre: Centre = True, lost_after: LostAfter = 10) -> None:
        self.margin, self.centre, self.lost_after = margin, centre, lost_after

    def __call__(self, prior: LocationPrior, view: ObjectView, frame: FrameInfo) -> PromptSet:
        """See PromptSelector."""
        # Without a mask, or after too long an absence: PerSAM's points
        if view.box is None or view.mask_logits is None or view.missing > self.lost_after:
            positive, negative = top_points(prior.similarity), bottom_points(prior.similarity)
            return PromptSet.from_points(positive=positive.cpu(), negative=negative.cpu())

        # An object that moved out of the decoder's window leaves nothing in its grid; then the box alone is the prompt
        logits = torch.from_numpy(view.mask_logits) if (view.mask_logits > 0).any() else None
        return PromptSet.from_points(
            positive=[centre(view.box)] if self.centre else [],
            box=torch.tensor(grown(view.box, self.margin * longer_side(view.box), frame.size)),
            mask_input=logits,
        )


@hookimpl
def persamhq_register_prompt_selectors(register: Register[PromptSelector]) -> None:
    """Register `previous_mask`."""
    register.add("previous_mask", PreviousMask)

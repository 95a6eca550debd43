"""The prompt selector `persam_video`: the prompts of PerSAM's published video script."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from persam_hq.personalization import top_points
from persam_hq.types import LocationPrior, PromptSet
from persamhq_plugins.boxes import centre, grown
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import FrameInfo, ObjectView, PromptSelector


class PersamVideo:
    """Two similarity peaks, the previous box grown by 10 px, and its centre (PerSAM's video script)."""

    needs_history = True

    def __init__(
        self,
        *,
        num_positive: Annotated[int, Field(ge=1, le=64, description="points on the most similar pixels")] = 2,
        margin: Annotated[int, Field(ge=0, description="pixels that the previous box grows by on each side")] = 10,
    ) -> None:
        self.num_positive, self.margin = num_positive, margin

    def __call__(self, prior: LocationPrior, view: ObjectView, frame: FrameInfo) -> PromptSet:
        """See PromptSelector."""
        positive = top_points(prior.similarity, self.num_positive).cpu()
        # Without a previous box there are the points alone
        if view.box is None:
            return PromptSet.from_points(positive=positive)
        box = grown(view.box, self.margin, frame.size)
        return PromptSet.from_points(positive=torch.cat([positive, torch.tensor([centre(box)])]), box=torch.tensor(box))


@hookimpl
def persamhq_register_prompt_selectors(register: Register[PromptSelector]) -> None:
    """Register `persam_video`."""
    register.add("persam_video", PersamVideo)

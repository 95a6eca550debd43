"""The prompt selector `top_k_points`: PerSAM's positive-negative location prior as points."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from persam_hq.personalization import bottom_points, top_points
from persam_hq.types import LocationPrior, PromptSet
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import FrameInfo, ObjectView, PromptSelector


class TopKPoints:
    """Positive points at the similarity peaks, negative ones at the valleys (PerSAM, location prior)."""

    needs_history = False

    def __init__(
        self,
        *,
        num_positive: Annotated[int, Field(ge=1, le=64, description="points on the most similar pixels")] = 1,
        num_negative: Annotated[int, Field(ge=0, le=64, description="points on the least similar pixels")] = 1,
    ) -> None:
        self.num_positive, self.num_negative = num_positive, num_negative

    def __call__(self, prior: LocationPrior, view: ObjectView, frame: FrameInfo) -> PromptSet:
        """See PromptSelector."""
        del view, frame
        positive = top_points(prior.similarity, self.num_positive).cpu()
        negative = bottom_points(prior.similarity, self.num_negative).cpu()
        return PromptSet.from_points(positive=positive, negative=negative)


@hookimpl
def persamhq_register_prompt_selectors(register: Register[PromptSelector]) -> None:
    """Register `top_k_points`."""
    register.add("top_k_points", TopKPoints)

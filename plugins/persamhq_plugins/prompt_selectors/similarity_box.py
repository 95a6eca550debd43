"""The prompt selector `similarity_box`: a box around the most similar region, and a point on its peak."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from persam_hq.types import LocationPrior, PromptSet
from persamhq_plugins.boxes import grown, longer_side
from persamhq_plugins.score_map import peak_region
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import FrameInfo, ObjectView, PromptSelector

Threshold = Annotated[
    float, Field(ge=0, le=1, description="what belongs to the region: 0 the similarity's mean, 1 its maximum")
]
Margin = Annotated[float, Field(ge=0, le=4, description="how much the box grows on each side, in longer sides")]


class SimilarityBox:
    """A box around the region of the similarity peak, and a positive point on the peak (after PerSAM, section 3.2)."""

    needs_history = False

    def __init__(self, *, threshold: Threshold = 0.5, margin: Margin = 0.1) -> None:
        self.threshold, self.margin = threshold, margin

    def __call__(self, prior: LocationPrior, view: ObjectView, frame: FrameInfo) -> PromptSet:
        """See PromptSelector."""
        del view
        peak, box = peak_region(prior.similarity.float().cpu().numpy(), share=self.threshold)
        box = grown(box, self.margin * longer_side(box), frame.size)
        return PromptSet.from_points(positive=[peak], box=torch.tensor(box))


@hookimpl
def persamhq_register_prompt_selectors(register: Register[PromptSelector]) -> None:
    """Register `similarity_box`."""
    register.add("similarity_box", SimilarityBox)

"""The prompt selector `multi_peak`: a point on each high peak of the similarity, for targets with several instances."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from persam_hq.types import LocationPrior, PromptSet
from persamhq_plugins.score_map import find_peaks, level
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import FrameInfo, ObjectView, PromptSelector

Count = Annotated[int, Field(ge=1, le=64, description="positive points at most")]
Valleys = Annotated[int, Field(ge=0, le=64, description="negative points")]
Threshold = Annotated[
    float, Field(ge=0, le=1, description="which peaks count: 0 those above the similarity's mean, 1 the highest alone")
]
Reach = Annotated[float, Field(gt=0, le=1, description="how far points lie apart, in longer sides of the image")]


class MultiPeak:
    """Positive points on all high peaks of the similarity, far from each other, negative ones in its valleys.

    For one target with several instances in a frame, which the one peak of PerSAM's location prior cannot say.
    """

    needs_history = False

    def __init__(
        self, *, num_positive: Count = 5, num_negative: Valleys = 1, threshold: Threshold = 0.6, reach: Reach = 0.08
    ) -> None:
        self.num_positive, self.num_negative = num_positive, num_negative
        self.threshold, self.reach = threshold, reach

    def __call__(self, prior: LocationPrior, view: ObjectView, frame: FrameInfo) -> PromptSet:
        """See PromptSelector."""
        del view
        similarity = prior.similarity.float().cpu().numpy()
        reach, lowest = self.reach * max(frame.size), level(similarity, self.threshold)
        return PromptSet.from_points(
            positive=find_peaks(similarity, count=self.num_positive, reach=reach, at_least=lowest),
            negative=find_peaks(-similarity, count=self.num_negative, reach=reach),
        )


@hookimpl
def persamhq_register_prompt_selectors(register: Register[PromptSelector]) -> None:
    """Register `multi_peak`."""
    register.add("multi_peak", MultiPeak)

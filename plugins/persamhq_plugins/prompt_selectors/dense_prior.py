"""The prompt selector `dense_prior`: no prompts, as lite's decoder has a dense location prior instead."""

from __future__ import annotations

from persam_hq.types import LocationPrior, PromptSet
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import FrameInfo, ObjectView, PromptSelector


class DensePrior:
    """No prompt at all: lite's dense location prior says everything (lite only)."""

    needs_history = False
    needs_dense_prior = True

    def __call__(self, prior: LocationPrior, view: ObjectView, frame: FrameInfo) -> PromptSet:
        """See PromptSelector."""
        del prior, view, frame
        return PromptSet.from_points()


@hookimpl
def persamhq_register_prompt_selectors(register: Register[PromptSelector]) -> None:
    """Register `dense_prior`."""
    register.add("dense_prior", DensePrior)

"""The built-in prompt selectors: PerSAM's points, its video prompts, and none beside the dense location prior."""

from __future__ import annotations

import torch

from persam_hq.personalization import bottom_points, top_points
from persam_hq.types import LocationPrior, PromptSet
from persamhq_video.plugin import hookimpl
from persamhq_video.plugin.register import Register
from persamhq_video.protocols import FrameInfo, ObjectView, PromptSelector


class TopKPoints:
    """Positive points at the similarity peaks, negative ones at the valleys (PerSAM, location prior)."""

    needs_history = False

    def __init__(self, *, num_positive: int = 1, num_negative: int = 1) -> None:
        self.num_positive, self.num_negative = num_positive, num_negative

    def __call__(self, prior: LocationPrior, view: ObjectView, frame: FrameInfo) -> PromptSet:
        """See PromptSelector."""
        del view, frame
        positive = top_points(prior.similarity, self.num_positive).cpu()
        negative = bottom_points(prior.similarity, self.num_negative).cpu()
        return PromptSet.from_points(positive=positive, negative=negative)


class PersamVideo:
    """Two similarity peaks, the previous box grown by 10 px, and its centre (PerSAM's video script)."""

    needs_history = True

    def __init__(self, *, num_positive: int = 2, margin: int = 10) -> None:
        self.num_positive, self.margin = num_positive, margin

    def __call__(self, prior: LocationPrior, view: ObjectView, frame: FrameInfo) -> PromptSet:
        """See PromptSelector."""
        positive = top_points(prior.similarity, self.num_positive).cpu()
        if view.box is None:
            return PromptSet.from_points(positive=positive)
        height, width = frame.size
        x0, y0, x1, y1 = view.box
        x0, y0 = max(0.0, x0 - self.margin), max(0.0, y0 - self.margin)
        x1, y1 = min(float(width), x1 + self.margin), min(float(height), y1 + self.margin)
        centre = torch.tensor([[(x0 + x1) // 2, (y0 + y1) // 2]])
        return PromptSet.from_points(positive=torch.cat([positive, centre]), box=torch.tensor([x0, y0, x1, y1]))


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
    """Offer the built-in selectors."""
    register.add("top_k_points", TopKPoints)
    register.add("persam_video", PersamVideo)
    register.add("dense_prior", DensePrior)

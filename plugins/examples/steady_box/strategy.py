"""The prompt selector `steady_box`: a box that neither jumps nor jitters."""

from typing import Annotated

import torch
from pydantic import Field

from persam_hq.personalization import mask_box, top_points
from persam_hq.types import LocationPrior, PromptSet
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import FrameInfo, ObjectView, PromptSelector, Seen, Slot


class SteadyBox:
    """The similarity peak, and a box around the last one's middle, as large as the object has been on average."""

    needs_history = True

    def __init__(
        self,
        *,
        memory: Annotated[float, Field(ge=0, lt=1, description="share of the past in the running mean")] = 0.8,
        margin: Annotated[float, Field(ge=0, description="how far the box is grown, in pixels")] = 5.0,
    ) -> None:
        self.memory, self.margin = memory, margin

    def __call__(self, prior: LocationPrior, view: ObjectView, frame: FrameInfo) -> PromptSet:
        """Prompts in pixels of the frame."""
        peak = top_points(prior.similarity, 1)
        if view.box is None or view.slot is None:
            return PromptSet.from_points(positive=peak)
        height, width = frame.size
        x0, y0, x1, y1 = view.box
        half = torch.tensor(view.slot) / 2 + self.margin
        middle = torch.tensor([x0 + x1, y0 + y1]) / 2
        box = torch.cat([middle - half, middle + half])
        edge = torch.tensor([width, height, width, height])
        return PromptSet.from_points(positive=peak, box=torch.minimum(box.clamp(min=0), edge))

    def remember(self, slot: Slot, seen: Seen) -> Slot:
        """The running mean of the object's width and height; as it was where the object is not seen."""
        box = mask_box(seen.mask)
        if box is None:
            return slot
        # The box holds the first and the last column and row, so a side is one pixel longer than their distance
        sides = (1 + box[2:] - box[:2]).tolist()
        if slot is None:
            return sides
        return [self.memory * past + (1 - self.memory) * side for past, side in zip(slot, sides, strict=True)]


@hookimpl
def persamhq_register_prompt_selectors(register: Register[PromptSelector]) -> None:
    """Register it under its name."""
    register.add("steady_box", SteadyBox)

"""The mask refiner `scale_weights`: PerSAM-F's choice between SAM's three scales, fitted to the first frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from persam_hq.personalization import fit_scale_weights, weigh_masks
from persam_hq.types import MaskPrediction, PromptSet
from persamhq_video.plugin import hookimpl
from persamhq_video.plugin.register import Register
from persamhq_video.protocols import Decode, FirstFrame, MaskRefiner, Slot

_SCALES: Final = slice(1, 4)
"""SAM's three masks; the first of its four tokens is the single one."""

Steps = Annotated[int, Field(ge=1, le=10_000, description="steps of AdamW on the first frame")]
Side = Annotated[int, Field(ge=16, description="longer side in pixels that the masks are fitted at")]


class ScaleWeights:
    """Weigh SAM's three scales as fits the first frame, then add the HQ mask if there is one (PerSAM-F, section 3.4).

    It starts from the selector's prompts again, so it belongs first in the list of refiners.
    """

    def __init__(self, *, steps: Steps = 1000, side: Side = 256) -> None:
        self.steps, self.side = steps, side

    def fit(self, first: FirstFrame) -> Sequence[Slot]:
        """See Fits: the weights (3,) of each object."""
        output = first.decode.unselected(first.prompts)
        shown = [
            first.decode.show(output.masks[:, scale, None], scores=output.iou_predictions[:, scale]).logits
            for scale in range(4)[_SCALES]
        ]
        objects = torch.stack(shown, dim=1)  # (K, 3, H, W)
        # The fit is by gradients, which inference mode rules out for good, also for tensors made in it
        with torch.inference_mode(False):
            return [self._weights(logits.clone(), mask) for logits, mask in zip(objects, first.masks, strict=True)]

    def _weights(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Fit the three masks (3, H, W) of an object to its mask (H, W) bool."""
        height, width = mask.shape
        scale = min(1.0, self.side / max(height, width))
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        small = F.interpolate(logits[None].float().cpu(), size=size, mode="area")[0]
        truth = F.interpolate(mask[None, None].float().cpu(), size=size, mode="area")[0, 0] > 0.5
        return fit_scale_weights(small, truth, steps=self.steps)

    def __call__(
        self,
        prediction: MaskPrediction,
        prompts: Sequence[PromptSet],
        decode: Decode,
        image: NDArray[np.uint8],
    ) -> MaskPrediction:
        """See MaskRefiner."""
        del prediction, image
        output = decode.unselected(prompts)
        weights = torch.stack(decode.slots).to(output.masks)
        weighed = torch.stack([weigh_masks(m, w) for m, w in zip(output.masks[:, _SCALES], weights, strict=True)])
        if output.hq_masks is not None:
            finer = F.interpolate(weighed, size=output.hq_masks.shape[-2:], mode="bilinear", align_corners=False)
            weighed = finer + output.hq_masks
        scores = (output.iou_predictions[:, _SCALES] * weights).sum(dim=1)
        return decode.show(weighed, scores=scores)


@hookimpl
def persamhq_register_mask_refiners(register: Register[MaskRefiner]) -> None:
    """Offer `scale_weights`."""
    register.add("scale_weights", ScaleWeights)

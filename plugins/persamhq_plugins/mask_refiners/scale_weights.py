"""The mask refiner `scale_weights`: PerSAM-F's choice between SAM's three scales, fitted to the first frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from persam_hq.personalization import ScaleSolver, fit_scale_weights, weigh_masks
from persam_hq.types import MaskPrediction, PromptSet
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import Decode, FirstFrame, MaskRefiner, Slot

_SCALES: Final = slice(1, 4)
"""SAM's three scales among its four mask tokens; the first token is the one for unambiguous prompts."""

Solver = Annotated[ScaleSolver, Field(description="how they are fitted; the published ones replay AdamW")]
Known = Annotated[
    dict[int, tuple[float, float, float]] | None,
    Field(description="weights by object id, fitted elsewhere (--mask-weights); 0 stands for every other object"),
]


class ScaleWeights:
    """Weigh SAM's three scales as fits the first frame, then add the HQ mask if there is one (PerSAM-F, section 3.4).

    It starts from the selector's prompts again, so it belongs first in the list of refiners.
    """

    def __init__(self, *, solver: Solver = "optimal", weights: Known = None) -> None:
        self.solver: ScaleSolver = solver
        self.weights = weights

    def fit(self, first: FirstFrame) -> Sequence[Slot]:
        """See Fits: the weights (3,) of each object."""
        if self.weights is not None:
            return [self._known(self.weights, object_id) for object_id in first.object_ids]

        # The three masks of each object at image size, as logits
        output = first.decode.unselected(first.prompts)
        shown = [
            first.decode.show(output.masks[:, scale, None], scores=output.iou_predictions[:, scale]).logits
            for scale in range(4)[_SCALES]
        ]
        objects = torch.stack(shown, dim=1)  # (K, 3, H, W)

        # Weights that reproduce the given mask best
        return [
            fit_scale_weights(logits, mask.to(logits.device), solver=self.solver).cpu()
            for logits, mask in zip(objects, first.masks, strict=True)
        ]

    @staticmethod
    def _known(weights: Mapping[int, tuple[float, float, float]], object_id: int) -> Tensor:
        """The given weights of an object; entry 0 stands for every object without its own."""
        found = weights.get(object_id, weights.get(0))
        if found is None:
            known = ", ".join(map(str, weights))
            raise ValueError(f"there are no weights for object {object_id}, only for {known}; fit them first")
        return torch.tensor(found)

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

        # The HQ mask is a correction that is added to SAM's, on a grid of its own
        if output.hq_masks is not None:
            finer = F.interpolate(weighed, size=output.hq_masks.shape[-2:], mode="bilinear", align_corners=False)
            weighed = finer + output.hq_masks
        scores = (output.iou_predictions[:, _SCALES] * weights).sum(dim=1)
        return decode.show(weighed, scores=scores)


@hookimpl
def persamhq_register_mask_refiners(register: Register[MaskRefiner]) -> None:
    """Register `scale_weights`."""
    register.add("scale_weights", ScaleWeights)

"""The mask refiner `guided_filter`: the borders of masks follow the edges of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from persam_hq.personalization import mask_box
from persam_hq.types import MaskPrediction, PromptSet
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import Decode, MaskRefiner

Map = NDArray[np.float64]

_CLOSEST: Final = 1e-6
"""Distance that probabilities keep from 0 and 1, whose logits are infinite."""

Radius = Annotated[int, Field(ge=1, le=200, description="pixels around a pixel that the filter looks at")]
Eps = Annotated[
    float, Field(gt=0, le=1, description="variance of the image, in units of its range squared, that is no edge yet")
]
Colour = Annotated[bool, Field(description="edges of colour as well; without it those of brightness alone")]


class GuidedFilter:
    """Borders that follow the image's edges: a guided filter on the mask (He, Sun and Tang 2010, section 3).

    Within each square of the image the mask becomes a linear function of its colours. Only a window around each mask
    is looked at; what is certain away from borders stays as it was.
    """

    def __init__(self, *, radius: Radius = 3, eps: Eps = 1e-4, colour: Colour = True) -> None:
        self.radius, self.eps, self.colour = radius, eps, colour

    def __call__(
        self,
        prediction: MaskPrediction,
        prompts: Sequence[PromptSet],
        decode: Decode,
        image: NDArray[np.uint8],
    ) -> MaskPrediction:
        """See MaskRefiner."""
        del prompts, decode
        logits = prediction.logits.clone()
        for row, mask in enumerate(prediction.masks):
            # Only a window is filtered: two boxes of the filter, one after the other, reach 2 * radius + 1 pixels
            box = mask_box(mask)
            if box is not None:
                x0, y0, x1, y1 = (int(edge) for edge in box.tolist())
                reach = 2 * self.radius + 1
                rows, columns = slice(max(0, y0 - reach), y1 + 1 + reach), slice(max(0, x0 - reach), x1 + 1 + reach)
                logits[row, rows, columns] = self._filtered(logits[row, rows, columns], image[rows, columns])
        return replace(prediction, masks=logits > 0, logits=logits)

    def _filtered(self, logits: torch.Tensor, image: NDArray[np.uint8]) -> torch.Tensor:
        """The filtered logits (h, w) of a window with its image (h, w, 3) uint8."""
        alpha = torch.sigmoid(logits).cpu().double().numpy()
        colours = image.astype(np.float64) / 255
        guide = colours if self.colour else colours.mean(axis=2, keepdims=True)
        found = torch.from_numpy(guided_filter(guide, alpha, radius=self.radius, eps=self.eps))
        return torch.logit(found, eps=_CLOSEST).to(logits)


def guided_filter(guide: Map, values: Map, *, radius: int, eps: float) -> Map:
    """`values` (h, w) as a linear function, square by square, of `guide` (h, w, channels) in [0, 1]: (h, w).

    With the covariance S of the guide in a square, a = (S + eps)^-1 cov(guide, values), b = mean(values) - a
    mean(guide); a pixel gets the mean of what the squares it lies in say (He, Sun and Tang 2010, equations 14 to 16).
    """

    def mean(x: Map) -> Map:
        """The mean of each pixel's square; reflected at the border, so that squares there have the same weight."""
        return np.asarray(cv2.blur(x, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REFLECT))

    channels = [guide[..., c] for c in range(guide.shape[2])]
    means, mean_values = [mean(channel) for channel in channels], mean(values)

    # Covariances of the guide with itself and with the values: a matrix and a vector per pixel
    covariance = np.empty((*values.shape, len(channels), len(channels)))
    joint = np.empty((*values.shape, len(channels), 1))
    for i, one in enumerate(channels):
        joint[..., i, 0] = mean(one * values) - means[i] * mean_values
        for j, other in enumerate(channels[: i + 1]):
            covariance[..., i, j] = covariance[..., j, i] = mean(one * other) - means[i] * means[j]
        covariance[..., i, i] += eps

    # The linear function of each square, then the mean of those that a pixel lies in
    slopes = np.linalg.solve(covariance, joint)[..., 0]
    offset = mean_values - sum(slopes[..., i] * means[i] for i in range(len(channels)))
    return np.asarray(sum(mean(slopes[..., i]) * channel for i, channel in enumerate(channels)) + mean(offset))


@hookimpl
def persamhq_register_mask_refiners(register: Register[MaskRefiner]) -> None:
    """Register `guided_filter`."""
    register.add("guided_filter", GuidedFilter)

"""The prompt selector `discriminative`: prompts from a model that separates the target from its surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from persam_hq.personalization import grid_to_image
from persam_hq.types import LocationPrior, PromptSet
from persamhq_plugins.boxes import grown, longer_side
from persamhq_plugins.score_map import find_peaks, level, peak_region
from persamhq_plugins.target_model import Axes, Model, ModelKind, cover, known_cells, principal_axes, unit_features
from persamhq_video.plugin import Register, hookimpl
from persamhq_video.protocols import FirstFrame, FrameInfo, ObjectView, PromptSelector, Seen, Slot

_REACH: Final = 0.05
"""Least distance between points, in longer sides of the image."""
_MARGIN: Final = 0.1
"""Growth of the box on each side, in its own longer sides."""

Kind = Annotated[ModelKind, Field(description="ridge regression in closed form, or logistic regression")]
Update = Annotated[bool, Field(description="learn from confident frames; without it every frame stands for itself")]
Channels = Annotated[int, Field(ge=1, le=64, description="principal axes of the first frame's features that it sees")]
Regularisation = Annotated[float, Field(gt=0, description="pull of its weights to zero")]
Rate = Annotated[float, Field(gt=0, le=1, description="share of a confident frame among all that was learnt")]
Confident = Annotated[float, Field(ge=0, le=1, description="score from which a frame is learnt from")]
Blend = Annotated[float, Field(ge=0, le=1, description="share of its map; the rest is PerSAM's similarity")]
Count = Annotated[int, Field(ge=1, le=64, description="positive points at most")]
Valleys = Annotated[int, Field(ge=0, le=64, description="negative points at most")]
BoxOn = Annotated[bool, Field(description="a box around the region of the peak")]
Threshold = Annotated[float, Field(ge=0, le=1, description="what belongs to the region: 0 the map's mean, 1 its peak")]


class Discriminative:
    """Points and a box from a target model fitted on the first frame (ridge or logistic regression on features).

    PerSAM's similarity asks how like the target a place is; this model asks whether it is more like the target than
    like the rest of the first frame, so that look-alikes and clutter count less.
    """

    def __init__(
        self,
        *,
        model: Kind = "ridge",
        update: Update = False,
        channels: Channels = 64,
        regularisation: Regularisation = 0.01,
        rate: Rate = 0.1,
        confident: Confident = 0.7,
        blend: Blend = 1.0,
        num_positive: Count = 1,
        num_negative: Valleys = 1,
        box: BoxOn = True,
        threshold: Threshold = 0.5,
    ) -> None:
        self.model: ModelKind = model
        self.needs_history = update
        self.channels, self.regularisation = channels, regularisation
        self.rate, self.confident, self.blend = rate, confident, blend
        self.num_positive, self.num_negative = num_positive, num_negative
        self.box, self.threshold = box, threshold

    def fit(self, first: FirstFrame) -> Sequence[Slot]:
        """See Fits: the axes of the frame, and a model of each object."""
        # The axes, which all objects share: of the cells that are image, not padding
        prior = first.priors[0]
        features = unit_features(prior)
        _, inside = cover(first.masks[0], prior.geometry, _grid(prior))
        axes = principal_axes(features, inside, self.channels)
        inputs = axes.inputs(features)

        # A model per object
        slots = []
        for mask in first.masks:
            cells = known_cells(inputs, *cover(mask, prior.geometry, _grid(prior)))
            slots.append(_kept(axes, Model.fit(self.model, cells, regularisation=self.regularisation)))
        return slots

    def remember(self, slot: Slot, seen: Seen) -> Slot:
        """See Remembers: the model learns from a confident frame."""
        if seen.state != "present" or seen.score < self.confident:
            return slot
        axes, model = _read(slot)
        prior = seen.prior
        cells = known_cells(axes.inputs(unit_features(prior)), *cover(seen.mask, prior.geometry, _grid(prior)))
        return _kept(axes, model.updated(self.model, cells, rate=self.rate, regularisation=self.regularisation))

    def __call__(self, prior: LocationPrior, view: ObjectView, frame: FrameInfo) -> PromptSet:
        """See PromptSelector."""
        scores = self._scores(prior, view.slot)

        # Points on the peaks and in the valleys of the map
        reach = _REACH * max(frame.size)
        positive = find_peaks(scores, count=self.num_positive, reach=reach, at_least=level(scores, self.threshold))
        negative = find_peaks(-scores, count=self.num_negative, reach=reach)

        # A box around the region of the peak
        _, box = peak_region(scores, share=self.threshold)
        around = torch.tensor(grown(box, _MARGIN * longer_side(box), frame.size))
        return PromptSet.from_points(positive=positive, negative=negative, box=around if self.box else None)

    def _scores(self, prior: LocationPrior, slot: Slot) -> NDArray[np.float32]:
        """The score of every pixel of the image (H, W): the model's, blended with PerSAM's similarity."""
        axes, model = _read(slot)
        cells = model.scores(self.model, axes.inputs(unit_features(prior)), regularisation=self.regularisation)
        scores = grid_to_image(cells.float().reshape(_grid(prior)), prior.geometry).numpy()
        if self.blend == 1:
            return scores

        # Similarities come in any range; the model's scores are about -1 to 1
        similarity = prior.similarity.float().cpu().numpy()
        standard = 2 * (similarity - similarity.min()) / max(float(np.ptp(similarity)), 1e-6) - 1
        return np.asarray(self.blend * scores + (1 - self.blend) * standard, np.float32)


def _grid(prior: LocationPrior) -> tuple[int, int]:
    """(h, w) of the encoder's cells."""
    h, w = prior.grid.shape
    return h, w


def _kept(axes: Axes, model: Model) -> Slot:
    """The slot of an object; sums are kept in float32, so that it fits into the 64 KB of a slot."""
    return {"mean": axes.mean, "axes": axes.axes, "sums": model.sums.float(), "vector": model.vector.float()}


def _read(slot: Slot) -> tuple[Axes, Model]:
    return Axes(slot["mean"], slot["axes"]), Model(slot["sums"].double(), slot["vector"].double())


@hookimpl
def persamhq_register_prompt_selectors(register: Register[PromptSelector]) -> None:
    """Register `discriminative`."""
    register.add("discriminative", Discriminative)

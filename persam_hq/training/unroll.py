"""One training step: the first frame personalizes, the network then tracks through the clip on its own results."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from persam_hq.modeling.lite import Lite
from persam_hq.training.chances import Chances
from persam_hq.training.frames import encode_clips
from persam_hq.training.image_prompts import prompt_frame
from persam_hq.training.scores import Scores, StepResult
from persam_hq.training.tracking import Tracking

PROMPTED = 0.6
"""Share of the steps in which one frame is also decoded from an image prompt."""


class Unroll:
    """The model and the random choices of a step; `rng` decides prompts, windows and what is left out."""

    def __init__(self, model: Lite, *, rng: np.random.Generator) -> None:
        self.model = model
        self.rng = rng

    def __call__(self, frames: Tensor, masks: Tensor) -> StepResult:
        """`frames` (B, T, 3, S, S) float in [0, 255]; `masks` (B, T, S, S) float in {0, 1}."""
        clip = encode_clips(self.model, frames, masks)
        chances, scores = Chances(self.rng, batch=len(frames)), Scores()
        tracking = Tracking(self.model, chances=chances, scores=scores)
        reference, past = tracking.begin(clip[0])
        if chances.once(PROMPTED):
            prompt_frame(self.model, clip[chances.integer(len(clip))], chances, scores)
        for frame in clip[1:]:
            past = tracking.follow(frame, reference, past)
        return scores.result(frames=len(clip))

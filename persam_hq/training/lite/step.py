"""One training step: the first frame personalizes, the network then tracks through the clip on its own results.

Beside that, segments of photos are decoded from image prompts.
"""

from __future__ import annotations

import numpy as np

from persam_hq.modeling.lite.model import Lite
from persam_hq.training.data.clip_batches import Batch
from persam_hq.training.data.rng import StepRng
from persam_hq.training.lite.encoded_frames import encode_clips, encode_stills
from persam_hq.training.lite.prompts import prompt_frame
from persam_hq.training.lite.step_losses import Scores
from persam_hq.training.lite.unrolled_tracker import SPOILT, UnrolledTracker
from persam_hq.training.recipe import StepResult


class Unroll:
    """The model and the random choices of a step; `rng` decides prompts, windows and what is left out.

    `spoilt`: see UnrolledTracker.
    """

    def __init__(self, model: Lite, *, rng: np.random.Generator, spoilt: float = SPOILT) -> None:
        self.model = model
        self.rng = rng
        self.spoilt = spoilt

    def __call__(self, batch: Batch) -> StepResult:
        """The loss and the figures of one batch."""
        clip = encode_clips(self.model, batch.frames, batch.masks)
        chances, scores = StepRng(self.rng, batch=len(batch.frames)), Scores(self.rng)
        tracking = UnrolledTracker(self.model, chances=chances, scores=scores, spoilt=self.spoilt)
        reference, memory = tracking.begin(clip[0])
        for frame in clip[1:]:
            memory = tracking.follow(frame, reference, memory)
            reference = tracking.learn(frame, reference, memory)
        if len(batch.stills):
            still = encode_stills(self.model, batch.stills, batch.segments)
            prompt_frame(self.model, still, StepRng(self.rng, batch=len(still.mask)), scores)
        return scores.result(frames=len(clip))

"""One training step of lite: the first frame personalizes, the network then tracks through the clip by itself.

Beside that, segments of photos are decoded from image prompts.
"""

from __future__ import annotations

import numpy as np

from persam_hq.modeling.lite.model import Lite
from persam_hq.training.data.clip_batches import Batch
from persam_hq.training.data.rng import StepRng
from persam_hq.training.lite.encoded_frames import encode_clips, encode_stills
from persam_hq.training.lite.prompts import prompt_frame
from persam_hq.training.lite.step_losses import StepLosses
from persam_hq.training.lite.unrolled_tracker import SPOILT, UnrolledTracker
from persam_hq.training.recipe import StepResult


class LiteStep:
    """One training step on a model; `rng` decides prompts, windows and what is left out.

    `spoilt`: see UnrolledTracker.
    """

    def __init__(self, model: Lite, *, rng: np.random.Generator, spoilt: float = SPOILT) -> None:
        self.model = model
        self.rng = rng
        self.spoilt = spoilt

    def __call__(self, batch: Batch) -> StepResult:
        """The loss and the figures of one batch."""
        # The clips: the tracker goes through them on its own results
        clip = encode_clips(self.model, batch.frames, batch.masks)
        chances, losses = StepRng(self.rng, batch=len(batch.frames)), StepLosses(self.rng)
        tracker = UnrolledTracker(self.model, chances=chances, losses=losses, spoilt=self.spoilt)
        reference, memory = tracker.begin(clip[0])
        for frame in clip[1:]:
            memory = tracker.track(frame, reference, memory)
            reference = tracker.learn(frame, reference, memory)

        # The photos: each segment is decoded from a prompt, which keeps image prompts alive beside tracking
        if len(batch.stills):
            still = encode_stills(self.model, batch.stills, batch.segments)
            prompt_frame(self.model, still, StepRng(self.rng, batch=len(still.mask)), losses)
        return losses.result(frames=len(clip))

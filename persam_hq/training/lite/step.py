"""One training step of lite: the first frame personalizes, the network then tracks through the clip by itself.

Beside that, segments of photos are decoded from image prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from persam_hq.modeling.lite.model import Lite
from persam_hq.training.data.clip_batches import Batch
from persam_hq.training.data.rng import StepRng
from persam_hq.training.lite.encoded_frames import encode_clips, encode_stills
from persam_hq.training.lite.prompts import prompt_against, prompt_frame
from persam_hq.training.lite.step_losses import StepLosses
from persam_hq.training.lite.unrolled_tracker import SPOILT, UnrolledTracker
from persam_hq.training.recipe import StepResult


@dataclass(frozen=True, slots=True)
class StepChoices:
    """How often what happens in a step, and what counts more: the keys of the configuration with these names."""

    spoilt: float = SPOILT
    learns_matching: float = 1.0
    against: float = 0.0
    corrections: float = 0.0
    border_weight: float = 0.0
    thin_weight: float = 0.0


class LiteStep:
    """One training step on a model; `rng` decides prompts, windows and what is left out.

    `choices`: how often what is drawn. `precision`: of the encoder and the decoder.
    """

    def __init__(
        self,
        model: Lite,
        *,
        rng: np.random.Generator,
        choices: StepChoices | None = None,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.model, self.rng, self.precision = model, rng, precision
        self.choices = choices or StepChoices()

    def __call__(self, batch: Batch) -> StepResult:
        """The loss and the figures of one batch."""
        # The clips: the tracker goes through them on its own results
        choices, device = self.choices, batch.frames.device
        clip = encode_clips(self.model, batch.frames, batch.masks, batch.beside, precision=self.precision)
        chances = StepRng(self.rng, batch=len(batch.frames), device=device)
        losses = StepLosses(self.rng, border=choices.border_weight, thin=choices.thin_weight)
        tracker = UnrolledTracker(
            self.model,
            chances=chances,
            losses=losses,
            spoilt=choices.spoilt,
            learns_matching=choices.learns_matching == 1 or chances.once(choices.learns_matching),
            precision=self.precision,
        )
        reference, memory = tracker.begin(clip[0])
        for frame in clip[1:]:
            memory = tracker.track(frame, reference, memory)
            # A prompt on something else now and then, which leaves nothing behind
            if choices.against and chances.once(choices.against):
                prompt_against(self.model, frame, reference, chances, losses, precision=self.precision)
            reference = tracker.learn(frame, reference, memory)

        # The photos: each segment is decoded from a prompt, which keeps image prompts alive beside tracking
        if len(batch.stills):
            still = encode_stills(self.model, batch.stills, batch.segments, precision=self.precision)
            chances = StepRng(self.rng, batch=len(still.mask), device=device)
            prompt_frame(self.model, still, chances, losses, corrections=choices.corrections, precision=self.precision)
        return losses.result(frames=len(clip))

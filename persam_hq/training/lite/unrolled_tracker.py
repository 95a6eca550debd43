"""lite's tracker unrolled in training: it follows the objects of a clip on its own results, differentiably.

It is built from the functions that tracking itself uses, and differs from it where learning asks for that: windows are
jittered instead of placed well, prompts, guidance and sources of the prior are left out or spoilt by chance, and a
frame is learned from by chance instead of by confidence. A row of the batch is one object of one clip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.mask_boxes import outer_boxes
from persam_hq.modeling.lite.location_prior import (
    FIRST_CHANNELS,
    MASK_CHANNELS,
    PREVIOUS_CHANNELS,
    RIDGE_CHANNELS,
    PriorChannel,
    PriorSources,
)
from persam_hq.modeling.lite.model import Lite, WindowFeatures, guided_similarity
from persam_hq.modeling.lite.ridge import ridge_sums
from persam_hq.modeling.lite.window import resample_window, window_boxes
from persam_hq.modeling.mask_decoder import corrected_masks
from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.segmenter.lite.config import LiteConfig
from persam_hq.segmenter.lite.mask_selection import along_the_border
from persam_hq.segmenter.lite.memory import keys_in_windows, result_as_example
from persam_hq.segmenter.lite.reference import LiteReference, reference_in_windows
from persam_hq.training.data.prompt_simulation import random_points
from persam_hq.training.data.rng import StepRng
from persam_hq.training.lite.encoded_frames import EncodedFrame, decode
from persam_hq.training.lite.step_losses import StepLosses
from persam_hq.training.lite.window_jitter import jittered_windows, window_area
from persam_hq.training.losses import mask_iou, read_out_loss
from persam_hq.transforms import soft_mask_logits
from persam_hq.types import DecoderOutput, Guidance

SPOILT: Final = 0.35
"""Share of the clips whose prior is made wrong in patches, where the recipe names no other."""
_HQ_REACH: Final = 3
"""Cells on either side of a mask's border in which HQ corrects it before the clip goes on. The released weights were
trained with it; the tracker, which has `LiteConfig.hq_reach`, was widened afterwards."""
_TRACKER: Final = LiteConfig()
"""The numbers that training has in common with the released tracker."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingMemory:
    """The memory of one frame of B clips: LiteMemory without what a gradient or a batch of clips has no use for.

    windows: (B, 4) pixels; keys: (B, K, h, w) float and logits: (B, 1, L, L), both seen through them; boxes: (B, 4)
    pixels, outer edges of the mask, the whole window where that is empty.
    """

    windows: Tensor
    keys: Tensor
    logits: Tensor
    boxes: Tensor

    def __repr__(self) -> str:
        return f"TrainingMemory(keys={tuple(self.keys.shape)}, logits={tuple(self.logits.shape)})"


class UnrolledTracker:
    """Follows one object in each of B clips; `chances` decides windows, prompts and what is left out.

    `spoilt`: the share of the clips whose prior is made wrong in patches. `learns_matching`: whether the sources of the
    prior learn; without, they are computed as in tracking, at a third of the cost. `precision`: of the decoder.
    """

    def __init__(
        self,
        model: Lite,
        *,
        chances: StepRng,
        losses: StepLosses,
        spoilt: float = SPOILT,
        learns_matching: bool = True,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.model, self.chances, self.losses = model, chances, losses
        self.spoilt, self.learns_matching, self.precision = spoilt, learns_matching, precision

    def begin(self, frame: EncodedFrame) -> tuple[LiteReference, TrainingMemory]:
        """The reference and the first memory, from the masks of the first frame."""
        boxes = outer_boxes(frame.mask)
        reference = reference_in_windows(
            self.model,
            embedding=frame.embedding,
            keys=frame.keys,
            share=frame.mask[:, None],
            windows=self._windows(boxes, frame, low=1.2, high=1.8),
            whole=frame.whole,
            covered=_covered_cells,
        )

        # As if the frame had been tracked without a fault
        given = soft_mask_logits((frame.mask > 0.5).float(), peak=_TRACKER.first_logit_peak)[:, None]
        windows = self._windows(boxes, frame)
        logits = resample_window(given, windows, grid=self.model.geometry.mask_grid, stride=1)
        return reference, self._remember(frame, windows, logits)

    def track(self, frame: EncodedFrame, reference: LiteReference, memory: TrainingMemory) -> TrainingMemory:
        """Find the object on `frame` from the last result, sometimes in two passes; what comes is scored."""
        # The first pass, on what the last frame left
        windows = self._next_windows(frame, memory)
        seen = frame.seen_by(self.model, windows)
        truth = frame.truth(windows, grid=self.model.geometry.hq_grid)
        prior = self._prior(seen, frame, reference, memory)
        prompts, guidance = self._prompts(frame, memory), self._guidance(seen, reference)
        output = decode(self.model, seen, prior=prior, prompts=prompts, guidance=guidance, precision=self.precision)
        self.losses.add_masks("track", output, truth, present=frame.present)
        result = self._remember(frame, windows, _corrected(output))

        # The second pass, as a refiner asks for it: prompted by the first one's mask and box, unguided
        if self.chances.once(0.3):
            prompts = replace(prompts, masks=output.masks[:, :1].detach(), boxes=result.boxes)
            output = decode(self.model, seen, prior=prior, prompts=prompts, precision=self.precision)
            self.losses.add_masks("track+", output, truth, present=frame.present)
            result = self._remember(frame, windows, _corrected(output))
        return result

    def learn(self, frame: EncodedFrame, reference: LiteReference, memory: TrainingMemory) -> LiteReference:
        """Take the result on `frame` for an example of the object in some steps, as a confident tracker does.

        Objects that were not found well enough are blanked out: keys of zero count for little beside any real match.
        """
        if not self.chances.once(0.4):
            return reference

        # By IoU instead of confidence, which an untrained network has none of
        truth = frame.truth(memory.windows, grid=memory.logits.shape[-1])
        found = (mask_iou(memory.logits, truth)[:, 0] > 0.5) & frame.present
        keys = keys_in_windows(frame.keys, memory.windows, grid=self.model.geometry.recent_grid)
        keys = keys * found[:, None, None, None]
        example = result_as_example(self.model, keys, memory.logits, memory.windows)
        # In tracking, too, an example weighs less than the first frame
        weight = self.chances.uniform(0.1, 0.6) * found
        return reference.extended(examples=example, sums=ridge_sums(example), weight=weight)

    def _windows(self, boxes: Tensor, frame: EncodedFrame, *, low: float = 1.3, high: float = 2.3) -> Tensor:
        """Windows around boxes, placed as badly as a tracker's may be."""
        return jittered_windows(boxes, self.chances, side=frame.side, low=low, high=high)

    def _remember(self, frame: EncodedFrame, windows: Tensor, logits: Tensor) -> TrainingMemory:
        """What a frame leaves for the next one; no gradient flows through the mask itself."""
        keys = keys_in_windows(frame.keys, windows, grid=self.model.geometry.recent_grid)
        boxes = window_boxes(logits[:, 0] > 0, windows)
        return TrainingMemory(windows=windows, keys=keys, logits=logits.detach(), boxes=boxes)

    def _next_windows(self, frame: EncodedFrame, memory: TrainingMemory) -> Tensor:
        """Around the last result; learning goes on with a window that shows the object where that left it behind."""
        windows = self._windows(memory.boxes, frame)
        # A search sees the whole frame
        windows = torch.where(self.chances.each(0.1)[:, None], frame.whole, windows)
        # Pixels of the object that the window shows, of all there are
        seen = frame.truth(windows, grid=self.model.geometry.grid).flatten(1).mean(1) * window_area(windows)
        total = frame.mask.flatten(1).sum(1)
        lost = (seen < 0.6 * total) & (total > 0)
        return torch.where(lost[:, None], self._windows(outer_boxes(frame.mask), frame), windows)

    def _prior(
        self, seen: WindowFeatures, frame: EncodedFrame, reference: LiteReference, memory: TrainingMemory
    ) -> Tensor:
        """The dense prior (B, 12, 2g, 2g), each source scored by itself and then left out in some clips."""
        with torch.set_grad_enabled(self.learns_matching and torch.is_grad_enabled()):
            previous, mask = self.model.previous_sources(
                memory.keys, memory.logits, source=memory.windows, destination=seen.windows
            )
            sources = PriorSources(first=reference.first, ridge=reference.ridge, previous=previous, previous_mask=mask)
            prior = self.model.prior(seen, sources)

        # The sources are taught directly too, before any is spoilt or left out; weights are chosen
        truth = frame.truth(seen.windows, grid=prior.shape[-1])[:, 0]
        self.losses.add("read_first", read_out_loss(prior[:, PriorChannel.FIRST_READ_OUT], truth), weight=0.3)
        self.losses.add("read_previous", read_out_loss(prior[:, PriorChannel.PREVIOUS_READ_OUT], truth), weight=0.3)
        # The classifier's score is 1 on foreground, which three times is a logit of 95 %
        ridge_logits = 3 * prior[:, PriorChannel.RIDGE_SCORE]
        self.losses.add("ridge", F.binary_cross_entropy_with_logits(ridge_logits, truth), weight=0.3)
        return self._leave_out(self._spoil(prior))

    def _spoil(self, prior: Tensor) -> Tensor:
        """Patches where sources are wrong, in some of the clips: what is left has to be made a whole object.

        Most of them are holes in the object, some claim what is beside it; each source has them or has not.
        """
        # Blobs of about a sixth of the window, over an eighth or so of it
        spoilt = prior.clone()
        noise = F.interpolate(self.chances.uniform(-1, 1, 1, 6, 6), size=prior.shape[-2:], mode="bilinear")
        patches = ((noise > 0.25) & self.chances.each(self.spoilt)[:, None, None, None])[:, 0]
        # In four of five clips they deny the object
        claim = torch.where(self.chances.each(0.8), -1.0, 1.0)[:, None, None]
        for channels in MASK_CHANNELS:
            wrong = patches & self.chances.each(0.7)[:, None, None]
            for channel in channels:
                spoilt[:, channel] = torch.where(wrong, claim, spoilt[:, channel])
        return spoilt

    def _leave_out(self, prior: Tensor) -> Tensor:
        """Each source is dropped in a tenth of the clips: its channels and its flag become zero."""
        keep = torch.ones(prior.shape[:2], device=prior.device)
        for channels, probability in ((FIRST_CHANNELS, 0.1), (RIDGE_CHANNELS, 0.1), (PREVIOUS_CHANNELS, 0.12)):
            keep[:, channels] *= (~self.chances.each(probability)).float()[:, None]
        return prior * keep[..., None, None]

    def _prompts(self, frame: EncodedFrame, memory: TrainingMemory) -> PromptBatch:
        """Nothing, or what PerSAM's video script gives: the similarity peak, the previous box and its centre."""
        # Half of the steps go by the dense prior alone, as the tracker does
        points, boxes = None, None
        if self.chances.once(0.5):
            return PromptBatch()
        if self.chances.once(0.7):
            centre = (memory.boxes[:, :2] + memory.boxes[:, 2:]) / 2
            peak = random_points(frame.mask, 1, self.chances)[:, 0]
            points = (torch.stack([peak, centre], dim=1), centre.new_ones(len(centre), 2))
        if self.chances.once(0.7):
            boxes = memory.boxes
        return PromptBatch(points=points, boxes=boxes)

    def _guidance(self, seen: WindowFeatures, reference: LiteReference) -> Guidance:
        """Target-semantic prompting and target-guided attention, each present or not."""
        target_embedding = reference.targets[:, None] if self.chances.once(0.8) else None
        attn_sim = guided_similarity(seen.embedding, reference.targets) if self.chances.once(0.5) else None
        return Guidance(attn_sim=attn_sim, target_embedding=target_embedding)


def _covered_cells(share: Tensor) -> Tensor:
    """Cells whose share (B, 1, g, g) is more than `target_share`, 1 or 0.

    Unlike in tracking an object may have none, and then its target is zero: crops without the object are learned from.
    """
    return (share > _TRACKER.target_share).float()


def _corrected(output: DecoderOutput) -> Tensor:
    """The single mask that a clip goes on with, (B, 1, L, L) logits on the grid of the mask prompts."""
    masks = output.masks[:, :1]
    if output.hq_masks is None:
        return masks
    finer = corrected_masks(masks, along_the_border(masks, output.hq_masks, reach=_HQ_REACH))
    return F.adaptive_avg_pool2d(finer, masks.shape[-1])

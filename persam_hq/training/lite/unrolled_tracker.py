"""Tracking in training: the first frame personalizes, then the network follows the object from its own results."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.mask_boxes import outer_boxes
from persam_hq.modeling.lite.efficientnet import EMBEDDING_STRIDE, KEY_STRIDE
from persam_hq.modeling.lite.location_prior import FIRST_CHANNELS, PAST_CHANNELS, RIDGE_CHANNELS, PriorSources
from persam_hq.modeling.lite.matching import MatchMemory, join_memories
from persam_hq.modeling.lite.model import Lite, WindowFeatures, guided_similarity
from persam_hq.modeling.lite.ridge import RidgeSums, add_ridge_sums, ridge_sums
from persam_hq.modeling.lite.window import resample_window
from persam_hq.modeling.mask_decoder import corrected_masks
from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.segmenter.lite.mask_selection import near_the_border
from persam_hq.training.data.prompt_simulation import random_points
from persam_hq.training.data.rng import StepRng
from persam_hq.training.lite.encoded_frames import EncodedFrame, decode
from persam_hq.training.lite.step_losses import Scores
from persam_hq.training.lite.window_jitter import jittered_windows, window_area
from persam_hq.training.losses import mask_iou, read_out_loss
from persam_hq.transforms import soft_mask_logits
from persam_hq.types import DecoderOutput, Guidance

SPOILT = 0.35
"""Share of the clips whose prior is made wrong in patches, where nothing else is said."""
SPOILT_CHANNELS = ([0], [3], [4, 8, 9, 10, 11])
"""What each source says of the mask: read-outs, the classifier's score and the previous mask."""
_HQ_REACH = 3
"""Cells on either side of a mask's border in which HQ corrects it before the clip goes on."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What frame 0 says of B objects: matching memory, ridge sums, mean embeddings (B, C)."""

    first: MatchMemory
    ridge: RidgeSums
    target: Tensor

    def __repr__(self) -> str:
        return f"Reference(first={self.first}, target={tuple(self.target.shape)})"

    def extended(self, keys: MatchMemory, *, weight: Tensor) -> Reference:
        """With a tracked frame beside the first one; it counts `weight` (B,) times in the ridge classifier."""
        return Reference(
            first=join_memories(self.first, keys),
            ridge=add_ridge_sums(self.ridge, ridge_sums(keys), weight=weight),
            target=self.target,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What the network remembers of its last frame.

    windows: (B, 4) pixels; keys: (B, K, h, w) and logits: (B, 1, L, L), both seen through them; boxes: (B, 4) pixels,
    outer edges of the mask, the whole window where that is empty.
    """

    windows: Tensor
    keys: Tensor
    logits: Tensor
    boxes: Tensor

    def __repr__(self) -> str:
        return f"Past(keys={tuple(self.keys.shape)}, logits={tuple(self.logits.shape)})"


class Tracking:
    """Follows one object in each of B clips; `chances` decides windows, prompts and what is left out.

    `spoilt`: the share of the clips whose prior is made wrong in patches.
    """

    def __init__(self, model: Lite, *, chances: StepRng, scores: Scores, spoilt: float = SPOILT) -> None:
        self.model, self.chances, self.scores = model, chances, scores
        self.spoilt = spoilt

    def begin(self, frame: EncodedFrame) -> tuple[Reference, Past]:
        """Personalize: matching memory around the object and over the crop, ridge sums, target; and a first past."""
        geometry, mask = self.model.geometry, frame.mask[:, None]
        boxes = outer_boxes(frame.mask)
        windows = self._windows(boxes, frame, low=1.2, high=1.8)
        first = join_memories(
            self.model.remember(frame.keys, mask, windows, grid=geometry.first_grid),
            self.model.remember(frame.keys, mask, frame.whole, grid=geometry.global_grid),
        )
        seen = resample_window(frame.embedding, windows, grid=geometry.grid, stride=EMBEDDING_STRIDE)
        inside = (resample_window(mask, windows, grid=geometry.grid, stride=1) > 0.25).float()
        target = (seen * inside).sum(dim=(2, 3)) / inside.sum(dim=(2, 3)).clamp(min=1)
        reference = Reference(first=first, ridge=ridge_sums(first), target=target)

        # As if the frame had been tracked without a fault, and as sure as the tracker takes a given mask (98 %)
        logits = soft_mask_logits((frame.mask > 0.5).float(), peak=4.0)[:, None]
        windows = self._windows(boxes, frame)
        logits = resample_window(logits, windows, grid=4 * geometry.grid, stride=1)
        return reference, self._remember(frame, windows, logits)

    def follow(self, frame: EncodedFrame, reference: Reference, past: Past) -> Past:
        """Find the object on `frame` from the last result, sometimes in two passes; what comes is scored."""
        windows = self._next_windows(frame, past)
        seen = frame.seen_by(self.model, windows)
        truth = frame.truth(windows, grid=8 * self.model.geometry.grid)
        prior = self._prior(seen, frame, reference, past)
        prompts, guidance = self._prompts(frame, past), self._guidance(seen, reference)
        output = decode(self.model, seen, prior=prior, prompts=prompts, guidance=guidance)
        self.scores.add_masks("track", output, truth, present=frame.present)
        result = self._remember(frame, windows, _corrected(output))

        if self.chances.once(0.3):
            prompts = replace(prompts, masks=output.masks[:, :1].detach(), boxes=result.boxes)
            output = decode(self.model, seen, prior=prior, prompts=prompts)
            self.scores.add_masks("track+", output, truth, present=frame.present)
            result = self._remember(frame, windows, _corrected(output))
        return result

    def learn(self, frame: EncodedFrame, reference: Reference, past: Past) -> Reference:
        """Take the result on `frame` for an example of the object in some steps, as a confident tracker does.

        Objects that were not found well enough are blanked out: keys of zero count for little beside any real match.
        """
        if not self.chances.once(0.4):
            return reference
        seen = frame.truth(past.windows, grid=past.logits.shape[-1])
        found = (mask_iou(past.logits, seen)[:, 0] > 0.5) & frame.present
        keys = resample_window(frame.keys, past.windows, grid=self.model.geometry.recent_grid, stride=KEY_STRIDE)
        mask = F.adaptive_avg_pool2d(torch.sigmoid(past.logits), keys.shape[-1])
        memory = self.model.remember_seen(keys * found[:, None, None, None], mask, past.windows)
        return reference.extended(memory, weight=self.chances.uniform(0.1, 0.6) * found)

    def _windows(self, boxes: Tensor, frame: EncodedFrame, *, low: float = 1.3, high: float = 2.3) -> Tensor:
        return jittered_windows(boxes, self.chances, side=frame.side, low=low, high=high)

    def _remember(self, frame: EncodedFrame, windows: Tensor, logits: Tensor) -> Past:
        keys = resample_window(frame.keys, windows, grid=self.model.geometry.recent_grid, stride=KEY_STRIDE)
        extent = (windows[:, 2:] - windows[:, :2]).repeat(1, 2) / logits.shape[-1]
        boxes = windows[:, :2].repeat(1, 2) + outer_boxes(logits[:, 0] > 0) * extent
        return Past(windows=windows, keys=keys, logits=logits.detach(), boxes=boxes)

    def _next_windows(self, frame: EncodedFrame, past: Past) -> Tensor:
        """Around the last result; learning goes on with a window that shows the object where that left it behind."""
        windows = self._windows(past.boxes, frame)
        windows = torch.where(self.chances.each(0.1)[:, None], frame.whole, windows)
        seen = frame.truth(windows, grid=self.model.geometry.grid).flatten(1).mean(1) * window_area(windows)
        total = frame.mask.flatten(1).sum(1)
        lost = (seen < 0.6 * total) & (total > 0)
        return torch.where(lost[:, None], self._windows(outer_boxes(frame.mask), frame), windows)

    def _prior(self, seen: WindowFeatures, frame: EncodedFrame, reference: Reference, past: Past) -> Tensor:
        """The dense prior (B, 12, 2g, 2g), each source scored by itself and then left out in some clips."""
        previous, mask = self.model.recall(past.keys, past.logits, source=past.windows, destination=seen.windows)
        sources = PriorSources(first=reference.first, ridge=reference.ridge, previous=previous, previous_mask=mask)
        prior = self.model.prior(seen, sources)

        truth = frame.truth(seen.windows, grid=prior.shape[-1])[:, 0]
        self.scores.add("read_first", read_out_loss(prior[:, 0], truth), weight=0.3)
        self.scores.add("read_previous", read_out_loss(prior[:, 4], truth), weight=0.3)
        self.scores.add("ridge", F.binary_cross_entropy_with_logits(3 * prior[:, 3], truth), weight=0.3)
        return self._leave_out(self._spoil(prior))

    def _spoil(self, prior: Tensor) -> Tensor:
        """Patches where sources are wrong, in some of the clips: what is left has to be made a whole object.

        Most of them are holes in the object, some claim what is beside it; each source has them or has not.
        """
        spoilt = prior.clone()
        noise = F.interpolate(self.chances.uniform(-1, 1, 1, 6, 6), size=prior.shape[-2:], mode="bilinear")
        patches = ((noise > 0.25) & self.chances.each(self.spoilt)[:, None, None, None])[:, 0]
        claim = torch.where(self.chances.each(0.8), -1.0, 1.0)[:, None, None]
        for channels in SPOILT_CHANNELS:
            wrong = patches & self.chances.each(0.7)[:, None, None]
            for channel in channels:
                spoilt[:, channel] = torch.where(wrong, claim, spoilt[:, channel])
        return spoilt

    def _leave_out(self, prior: Tensor) -> Tensor:
        """Each source is dropped in a tenth of the clips: its channels and its flag become zero."""
        keep = torch.ones(prior.shape[:2])
        for channels, probability in ((FIRST_CHANNELS, 0.1), (RIDGE_CHANNELS, 0.1), (PAST_CHANNELS, 0.12)):
            keep[:, channels] *= (~self.chances.each(probability)).float()[:, None]
        return prior * keep[..., None, None]

    def _prompts(self, frame: EncodedFrame, past: Past) -> PromptBatch:
        """Nothing, or what PerSAM's video script gives: the similarity peak, the previous box and its centre."""
        points, boxes = None, None
        if self.chances.once(0.5):
            return PromptBatch()
        if self.chances.once(0.7):
            centre = (past.boxes[:, :2] + past.boxes[:, 2:]) / 2
            peak = random_points(frame.mask, 1, self.chances)[:, 0]
            points = (torch.stack([peak, centre], dim=1), torch.ones(len(centre), 2))
        if self.chances.once(0.7):
            boxes = past.boxes
        return PromptBatch(points=points, boxes=boxes)

    def _guidance(self, seen: WindowFeatures, reference: Reference) -> Guidance:
        """Target-semantic prompting and target-guided attention, each present or not."""
        target_embedding = reference.target[:, None] if self.chances.once(0.8) else None
        attn_sim = guided_similarity(seen.embedding, reference.target) if self.chances.once(0.5) else None
        return Guidance(attn_sim=attn_sim, target_embedding=target_embedding)


def _corrected(output: DecoderOutput) -> Tensor:
    """The single mask that a clip goes on with, (B, 1, L, L) logits on the grid of the mask prompts."""
    masks = output.masks[:, :1]
    if output.hq_masks is None:
        return masks
    finer = corrected_masks(masks, near_the_border(masks, output.hq_masks, reach=_HQ_REACH))
    return F.adaptive_avg_pool2d(finer, masks.shape[-1])

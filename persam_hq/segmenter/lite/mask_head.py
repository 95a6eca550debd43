"""The mask head of lite's tracker: from a frame seen through windows to one mask per object, on the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from persam_hq.mask_boxes import inclusive_boxes
from persam_hq.modeling.lite.model import Lite, WindowFeatures
from persam_hq.modeling.lite.window import OUTSIDE_LOGIT, paste_window, resample_window
from persam_hq.modeling.mask_decoder import stability, weighted_mask
from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.segmenter.base import Choice, Decoded, Located
from persam_hq.segmenter.batching import choose, join_outputs, prompt_groups, stack_prompts
from persam_hq.segmenter.lite.config import LiteConfig
from persam_hq.segmenter.lite.mask_selection import (
    connected_to,
    dilate,
    held_by,
    hq_detail,
    likeness,
    mask_by_agreement,
    mask_by_points,
)
from persam_hq.segmenter.lite.memory import LiteMemory
from persam_hq.types import DecoderOutput, Guidance, MaskPrediction, PromptSet

__all__ = ["LiteContext", "LiteMaskHead"]


@dataclass(frozen=True, slots=True, eq=False)
class LiteContext:
    """A frame as it is decoded: seen through the objects' windows, with its dense prior (K, 12, 2g, 2g).

    targets: (K, C) target embeddings; attn_sim: (K, 1, 1, g*g), the target-guided attention; contradicted: (K,) bool,
    whether a strategy's prompts contradict the prior, which then holds the prompts alone; pointed: (K, 1, L, L), small
    disks at their positive points, or None without prompts.
    """

    window_features: WindowFeatures
    prior: Tensor
    targets: Tensor
    attn_sim: Tensor
    contradicted: Tensor
    pointed: Tensor | None = None

    def __repr__(self) -> str:
        return f"LiteContext(window_features={self.window_features}, prior={tuple(self.prior.shape)})"


@dataclass(frozen=True, slots=True, eq=False)
class LiteMaskHead:
    """Decodes, selects, corrects and pastes masks. Without `use_hq` masks are those of SAM's mask tokens alone."""

    model: Lite
    config: LiteConfig
    use_hq: bool

    def decode(
        self, located: Located[LiteContext, LiteMemory], prompts: Sequence[PromptSet], *, guided: bool, choice: Choice
    ) -> Decoded:
        """See Segmenter."""
        # Presence is judged on the mask that was selected, before HQ's correction
        output = self.outputs(located, prompts, guided=guided)
        logits, scores, correction = self._select(output, located.context, choice)
        presence = self._presence(output, logits, located.context)
        return self.predict(located, logits, scores=scores, presence=presence, correction=correction)

    def decode_weighed(self, located: Located[LiteContext, LiteMemory], weights: Tensor) -> Decoded:
        """K objects from the dense prior, the three masks of each weighed into one by `weights` (K, 3)."""
        # HQ corrects the weighed mask, not the three
        output = self.run(located.context, range(len(located.priors)), PromptBatch(), guided=True)
        logits, scores = weighted_mask(replace(output, hq_masks=None), weights)
        correction = None if output.hq_masks is None else hq_detail(logits, output.hq_masks, self.config)
        presence = self._presence(output, logits, located.context)
        return self.predict(located, logits, scores=scores[:, 0], presence=presence, correction=correction)

    def scales(self, located: Located[LiteContext, LiteMemory]) -> Tensor:
        """The three masks of K objects that PerSAM-F weighs, from the dense prior: logits (K, 3, H, W)."""
        output = self.run(located.context, range(len(located.priors)), PromptBatch(), guided=True)
        return self.paste(located, output.masks[:, 1:])

    def outputs(
        self, located: Located[LiteContext, LiteMemory], prompts: Sequence[PromptSet], *, guided: bool
    ) -> DecoderOutput:
        """See Segmenter."""
        # One decoder call per kind of prompts
        groups, outputs = _apart(prompt_groups(prompts), located.context.contradicted), []
        for group in groups:
            batch = stack_prompts([prompts[i] for i in group], located.features.geometry).to(self.model.device)
            # The target's guidance would speak for what the prompts contradict
            heard = guided and not bool(located.context.contradicted[group[0]])
            outputs.append(self.run(located.context, group, batch, guided=heard))
        return join_outputs(outputs, groups)

    def run(self, context: LiteContext, rows: Sequence[int], prompts: PromptBatch, *, guided: bool) -> DecoderOutput:
        """Decode the objects at `rows` in one call."""
        index = list(rows)
        guidance = None
        if guided:
            guidance = Guidance(attn_sim=context.attn_sim[index], target_embedding=context.targets[index][:, None])
        # The frame may have been encoded for another tracker too, which has a use for its HQ features
        seen = context.window_features if self.use_hq else replace(context.window_features, hq=None)
        return self.model.decode(seen.rows(index), prior=context.prior[index], prompts=prompts, guidance=guidance)

    def predict(
        self,
        located: Located[LiteContext, LiteMemory],
        logits: Tensor,
        *,
        scores: Tensor,
        presence: Tensor,
        correction: Tensor | None = None,
    ) -> Decoded:
        """Masks of the image from window logits (K, 1, L, L), with the similarity of the target to what they cover.

        HQ's `correction` (K, 1, sL, sL) is added on the image, as a mask that is interpolated twice loses what is
        thin. What the tracker goes on with is the mask without it, so that an error of HQ stays in its frame.
        """
        context, sizes = located.context, self.model.geometry

        # The mask on the image, with HQ's correction
        pasted = self.paste(located, logits)
        if correction is not None:
            pasted = pasted + self.paste(located, correction, outside=0.0)
        pasted = pasted[:, 0]

        # The mean similarity to the target over the cells under the mask
        low_res = F.adaptive_avg_pool2d(logits, sizes.mask_grid)
        inside = (F.interpolate(low_res, size=(sizes.grid, sizes.grid), mode="area")[:, 0] > 0).float()
        cells = F.normalize(context.window_features.embedding, dim=1)
        alike = (cells * F.normalize(context.targets, dim=1)[..., None, None]).sum(dim=1)
        similarity = (alike * inside).sum(dim=(1, 2)) / inside.sum(dim=(1, 2)).clamp(min=1)

        prediction = MaskPrediction(
            masks=pasted > 0,
            scores=scores.clamp(0, 1),
            low_res_logits=low_res[:, 0],
            logits=pasted,
        )
        return Decoded(
            prediction=prediction, presence=presence, certainty=stability(logits[:, 0]), similarity=similarity
        )

    def paste(
        self, located: Located[LiteContext, LiteMemory], logits: Tensor, *, outside: float = OUTSIDE_LOGIT
    ) -> Tensor:
        """Window logits (K, N, L, L) as logits of the image (K, N, H, W)."""
        # Input pixels per pixel of the image
        size, shown = located.features.geometry.original, located.features.geometry.input
        scale = (shown[0] / size[0], shown[1] / size[1])
        return paste_window(logits, located.windows, size=size, scale=scale, outside=outside)

    def tracked_boxes(self, located: Located[LiteContext, LiteMemory], decoded: Decoded) -> Tensor:
        """Inclusive boxes (K, 4) of the masks that the tracker goes on with, in pixels of the image.

        HQ moves the border of a mask, but not the next window.
        """
        masks, low_res = decoded.prediction.masks, decoded.prediction.low_res_logits[:, None]
        if self.use_hq:
            # SAM's mask as far as HQ could have moved it, without the parts that refiners took away
            geometry = located.features.geometry
            stride = geometry.input[1] / geometry.original[1]
            shown = resample_window(masks[:, None].float(), located.windows, grid=low_res.shape[-1], stride=stride)
            kept = torch.where(dilate(shown > 0, self.config.hq_reach), low_res, OUTSIDE_LOGIT)
            masks = connected_to(self.paste(located, kept)[:, 0] > 0, masks)
        boxes, _ = inclusive_boxes(masks)
        return boxes

    def _select(
        self, output: DecoderOutput, context: LiteContext, choice: Choice
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """One mask per row: logits (B, 1, L, L), its predicted IoU (B,), and HQ's correction (B, 1, sL, sL) of it."""
        # Another choice than lite's own: as SAM-HQ's predictor selects, with HQ's correction in the mask
        if choice != "single" or self.config.published_selection:
            masks, iou = choose(output, choice)
            return masks[:, None], iou, None

        # The single mask, or the one that agrees with the prior; HQ's correction apart from it
        rows = torch.arange(len(context.prior), device=context.prior.device)
        chosen = mask_by_agreement(output, context.prior, self.config) if self.config.choice else torch.zeros_like(rows)
        # Matching has no say where prompts contradict it
        if context.pointed is not None:
            chosen = torch.where(context.contradicted, mask_by_points(output, context.pointed, self.config), chosen)
        masks, iou = output.masks[rows, chosen][:, None], output.iou_predictions[rows, chosen]
        if context.pointed is not None and context.contradicted.any():
            masks = torch.where(
                context.contradicted[:, None, None, None], held_by(context.pointed, masks, self.config), masks
            )
        if output.hq_masks is None or not self.config.hq_agreement:
            return masks, iou, output.hq_masks
        return masks, iou, hq_detail(masks, output.hq_masks, self.config)

    def _presence(self, output: DecoderOutput, logits: Tensor, context: LiteContext) -> Tensor:
        """Probability (B,) that the object is there, and is what the chosen logits (B, 1, L, L) cover."""
        assert output.presence is not None
        presence = torch.sigmoid(output.presence)
        if self.config.presence:
            presence = presence * likeness(logits, context.prior, self.config)
        # What a prompt is on is there, like the object or not, unless its mask is empty
        prompted = (logits.flatten(1).amax(dim=1) > 0).to(presence.dtype)
        return torch.where(context.contradicted, prompted, presence)


def _apart(groups: Sequence[Sequence[int]], flags: Tensor) -> list[list[int]]:
    """Groups of rows, each cut in two by the rows' flags (K,) bool; groups that are all alike stay as they are."""
    cut = [[i for i in group if bool(flags[i]) is side] for group in groups for side in (False, True)]
    return [group for group in cut if group]

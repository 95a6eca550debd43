"""Batches of prompts for the mask decoder, and one mask chosen per object from its output."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from persam_hq.errors import InputError
from persam_hq.modeling.mask_decoder import select_masks
from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.segmenter.base import Choice
from persam_hq.transforms import boxes_to_input, points_to_input
from persam_hq.types import DecoderOutput, ImageGeometry, PromptSet


def prompt_groups(prompts: Sequence[PromptSet]) -> list[list[int]]:
    """Indices of prompt sets that can share a decoder call: as many points, and a box and a mask or none."""
    groups: dict[tuple[int, bool, bool], list[int]] = {}
    for index, prompt in enumerate(prompts):
        kind = (len(prompt.points), prompt.box is not None, prompt.mask_input is not None)
        groups.setdefault(kind, []).append(index)
    return list(groups.values())


def stack_prompts(prompts: Sequence[PromptSet], geometry: ImageGeometry) -> PromptBatch:
    """The prompt sets of one group as a batch; positions in pixels of the original image become the input's."""
    points = None
    if len(prompts[0].points):
        positions, labels = torch.stack([p.points for p in prompts]), torch.stack([p.labels for p in prompts])
        points = (points_to_input(positions, geometry), labels)
    boxes = [p.box for p in prompts if p.box is not None]
    masks = [p.mask_input for p in prompts if p.mask_input is not None]
    return PromptBatch(
        points=points,
        boxes=boxes_to_input(torch.stack(boxes), geometry) if boxes else None,
        masks=torch.stack(masks) if masks else None,
    )


def join_outputs(outputs: Sequence[DecoderOutput], groups: Sequence[Sequence[int]]) -> DecoderOutput:
    """The outputs of groups of objects as one, in the order of the objects."""
    if len(outputs) == 1:
        return outputs[0]

    # The row of each object in the groups, one after the other
    device = outputs[0].masks.device
    back = torch.tensor([index for group in groups for index in group], device=device).argsort()

    def joined(parts: Sequence[Tensor | None]) -> Tensor | None:
        tensors = [part for part in parts if part is not None]
        return torch.cat(tensors)[back] if tensors else None

    return DecoderOutput(
        masks=torch.cat([o.masks for o in outputs])[back],
        iou_predictions=torch.cat([o.iou_predictions for o in outputs])[back],
        hq_masks=joined([o.hq_masks for o in outputs]),
        presence=joined([o.presence for o in outputs]),
    )


def choose(output: DecoderOutput, choice: Choice) -> tuple[Tensor, Tensor]:
    """One mask per row of the batch: logits (B, L, L') and predicted IoU (B,); InputError for "hq" without HQ masks."""
    if choice == "hq" and output.hq_masks is None:
        raise InputError("got a decoder without HQ parts, expected one with them; load SAM-HQ weights")
    # HQ decoders leave one mask, SAM's three; the last of several is chosen by its score or its size
    masks, iou = select_masks(output, multimask_output=choice != "single", hq_token_only=choice == "hq")
    by = (masks > 0).flatten(2).sum(dim=2) if choice == "largest" else iou
    rows, best = torch.arange(len(by), device=by.device), by.argmax(dim=1)
    return masks[rows, best], iou[rows, best]

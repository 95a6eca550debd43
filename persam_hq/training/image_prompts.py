"""Image prompts as users give them: points, a box or a rough mask on one frame, nothing else known."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.modeling.lite import Lite
from persam_hq.modeling.location_prior import PRIOR_CHANNELS
from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.training.chances import Chances
from persam_hq.training.frames import EncodedFrame, decode
from persam_hq.training.scores import Scores
from persam_hq.training.windows import jittered_windows, outer_boxes

KINDS = {"point": 0.3, "points": 0.15, "box": 0.4, "mask": 0.15}
"""How often each kind of prompt is drawn."""


def prompt_frame(model: Lite, frame: EncodedFrame, chances: Chances, scores: Scores) -> None:
    """Decode one frame from a simulated prompt, then once more from that result; both are scored."""
    kind = chances.pick(KINDS)
    boxes = outer_boxes(frame.mask)
    windows = _windows(kind, boxes, frame, chances)
    seen = frame.seen_by(model, windows)
    grid = 2 * model.geometry.grid
    nothing_known = torch.zeros(len(boxes), PRIOR_CHANNELS, grid, grid)
    truth = frame.truth(windows, grid=2 * grid)

    prompts = _draw(kind, boxes, frame, truth, chances)
    output = decode(model, seen, prior=nothing_known, prompts=prompts)
    scores.add_masks(kind, output, truth, present=frame.present, best_only=kind == "point", presence=False)

    # A second pass corrects the first, as cascaded post-refinement and a clicking user do
    prompts = replace(prompts, masks=output.masks[:, :1].detach(), boxes=jitter_boxes(boxes, chances))
    output = decode(model, seen, prior=nothing_known, prompts=prompts)
    scores.add_masks(f"{kind}+", output, truth, present=frame.present, presence=False)


def random_points(mask: Tensor, number: int, chances: Chances, *, inside: bool = True) -> Tensor:
    """Pixels (B, number, 2) as (x, y): in masks (B, S, S), off their border where there is room, or outside of them."""
    _, _, width = mask.shape
    weights = mask if inside else 1 - mask
    if inside:
        core = -F.max_pool2d(-weights[:, None], 5, stride=1, padding=2)[:, 0]
        weights = torch.where(core.flatten(1).sum(1)[:, None, None] > 5, core, weights)
    chosen = chances.cells(weights.flatten(1) + 1e-6, number)
    return torch.stack([chosen % width, chosen // width], dim=-1).float()


def jitter_boxes(boxes: Tensor, chances: Chances) -> Tensor:
    """Boxes (B, 4), each edge moved by up to 6 % of the box."""
    extent = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    return boxes + chances.uniform(-0.06, 0.06, 4) * extent


def noisy_mask(truth: Tensor, chances: Chances) -> Tensor:
    """Logits of -5 and 5, (B, 1, L, L), of a mask with a border that wanders about the true one."""
    noise = F.interpolate(chances.uniform(-1, 1, 1, 12, 12), size=truth.shape[-2:], mode="bilinear")
    soft = F.avg_pool2d(truth, 7, stride=1, padding=3)
    return torch.where(soft + 0.5 * noise > 0.5, 5.0, -5.0)


def _windows(kind: str, boxes: Tensor, frame: EncodedFrame, chances: Chances) -> Tensor:
    """A point says little of the object's size, so its windows are wide, or the whole crop."""
    wide = kind.startswith("point") or chances.once(0.3)
    low, high = (1.5, 6.0) if wide else (1.2, 2.0)
    windows = jittered_windows(boxes, chances, side=frame.side, low=low, high=high)
    return torch.where(chances.each(0.3 if wide else 0.0)[:, None], frame.whole, windows)


def _draw(kind: str, boxes: Tensor, frame: EncodedFrame, truth: Tensor, chances: Chances) -> PromptBatch:
    b, _ = boxes.shape
    if kind == "point":
        return PromptBatch(points=(random_points(frame.mask, 1, chances), torch.ones(b, 1)))
    if kind == "points":
        inside = random_points(frame.mask, 2, chances)
        outside = random_points(frame.mask, 1, chances, inside=False)
        labels = torch.tensor([1.0, 1.0, 0.0]).expand(b, 3)
        return PromptBatch(points=(torch.cat([inside, outside], dim=1), labels))
    if kind == "box":
        return PromptBatch(boxes=jitter_boxes(boxes, chances))
    return PromptBatch(masks=noisy_mask(truth, chances))

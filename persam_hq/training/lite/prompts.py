"""Simulated image prompts in the training of lite: points, a box or a rough mask on one image, nothing else known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.mask_boxes import outer_boxes
from persam_hq.modeling.lite.location_prior import (
    FIRST_CHANNELS,
    PRIOR_CHANNELS,
    RIDGE_CHANNELS,
    PriorSources,
)
from persam_hq.modeling.lite.model import Lite, WindowFeatures
from persam_hq.modeling.lite.prompt_maps import box_shapes, point_shapes
from persam_hq.modeling.lite.window import move_window, paste_window, window_boxes
from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.segmenter.lite.reference import LiteReference
from persam_hq.training.data.prompt_simulation import jitter_boxes, noisy_mask, random_points
from persam_hq.training.data.rng import StepRng
from persam_hq.training.lite.encoded_frames import FEWEST_PIXELS, EncodedFrame, decode
from persam_hq.training.lite.step_losses import StepLosses
from persam_hq.training.lite.window_jitter import jittered_windows
from persam_hq.training.losses import mask_loss
from persam_hq.types import DecoderOutput, Guidance

KINDS = {"point": 0.35, "points": 0.15, "box": 0.4, "mask": 0.1}
"""Share of the steps with each kind of prompt: users mostly give a point or a box. Chosen, as all shares and ranges in
this module."""


CUT_RADIUS = 0.04
"""Radius, in window sides, of what a background point cuts out of the mask so far."""
WHOLE_SHARE = 0.4
"""Share of the windows of points that show the whole image, as a first click on a picture is seen."""
CORRECTIONS = 2
"""Passes at most that follow with a point more: together with the first one three points, as annotators need."""
AGAINST_SHARE = 0.7
"""Share of the prompts against the prior that are on another object, where there is one."""
TOLD_SHARE = 0.7
"""Share of the prompts against the prior in which the first frame still says something, for each of its sources."""


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedPrompt:
    """A prompt: its tokens, and itself as a soft mask (B, 1, L, L) in `windows` (B, 4), or None where it is not drawn.

    limits: (B, 4) a box that nothing lies outside of, or None.
    """

    tokens: PromptBatch
    shapes: Tensor | None
    windows: Tensor
    limits: Tensor | None

    def __repr__(self) -> str:
        return f"SimulatedPrompt({self.tokens})"


def prompt_frame(
    model: Lite,
    frame: EncodedFrame,
    chances: StepRng,
    losses: StepLosses,
    *,
    corrections: float = 0.0,
    precision: torch.dtype = torch.float32,
) -> None:
    """Decode one frame from a simulated prompt, then once more from that result; both are scored.

    `corrections`: how likely a third pass, and as likely a fourth, follows with one more point where the mask is wrong,
    as Segment Anything is trained (section 3 and appendix A).
    """
    # The first pass, from the prompt alone; what a point means is ambiguous, so only the best mask is taught
    kind = chances.pick(KINDS)
    prompt = _draw(model, kind, frame, chances)
    output = _decode(model, frame, prompt, losses, name=kind, best_only=kind == "point", precision=precision)

    # What a user or a tool goes on from is the mask that was meant, seen more closely, and the same prompt
    chosen = _meant(output, _truth(model, frame, prompt.windows), best_only=kind == "point")
    prompt = _look_closer(prompt, chosen, frame, chances)
    output = _decode(model, frame, prompt, losses, name=f"{kind}+", best_only=False, precision=precision)

    # Points where it is wrong, each seen through a window around the mask so far
    for _ in range(CORRECTIONS):
        if not (corrections and chances.once(corrections)):
            break
        chosen = torch.sigmoid(output.masks[:, :1].detach())
        prompt = _corrected(prompt, chosen, frame, chances)
        prompt = _look_closer(prompt, chosen, frame, chances)
        output = _decode(model, frame, prompt, losses, name="corrected", best_only=False, precision=precision)


def prompt_against(
    model: Lite,
    frame: EncodedFrame,
    reference: LiteReference,
    chances: StepRng,
    losses: StepLosses,
    *,
    precision: torch.dtype = torch.float32,
) -> None:
    """Decode a prompt on what lies beside the tracked object, while matching says that object; the prompt is right.

    Where nothing lies beside it the prompt is on the object itself, so that what matching says is not wrong by itself.
    """
    # What is meant, and a prompt on it. With a prompt, the last frame's mask is not asked
    target = frame.mask
    if frame.beside is not None:
        other = frame.beside.flatten(1).sum(dim=1) > FEWEST_PIXELS
        target = torch.where((other & chances.each(AGAINST_SHARE))[:, None, None], frame.beside, target)
    meant = replace(frame, mask=target)
    kind = chances.pick(KINDS)
    prompt = _draw(model, kind, meant, chances)
    seen = meant.seen_by(model, prompt.windows)
    prior = _prompted_prior(model, seen, prompt)

    # What the first frame says of the tracked object, in most rows
    with torch.no_grad():
        tracked = model.prior(seen, PriorSources(first=reference.first, ridge=reference.ridge))
    for channels in (FIRST_CHANNELS, RIDGE_CHANNELS):
        kept = chances.each(TOLD_SHARE).float()[:, None, None, None]
        prior[:, channels] = kept * tracked[:, channels]
    guided = chances.once(0.5)
    guidance = Guidance(target_embedding=reference.targets[:, None]) if guided else None
    output = decode(model, seen, prior=prior, prompts=prompt.tokens, guidance=guidance, precision=precision)
    truth = _truth(model, meant, prompt.windows)
    losses.add_masks("against", output, truth, present=meant.present, best_only=kind == "point", presence=False)


def _draw(model: Lite, kind: str, frame: EncodedFrame, chances: StepRng) -> SimulatedPrompt:
    """A prompt of one kind for each row, in most steps as tokens and drawn into the prior, else as one of the two."""
    # The prompt of that kind, as tokens and as a soft mask
    boxes = outer_boxes(frame.mask)
    windows = _windows(kind, boxes, frame, chances)
    grid, limits = model.geometry.mask_grid, None
    if kind == "box":
        limits = jitter_boxes(boxes, chances)
        tokens, shapes = PromptBatch(boxes=limits), box_shapes(limits, windows, grid=grid)
    elif kind == "mask":
        shapes = noisy_mask(frame.truth(windows, grid=grid), chances)
        # As soft_mask_logits with a peak of 5, in another order of rounding, which training's numbers depend on
        tokens = PromptBatch(masks=10 * shapes - 5)
    else:
        points, labels = _points(kind, frame, chances)
        radius = float(chances.rng.uniform(0.06, 0.16))
        tokens = PromptBatch(points=(points, labels))
        shapes = point_shapes(points, labels, windows, grid=grid, radius=radius)

    # Mostly both; without the drawing the tokens have to do, without the tokens the drawing
    drawn = chances.once(0.85)
    if drawn and chances.once(0.2):
        tokens = PromptBatch()
    return SimulatedPrompt(tokens=tokens, shapes=shapes if drawn else None, windows=windows, limits=limits)


def _points(kind: str, frame: EncodedFrame, chances: StepRng) -> tuple[Tensor, Tensor]:
    """One point inside, or two inside and one outside: positions (B, N, 2) and labels (B, N)."""
    if kind == "point":
        return random_points(frame.mask, 1, chances), frame.mask.new_ones(len(frame.mask), 1)
    inside = random_points(frame.mask, 2, chances)
    outside = random_points(frame.mask, 1, chances, inside=False)
    labels = frame.mask.new_tensor([1.0, 1.0, 0.0]).expand(len(frame.mask), 3)
    return torch.cat([inside, outside], dim=1), labels


def _windows(kind: str, boxes: Tensor, frame: EncodedFrame, chances: StepRng) -> Tensor:
    """A point says little of the object's size, so its windows are wide, or the whole crop."""
    wide = kind.startswith("point") or chances.once(0.15)
    low, high = (1.2, 5.0) if wide else (1.2, 2.0)
    windows = jittered_windows(boxes, chances, side=frame.side, low=low, high=high)
    return torch.where(chances.each(WHOLE_SHARE if wide else 0.0)[:, None], frame.whole, windows)


def _truth(model: Lite, frame: EncodedFrame, windows: Tensor) -> Tensor:
    """The true mask on the grid of the HQ mask."""
    return frame.truth(windows, grid=model.geometry.hq_grid)


def _decode(
    model: Lite,
    frame: EncodedFrame,
    prompt: SimulatedPrompt,
    losses: StepLosses,
    *,
    name: str,
    best_only: bool,
    precision: torch.dtype,
) -> DecoderOutput:
    """Decode and score one pass."""
    seen = frame.seen_by(model, prompt.windows)
    prior = _prompted_prior(model, seen, prompt)
    output = decode(model, seen, prior=prior, prompts=prompt.tokens, precision=precision)
    truth = _truth(model, frame, prompt.windows)
    losses.add_masks(name, output, truth, present=frame.present, best_only=best_only, presence=False)
    return output


def _prompted_prior(model: Lite, seen: WindowFeatures, prompt: SimulatedPrompt) -> Tensor:
    """The prior (B, 12, 2g, 2g) that the prompt is drawn into, or nothing where it is not drawn."""
    if prompt.shapes is not None:
        return model.prompt_prior(seen, prompt.shapes)
    side = model.geometry.prior_grid
    return prompt.windows.new_zeros(len(prompt.windows), PRIOR_CHANNELS, side, side)


def _corrected(prompt: SimulatedPrompt, chosen: Tensor, frame: EncodedFrame, chances: StepRng) -> SimulatedPrompt:
    """The prompt with one more point where the mask found, (B, 1, L, L), is wrong: inside if it misses something there.

    Where nothing is wrong the point is on the object.
    """
    # The mask over the crop, and the larger of the two errors in each row
    size = (frame.side, frame.side)
    found = paste_window(chosen, prompt.windows, size=size, scale=(1.0, 1.0), outside=0.0)[:, 0] > 0.5
    truth = frame.mask > 0.5
    missed, claimed = truth & ~found, found & ~truth
    misses = missed.flatten(1).sum(dim=1) >= claimed.flatten(1).sum(dim=1)
    wrong = torch.where(misses[:, None, None], missed, claimed)
    wrong = torch.where(wrong.flatten(1).any(dim=1)[:, None, None], wrong, truth).float()

    # Beside the points so far
    points, labels = random_points(wrong, 1, chances), misses.float()[:, None]
    if prompt.tokens.points is not None:
        before, known = prompt.tokens.points
        points, labels = torch.cat([before, points], dim=1), torch.cat([known, labels], dim=1)
    return replace(prompt, tokens=replace(prompt.tokens, points=(points, labels)))


def _meant(output: DecoderOutput, truth: Tensor, *, best_only: bool) -> Tensor:
    """Probabilities (B, 1, L, L) of the mask to go on from: the single one, or the best of three."""
    if not best_only:
        return torch.sigmoid(output.masks[:, :1].detach())
    # The best of three by the true mask, as a user would pick it
    present = torch.ones(len(truth), dtype=torch.bool, device=truth.device)
    errors = mask_loss(output.masks[:, 1:].detach(), F.avg_pool2d(truth, 2), present=present)
    return torch.sigmoid(
        output.masks.detach()[torch.arange(len(truth), device=truth.device), 1 + errors.argmin(dim=1)][:, None]
    )


def _look_closer(prompt: SimulatedPrompt, chosen: Tensor, frame: EncodedFrame, chances: StepRng) -> SimulatedPrompt:
    """The same prompt with the mask found, (B, 1, L, L), drawn in a window around it."""
    # Some looks go through the same window again
    boxes = window_boxes(chosen[:, 0], prompt.windows)
    windows = jittered_windows(boxes, chances, side=frame.side, low=1.2, high=1.8)
    windows = torch.where(chances.each(0.25)[:, None], prompt.windows, windows)

    # The mask moves with the window; nothing of it lies outside of a box that was given
    shapes, _ = move_window(chosen, source=prompt.windows, destination=windows, grid=chosen.shape[-1])
    if prompt.limits is not None:
        shapes = shapes * box_shapes(prompt.limits, windows, grid=shapes.shape[-1])
    shapes = _with_points(shapes, prompt, windows)
    tokens = replace(prompt.tokens, masks=None)
    return replace(prompt, tokens=tokens, shapes=shapes.clamp(0, 1), windows=windows)


def _with_points(shapes: Tensor, prompt: SimulatedPrompt, windows: Tensor) -> Tensor:
    """Soft masks (B, 1, L, L), cut out at the prompt's background points as in use."""
    if prompt.tokens.points is None:
        return shapes
    points, labels = prompt.tokens.points
    disks = point_shapes(points, 1 - labels, windows, grid=shapes.shape[-1], radius=CUT_RADIUS)
    return shapes * (1 - disks)

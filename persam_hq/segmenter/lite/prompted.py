"""Prompts against the dense prior in lite's tracker: where a strategy gives prompts, they decide.

What matching and the last frame say is weighed against them per object. Where the two agree, both speak: the prompts
are drawn over the prior, and nothing lies outside of a box. Where they contradict each other the prompts stand alone,
as on an image of which nothing else is known. Without prompts nothing here happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.modeling.lite.location_prior import MASK_CHANNELS, PriorChannel
from persam_hq.modeling.lite.model import Lite, WindowFeatures
from persam_hq.modeling.lite.prompt_maps import box_shapes, point_shapes
from persam_hq.modeling.lite.window import OUTSIDE_LOGIT, move_window
from persam_hq.segmenter.lite.config import LiteConfig
from persam_hq.transforms import boxes_to_input, points_to_input
from persam_hq.types import ImageGeometry, PromptSet

__all__ = ["DrawnPrompts", "agreeing", "draw_prompts", "drawn_over", "moved_prompts", "prompted_boxes", "speaks"]


@dataclass(frozen=True, slots=True, eq=False)
class DrawnPrompts:
    """The prompts of K objects, drawn in their windows: masks (K, 1, L, L) float in [0, 1].

    alone: the object as far as the prompts say it, their mask or box and disks at positive points; inside, outside:
    small disks at positive and at negative points; limits: the boxes, all of the window without one.
    """

    alone: Tensor
    inside: Tensor
    outside: Tensor
    limits: Tensor

    def __repr__(self) -> str:
        return f"DrawnPrompts({tuple(self.alone.shape)})"


def speaks(prompt: PromptSet) -> bool:
    """Whether a prompt set says anything at all."""
    return len(prompt.points) > 0 or prompt.box is not None or prompt.mask_input is not None


def says_where(prompt: PromptSet) -> bool:
    """Whether it says where the object is, and not only where it is not."""
    return bool((prompt.labels == 1).any()) or prompt.box is not None or prompt.mask_input is not None


def prompted_boxes(
    prompts: Sequence[PromptSet], windows: Tensor, geometry: ImageGeometry, config: LiteConfig
) -> tuple[Tensor, Tensor]:
    """Boxes (K, 4) of input pixels that the prompts place objects in, and which objects (K,) bool are placed so.

    By a box; or by positive points outside of the `windows` (K, 4) that objects are looked for in, as large as was
    expected of the object. A mask prompt lies in its window as it is, so that such an object stays.
    """
    boxes, placed = windows.clone(), []
    for row, prompt in enumerate(prompts):
        points = points_to_input(prompt.points[prompt.labels == 1].to(windows), geometry)
        seen = (points >= windows[row, :2]) & (points <= windows[row, 2:])
        boxed = prompt.box is not None and prompt.mask_input is None
        placed.append(boxed or (prompt.box is None and not bool(seen.all())))
        if prompt.box is not None and boxed:
            boxes[row] = boxes_to_input(prompt.box.to(windows), geometry)
        elif placed[-1]:
            side = (windows[row, 2:] - windows[row, :2]).max() / config.track_factor
            middle = (points.amin(dim=0) + points.amax(dim=0)) / 2
            half = torch.maximum(side, (points.amax(dim=0) - points.amin(dim=0)).max()) / 2
            boxes[row] = torch.cat([middle - half, middle + half])
    return boxes, torch.tensor(placed, device=windows.device)


def moved_prompts(prompts: Sequence[PromptSet], source: Tensor, destination: Tensor) -> list[PromptSet]:
    """The prompts with their mask prompts carried from windows `source` (K, 4) over to `destination` (K, 4)."""
    moved = []
    for prompt, before, after in zip(prompts, source, destination, strict=True):
        if prompt.mask_input is None or torch.equal(before, after):
            moved.append(prompt)
            continue
        # What the old window did not show is background
        logits, covered = move_window(
            prompt.mask_input[None].to(before),
            source=before[None],
            destination=after[None],
            grid=prompt.mask_input.shape[-1],
        )
        moved.append(replace(prompt, mask_input=torch.where(covered > 0, logits, OUTSIDE_LOGIT)[0]))
    return moved


def draw_prompts(
    prompts: Sequence[PromptSet], windows: Tensor, geometry: ImageGeometry, config: LiteConfig, *, grid: int
) -> DrawnPrompts:
    """The prompts drawn in windows (K, 4), on `grid` cells a side."""
    drawn = [
        _draw(prompt, window[None], geometry, config, grid=grid)
        for prompt, window in zip(prompts, windows, strict=True)
    ]
    alone, inside, outside, limits = (torch.cat(parts) for parts in zip(*drawn, strict=True))
    return DrawnPrompts(alone=alone, inside=inside, outside=outside, limits=limits)


def _draw(
    prompt: PromptSet, window: Tensor, geometry: ImageGeometry, config: LiteConfig, *, grid: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One object's prompts in its window (1, 4): the four maps (1, 1, grid, grid) of `DrawnPrompts`."""
    points = points_to_input(prompt.points.to(window), geometry)[None]
    labels = prompt.labels.to(window.device)[None]

    def disks(wanted: int, radius: float) -> Tensor:
        if not len(prompt.points):
            return window.new_zeros(1, 1, grid, grid)
        chosen = (labels == wanted).to(window.dtype)
        # Only the wanted ones are drawn, as ones; the rest is no point at all
        return point_shapes(points, 2 * chosen - 1, window, grid=grid, radius=radius)

    limits = window.new_ones(1, 1, grid, grid)
    if prompt.box is not None:
        limits = box_shapes(boxes_to_input(prompt.box.to(window), geometry)[None], window, grid=grid)
    shape = window.new_zeros(1, 1, grid, grid)
    if prompt.mask_input is not None:
        shape = torch.sigmoid(prompt.mask_input[None].to(window))
        shape = F.interpolate(shape, size=(grid, grid), mode="bilinear", align_corners=False)
    elif prompt.box is not None:
        shape = limits
    outside = disks(0, config.prompt_disk_over)
    alone = torch.maximum(shape, disks(1, config.prompt_disk_alone)) * limits * (1 - outside)
    return alone, disks(1, config.prompt_disk_over), outside, limits


def agreeing(prompts: Sequence[PromptSet], drawn: DrawnPrompts, prior: Tensor, config: LiteConfig) -> Tensor:
    """Which objects' prompts agree with what matching says in the prior (K, 12, 2g, 2g): (K,) bool.

    They do where matching finds the object at most of the positive points, and most of what it finds in the box, or as
    much of the mask, is the same. Of an object that matching knows nothing of, nothing can contradict.
    """
    found = (prior[:, PriorChannel.FIRST_READ_OUT] > 0).float()
    size = found.shape[-2:]
    inside, limits, alone = (
        F.interpolate(part, size=size, mode="area")[:, 0] for part in (drawn.inside, drawn.limits, drawn.alone)
    )

    verdicts = []
    for row, prompt in enumerate(prompts):
        known = bool(prior[row, PriorChannel.FIRST_KNOWN].amax() > 0)
        if not known or not says_where(prompt):
            verdicts.append(True)
            continue
        agrees = True
        if prompt.mask_input is not None:
            agrees = _overlap(alone[row], found[row]) >= config.prompt_overlap
        elif prompt.box is not None:
            # As much of what is found lies in the box, and it fills as much of the box
            both = float((limits[row] * found[row]).sum())
            agrees = both >= config.prompt_overlap * max(
                float(found[row].sum()), config.prompt_overlap * float(limits[row].sum()), 1.0
            )
        if bool((prompt.labels == 1).any()):
            weight = inside[row]
            agrees = agrees and float((weight * found[row]).sum()) >= config.prompt_covered * float(weight.sum())
        verdicts.append(agrees)
    return torch.tensor(verdicts, device=prior.device)


def _overlap(shares: Tensor, others: Tensor) -> float:
    """Soft IoU of two maps in [0, 1]."""
    return float(torch.minimum(shares, others).sum() / torch.maximum(shares, others).sum().clamp(min=1))


def drawn_over(
    model: Lite, seen: WindowFeatures, prior: Tensor, *, drawn: DrawnPrompts, agrees: Tensor, config: LiteConfig
) -> Tensor:
    """The prior (K, 12, 2g, 2g) with the prompts in it: over it where they agree, instead of it where they do not."""
    # Over it: what is at a point or outside of a box is certain, whatever each source says
    size = prior.shape[-2:]
    inside, outside, limits = (
        F.interpolate(part, size=size, mode="area")[:, 0] for part in (drawn.inside, drawn.outside, drawn.limits)
    )
    over = prior.clone()
    for channels in MASK_CHANNELS:
        for channel in channels:
            said = torch.where(
                (limits < config.prompt_covered) | (outside > config.prompt_covered), -1.0, over[:, channel]
            )
            over[:, channel] = torch.where(inside > config.prompt_covered, 1.0, said)

    # Instead of it: as an image prompt
    alone = model.prompt_prior(seen, drawn.alone.clamp(0, 1))
    return torch.where(agrees[:, None, None, None], over, alone)

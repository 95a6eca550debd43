"""The prompts of one training step: one kind for all its rows, simulated from the true masks or found as by PerSAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.mask_boxes import outer_boxes
from persam_hq.modeling.prompt_encoder import PromptBatch
from persam_hq.training.config.sam import PromptKind, SamTrainConfig
from persam_hq.training.data.prompt_simulation import jitter_boxes, noisy_mask, random_points
from persam_hq.training.data.rng import StepRng
from persam_hq.training.sam.encoded_views import EncodedViews, Personalization
from persam_hq.types import Guidance

KINDS: tuple[PromptKind, ...] = get_args(PromptKind)


@dataclass(frozen=True, slots=True)
class StepPlan:
    """Choices that all rows of a step share: kind of prompt, kinds of guidance, and whether a second pass follows."""

    kind: PromptKind
    guided_attention: bool
    target_embedding: bool
    second_pass: bool

    @property
    def needs_reference(self) -> bool:
        """Whether anything in the step is computed from the reference."""
        return self.kind == "prior" or self.guided_attention or self.target_embedding

    @property
    def ambiguous(self) -> bool:
        """Whether the best of three masks counts: one point may mean a part or the whole (SAM, section 3)."""
        return self.kind == "point"


def draw_plan(config: SamTrainConfig, rng: StepRng) -> StepPlan:
    """Draw the choices of a step, the same ones on every worker.

    PerSAM's own points come with both kinds of guidance, as PerSAM uses them.
    """
    # In the order of KINDS, whatever the order in the configuration, so that a seed means the same
    weights: dict[str, float] = {kind: config.prompts.get(kind, 0.0) for kind in KINDS}
    picked = rng.pick(weights)
    kind = next(kind for kind in KINDS if kind == picked)

    # Drawn for every kind, so that the draws after them do not depend on it
    attention, embedding = rng.once(config.guided_attention), rng.once(config.target_embedding)
    return StepPlan(
        kind=kind,
        guided_attention=attention or kind == "prior",
        target_embedding=embedding or kind == "prior",
        second_pass=rng.once(config.second_pass),
    )


def draw_prompts(
    kind: PromptKind, views: EncodedViews, rng: StepRng, *, found: Personalization | None, side: int
) -> PromptBatch:
    """Prompts of that kind for B views, in pixels of the input frame; masks have `side` x `side` cells.

    `found`: what the reference tells of the targets; needed for `prior` alone.
    """
    masks, device = views.masks.cpu(), views.masks.device
    boxes = outer_boxes(masks)
    if kind == "prior":
        assert found is not None
        return PromptBatch(points=(found.points, _labels(found.points, [1.0, 0.0])))
    if kind == "point":
        points = random_points(masks, 1, rng)
        return PromptBatch(points=(points, _labels(points, [1.0]))).to(device)
    if kind == "points":
        inside = random_points(masks, 2, rng)
        # Beside the object, but not in the padding
        outside = random_points(masks.maximum(views.padding.cpu()), 1, rng, inside=False)
        points = torch.cat([inside, outside], dim=1)
        return PromptBatch(points=(points, _labels(points, [1.0, 1.0, 0.0]))).to(device)
    if kind == "box":
        return PromptBatch(boxes=jitter_boxes(boxes, rng)).to(device)
    truth = F.interpolate(masks[:, None], size=(side, side), mode="area")
    return PromptBatch(masks=noisy_mask(truth, rng)).to(device)


def guidance_of(plan: StepPlan, found: Personalization | None) -> Guidance:
    """The guidance of the decoder's first pass: target-guided attention, target-semantic prompting, both or none."""
    if found is None:
        return Guidance()
    return Guidance(
        attn_sim=found.attn_sim if plan.guided_attention else None,
        target_embedding=found.target_embedding if plan.target_embedding else None,
    )


def _labels(points: Tensor, labels: list[float]) -> Tensor:
    """The same labels for each row of points: (B, N), 1 on the object and 0 beside it."""
    return torch.tensor(labels, device=points.device).expand(len(points), len(labels))

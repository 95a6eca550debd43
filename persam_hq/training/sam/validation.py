"""Validation of SAM-type models at the end of each epoch: mean IoU over pairs of images, and a picture of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from persam_hq.training.data.pairs import Pair
from persam_hq.training.data.rng import RowRng
from persam_hq.training.recipe import Validation
from persam_hq.training.sam.prompts import KINDS, StepPlan
from persam_hq.training.sam.step import SamStep, best_masks, final_iou
from persam_hq.training.validation_picture import picture_row

_PURPOSE: Final = 9
"""Keeps the random numbers of validation apart from those of training (`DRAW_*` in the recipe)."""


@torch.no_grad()
def validate_pairs(step: SamStep, pairs: Sequence[Pair], *, seed: int) -> Validation:
    """Segment each pair's target from a simulated prompt; the picture has one row per pair.

    The kinds of prompts take turns and both kinds of guidance are on. The mean IoU is the figure `iou_validation`.
    """
    rows, overlaps = [], []
    for index, pair in enumerate(pairs):
        kind = KINDS[index % len(KINDS)]
        plan = StepPlan(kind=kind, guided_attention=True, target_embedding=True, second_pass=False)
        rng = RowRng(seed=seed, step=0, rows=[index], purpose=_PURPOSE)

        # The first pass alone: what a prompt gives before anything corrects it
        prompted = step.prompt([pair], plan, rng)
        output = step.decode(prompted.views, prompted.prompts, prompted.guidance)
        overlaps.append(float(final_iou(output, prompted.views.masks, multimask=plan.ambiguous)))
        logits = best_masks(output, multimask=plan.ambiguous)[0, 0]
        rows.append(picture_row(pair.target, prompted.prompts, logits, title=f"{kind}: IoU {overlaps[-1]:.2f}"))
    return Validation(picture=np.vstack(rows), figures={"iou_validation": float(np.mean(overlaps))})

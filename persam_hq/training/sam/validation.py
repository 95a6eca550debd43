"""Validation of a SAM model in training: the IoU on pairs of images, and a picture of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from persam_hq.training.data.pairs import Pair
from persam_hq.training.data.rng import RowChances
from persam_hq.training.recipe import Validation
from persam_hq.training.sam.prompts import KINDS, StepPlan
from persam_hq.training.sam.step import SamStep, best_masks, final_iou
from persam_hq.training.validation_picture import picture_row

_PURPOSE: Final = 9


@torch.no_grad()
def validate_pairs(step: SamStep, pairs: Sequence[Pair], *, seed: int) -> Validation:
    """One row a pair, the kinds of prompts in turn, both kinds of guidance on; the mean IoU as `iou_validation`."""
    rows, overlaps = [], []
    for index, pair in enumerate(pairs):
        kind = KINDS[index % len(KINDS)]
        plan = StepPlan(kind=kind, guided_attention=True, target_embedding=True, second_pass=False)
        chances = RowChances(seed=seed, step=0, rows=[index], purpose=_PURPOSE)
        prompted = step.prompt([pair], plan, chances)
        output = step.decode(prompted.views, prompted.prompts, prompted.guidance)
        overlaps.append(float(final_iou(output, prompted.views.masks, multimask=plan.ambiguous)))
        logits = best_masks(output, multimask=plan.ambiguous)[0, 0]
        rows.append(picture_row(pair.target, prompted.prompts, logits, title=f"{kind}: IoU {overlaps[-1]:.2f}"))
    return Validation(picture=np.vstack(rows), figures={"iou_validation": float(np.mean(overlaps))})

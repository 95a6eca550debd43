"""What is offered where a prompt may mean several things: the likeliest mask, a larger and a smaller one."""

from __future__ import annotations

import torch

from persam_hq.modeling.mask_decoder import stability
from persam_hq.prompting.candidates import Candidates, coarse_masks, cut_off, pairwise_iou
from persam_hq.types import ImageGeometry

NUMBER = 3
"""Whole, part and subpart (Segment Anything, section 3)."""


def offered(candidates: Candidates, geometry: ImageGeometry, *, distinct: float) -> list[int]:
    """Rows of the three masks to offer: the first one, and of those unlike it the best larger and the best smaller.

    Unlike means an IoU of at most `distinct`. Where nothing is larger or smaller, the best that is unlike all others
    takes its place, and the best of the rest where there is no such mask.
    """
    masks = coarse_masks(candidates, geometry)
    overlap, area = pairwise_iou(masks), masks.sum(dim=1)
    quality = candidates.scores.clamp(0, 1) * stability(candidates.logits) ** 2 * (1 - cut_off(candidates, geometry))
    order = torch.where(area > 0, quality, -1).argsort(descending=True).tolist()

    chosen = [0]
    unlike = [row for row in order if overlap[row, 0] <= distinct and area[row] > 0]
    for beyond in (area > area[0], area < area[0]):
        chosen += [row for row in unlike if beyond[row]][:1]
    for row in order:
        if all(overlap[row, other] <= distinct for other in chosen):
            chosen.append(row)
    spare = [row for row in order if row not in chosen]
    return [*chosen, *spare][:NUMBER]

"""Multimask output for ambiguous prompts: the likeliest mask, then a larger and a smaller one.

Segment Anything (section 3) answers with the whole, the part and the subpart. Lite has candidates of several windows
instead, from which these are selected.
"""

from __future__ import annotations

import torch

from persam_hq.modeling.mask_decoder import stability
from persam_hq.prompting.candidates import Candidates, coarse_masks, edge_contact, pairwise_iou
from persam_hq.types import ImageGeometry

NUM_MULTIMASK_OUTPUTS = 3
"""Whole, part and subpart (Segment Anything, section 3)."""


def select_multimask(candidates: Candidates, geometry: ImageGeometry, *, distinct: float) -> list[int]:
    """Rows of the masks to return: the first one, and of those unlike it the best larger and the best smaller one.

    Unlike means an IoU of at most `distinct`. Where nothing is larger or smaller, the best that is unlike all others
    takes its place, and the best of the rest where there is no such mask.
    """
    masks = coarse_masks(candidates, geometry)
    overlap, area = pairwise_iou(masks), masks.sum(dim=1)

    # Quality: the predicted IoU, less where a mask is unstable or cut off by its window; empty masks come last
    whole = 1 - edge_contact(candidates, geometry)
    quality = candidates.scores.clamp(0, 1) * stability(candidates.logits) ** 2 * whole
    order = torch.where(area > 0, quality, -1).argsort(descending=True).tolist()

    # The first mask, the best larger one, the best smaller one
    chosen = [0]
    unlike = [row for row in order if overlap[row, 0] <= distinct and area[row] > 0]
    for beyond in (area > area[0], area < area[0]):
        chosen += [row for row in unlike if beyond[row]][:1]

    # Places that are left go to what differs from all chosen ones, then to the best of the rest
    for row in order:
        if all(overlap[row, other] <= distinct for other in chosen):
            chosen.append(row)
    spare = [row for row in order if row not in chosen]
    return [*chosen, *spare][:NUM_MULTIMASK_OUTPUTS]

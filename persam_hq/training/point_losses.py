"""Mask losses on a few thousand points, most of them where the mask is uncertain.

PointRend, section 3.1; Mask2Former, section 3.2; the losses that SAM-HQ is trained with.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.training.chances import Chances

OVERSAMPLE, IMPORTANT = 3, 0.75
"""How many candidates there are for each point, and the share of points taken where they are least certain."""


def sample_points(maps: Tensor, points: Tensor) -> Tensor:
    """The values (N, P) of maps (N, H, W) at points (N, P, 2), (x, y) in [0, 1] over the whole map, bilinearly."""
    sampled = F.grid_sample(maps[:, None], 2 * points[:, :, None] - 1, padding_mode="border", align_corners=False)
    return sampled[:, 0, :, 0]


@torch.no_grad()
def uncertain_points(logits: Tensor, candidates: Tensor, *, number: int) -> Tensor:
    """`number` points (N, P, 2) for logits (N, H, W), chosen from candidates (N, 3P, 2) in [0, 1].

    Three quarters are the candidates whose logits are closest to zero, the rest are the first of the candidates as
    they were drawn.
    """
    _, count, _ = candidates.shape
    important = min(int(IMPORTANT * number), count)
    uncertainty = -sample_points(logits, candidates).abs()
    chosen = uncertainty.topk(important, dim=1).indices
    near = candidates.gather(1, chosen[..., None].expand(-1, -1, 2))
    return torch.cat([near, candidates[:, : number - important]], dim=1)


def point_mask_losses(logits: Tensor, truth: Tensor, chances: Chances, *, number: int) -> Tensor:
    """Cross-entropy plus dice of each mask, over `number` points: logits (B, K, L, L') to (B, K).

    truth: (B, H, W) float in [0, 1] over the same frame, at any size.
    """
    b, k, height, width = logits.shape
    flat = logits.float().reshape(b * k, height, width)
    targets = truth.float().repeat_interleave(k, dim=0)
    candidates = chances.uniform(0, 1, k, OVERSAMPLE * number, 2).to(logits.device).flatten(0, 1)

    points = uncertain_points(flat, candidates, number=number)
    predicted, wanted = sample_points(flat, points), sample_points(targets, points)

    entropy = F.binary_cross_entropy_with_logits(predicted, wanted, reduction="none").mean(dim=1)
    probability = predicted.sigmoid()
    overlap = 2 * (probability * wanted).sum(dim=1) + 1
    dice = 1 - overlap / (probability.sum(dim=1) + wanted.sum(dim=1) + 1)
    return (entropy + dice).reshape(b, k)

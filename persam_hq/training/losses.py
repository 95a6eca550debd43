"""Losses on window grids. Targets are soft: the share of a cell that the object covers."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def mask_loss(logits: Tensor, target: Tensor, *, present: Tensor) -> Tensor:
    """4 * cross-entropy + dice of each mask: logits and target (B, K, L, L) to (B, K).

    `present` (B,): where the object is absent there is no dice, only cross-entropy.
    """
    logits, target = logits.float(), target.float().expand_as(logits)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(dim=(-2, -1))
    probability = torch.sigmoid(logits)
    overlap = 2 * (probability * target).sum(dim=(-2, -1)) + 1
    dice = 1 - overlap / (probability.sum(dim=(-2, -1)) + target.sum(dim=(-2, -1)) + 1)
    return 4 * cross_entropy + present.float()[:, None] * dice


def point_loss(
    logits: Tensor, target: Tensor, *, present: Tensor, rng: np.random.Generator, points: int = 3072
) -> Tensor:
    """HQ-SAM's loss, cross-entropy + dice at `points` cells of each mask, a scalar; it looks where a mask is unsure.

    Logits and target (B, 1, L, L). Of three times as many random cells, those with logits nearest to zero are three
    quarters of what is looked at; the rest is random (PointRend, section 3.1; HQ-SAM's training code). Without an
    object, `present` (B,), there is no dice. Cross-entropy counts four times, as in `mask_loss`.
    """
    logits, target = logits.flatten(1).float(), target.flatten(1).float()
    b, cells = logits.shape
    candidates = torch.from_numpy(rng.integers(cells, size=(b, 3 * points)))
    unsure = -logits.detach().gather(1, candidates).abs()
    sharp = candidates.gather(1, unsure.topk(3 * points // 4, dim=1).indices)
    chosen = torch.cat([sharp, torch.from_numpy(rng.integers(cells, size=(b, points - sharp.shape[1])))], dim=1)
    shape = (b, 1, 1, points)
    looked_at = logits.gather(1, chosen).reshape(shape), target.gather(1, chosen).reshape(shape)
    return mask_loss(*looked_at, present=present).mean()


def read_out_loss(read: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of a read-out in [-1, 1] against a soft mask of the same shape: a scalar."""
    probability = ((read.float() + 1) / 2).clamp(0.01, 0.99)
    return F.binary_cross_entropy(probability, target.float())


@torch.no_grad()
def mask_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of thresholded logits and target, (B, K, L, L) to (B, K); two empty masks agree fully."""
    predicted, truth = logits > 0, target.expand_as(logits) > 0.5
    union = (predicted | truth).sum(dim=(-2, -1)).float()
    both = (predicted & truth).sum(dim=(-2, -1)).float()
    return torch.where(union > 0, both / union.clamp(min=1), torch.ones_like(union))

"""Losses on window grids. Targets are soft: the share of a cell that the object covers."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.training.data.rng import Chances


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

"""Losses of predicted masks: cross-entropy and dice, over every cell of a mask or over the points where it is unsure.

Targets are soft: the share of a cell that the object covers, in [0, 1].
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from persam_hq.training.data.rng import StepRng

ENTROPY_WEIGHT: Final = 4.0
"""Weight of cross-entropy beside dice in training lite. Chosen; HQ-SAM and Segment Anything's path here use 1."""

# PointRend (Kirillov et al. 2020, section 3.1) and HQ-SAM's training code: of three random candidates for each point
# wanted, the least certain ones are taken until they are three quarters of the points. The rest stays random.
OVERSAMPLING: Final = 3
UNCERTAIN_SHARE: Final = 0.75

LITE_POINTS: Final = 3072
"""Points per mask in training lite: a twelfth of the 192 x 192 cells of its HQ mask. Chosen."""


def mask_loss(
    logits: Tensor,
    target: Tensor,
    *,
    present: Tensor | None = None,
    entropy_weight: float = ENTROPY_WEIGHT,
    weights: Tensor | None = None,
) -> Tensor:
    """Weighted cross-entropy plus dice of each mask: logits and target (B, K, L, L') to (B, K).

    `present` (B,) bool: rows without their object have cross-entropy alone. None: dice counts in every row. `weights`
    (B, 1, L, L'): how much each cell counts, in both; None: all alike.
    """
    # Cross-entropy, mean over the cells
    logits, target = logits.float(), target.float().expand_as(logits)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    probability = torch.sigmoid(logits)
    if weights is None:
        cross_entropy = cross_entropy.mean(dim=(-2, -1))
        covered, wanted, both = probability, target, probability * target
    else:
        cross_entropy = (cross_entropy * weights).sum(dim=(-2, -1)) / weights.sum(dim=(-2, -1))
        covered, wanted, both = weights * probability, weights * target, weights * probability * target

    # Dice with one cell added to both sums, so that an empty mask of an empty target costs nothing
    overlap = 2 * both.sum(dim=(-2, -1)) + 1
    dice = 1 - overlap / (covered.sum(dim=(-2, -1)) + wanted.sum(dim=(-2, -1)) + 1)
    if present is not None:
        dice = present.float()[:, None] * dice
    return entropy_weight * cross_entropy + dice


def detail_weights(target: Tensor, *, border: float, thin: float) -> Tensor | None:
    """How much each cell of a mask counts: (B, 1, L, L) in [0, 1] to (B, 1, L, L), 1 and more; None where all alike.

    Cells along the border count `border` more, and those of what is thin, which opening the mask takes away, with the
    cells around them, `thin` more. Most of an object lies far from its border and is soon learned; strings, legs and
    spokes are few cells, which a mean over all of them leaves out.
    """
    if not (border or thin):
        return None

    def dilated(shares: Tensor, reach: int) -> Tensor:
        return F.max_pool2d(shares, 2 * reach + 1, stride=1, padding=reach)

    # A cell on either side of the border; and what an opening by two cells takes away, a cell wider
    eroded = -dilated(-target, 1)
    edge = dilated(target, 1) - eroded
    opened = dilated(-dilated(-target, 2), 2)
    slender = dilated((target - opened).clamp(min=0), 1)
    return 1 + border * edge + thin * slender


class PointSampler(Protocol):
    """Chooses the points of each mask at which its loss is computed, most of them where the mask is unsure."""

    def __call__(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and target at P points per mask, (B, K, P) each."""
        ...


class CellSampler:
    """Points that are whole cells, for logits and target (B, 1, L, L) on one grid; lite's HQ mask is scored so."""

    def __init__(self, rng: np.random.Generator, *, number: int = LITE_POINTS) -> None:
        self.rng, self.number = rng, number

    def __call__(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """See PointSampler. The random quarter is drawn anew, after the candidates."""
        logits, target = logits.flatten(1).float(), target.flatten(1).float()
        b, cells = logits.shape

        candidates = torch.from_numpy(self.rng.integers(cells, size=(b, OVERSAMPLING * self.number)))
        candidates = candidates.to(logits.device)
        unsure = least_certain(logits.detach().gather(1, candidates), number=self.number)
        unsure = candidates.gather(1, unsure)
        rest = torch.from_numpy(self.rng.integers(cells, size=(b, self.number - unsure.shape[1]))).to(logits.device)

        chosen = torch.cat([unsure, rest], dim=1)
        return logits.gather(1, chosen)[:, None], target.gather(1, chosen)[:, None]


class FrameSampler:
    """Points anywhere in the frame, for logits (B, K, L, L') and a target (B, H, W) of any size: SAM-type models.

    Values between the cells' centres are interpolated. Draws are per row, so a row's points depend on no other row.
    """

    def __init__(self, rng: StepRng, *, number: int) -> None:
        self.rng, self.number = rng, number

    def __call__(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """See PointSampler."""
        b, k, height, width = logits.shape
        maps = logits.float().reshape(b * k, height, width)
        targets = target.float().repeat_interleave(k, dim=0)
        candidates = self.rng.uniform(0, 1, k, OVERSAMPLING * self.number, 2).to(logits.device).flatten(0, 1)

        points = uncertain_points(maps, candidates, number=self.number)
        sampled, wanted = sample_points(maps, points), sample_points(targets, points)
        return sampled.reshape(b, k, self.number), wanted.reshape(b, k, self.number)


def point_loss(
    logits: Tensor,
    target: Tensor,
    sampler: PointSampler,
    *,
    present: Tensor | None = None,
    entropy_weight: float = ENTROPY_WEIGHT,
) -> Tensor:
    """`mask_loss` over the sampler's points instead of all cells: logits (B, K, L, L') to (B, K)."""
    predicted, wanted = sampler(logits, target)
    # The points stand as a grid of one row
    return mask_loss(predicted[:, :, None], wanted[:, :, None], present=present, entropy_weight=entropy_weight)


def least_certain(logits: Tensor, *, number: int) -> Tensor:
    """Indices (N, 3P/4) of the candidates whose logits (N, C) are closest to zero, for `number` = P points in all."""
    _, count = logits.shape
    return (-logits.abs()).topk(min(int(UNCERTAIN_SHARE * number), count), dim=1).indices


def sample_points(maps: Tensor, points: Tensor) -> Tensor:
    """The values (N, P) of maps (N, H, W) at points (N, P, 2), (x, y) in [0, 1] over the whole map, bilinearly."""
    sampled = F.grid_sample(maps[:, None], 2 * points[:, :, None] - 1, padding_mode="border", align_corners=False)
    return sampled[:, 0, :, 0]


@torch.no_grad()
def uncertain_points(logits: Tensor, candidates: Tensor, *, number: int) -> Tensor:
    """`number` points (N, P, 2) for logits (N, H, W), chosen from candidates (N, 3P, 2) in [0, 1].

    Three quarters are the least certain candidates, the rest are the first of the candidates as they were drawn.
    """
    chosen = least_certain(sample_points(logits, candidates), number=number)
    unsure = candidates.gather(1, chosen[..., None].expand(-1, -1, 2))
    return torch.cat([unsure, candidates[:, : number - unsure.shape[1]]], dim=1)


def read_out_loss(read: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of a memory read-out in [-1, 1] against a soft mask of the same shape: a scalar."""
    # A read-out of exactly -1 or 1 would cost infinitely much where it is wrong
    probability = ((read.float() + 1) / 2).clamp(0.01, 0.99)
    return F.binary_cross_entropy(probability, target.float())


@torch.no_grad()
def mask_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of each thresholded mask and its target, (B, K, L, L') to (B, K); two empty masks agree fully."""
    predicted, truth = logits > 0, target.expand_as(logits) > 0.5
    union = (predicted | truth).sum(dim=(-2, -1)).float()
    both = (predicted & truth).sum(dim=(-2, -1)).float()
    return torch.where(union > 0, both / union.clamp(min=1), torch.ones_like(union))

"""PerSAM-F: two weights, fitted on the reference image, decide between SAM's three scales (PerSAM, section 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from persam_hq.errors import ShapeError

__all__ = ["fit_scale_weights", "weigh_masks"]


def weigh_masks(logits: Tensor, weights: Tensor) -> Tensor:
    """The weighted sum of three masks: (3, H, W) float and (3,) float to (1, H, W) float."""
    return (logits * weights[:, None, None]).sum(dim=0, keepdim=True)


def fit_scale_weights(logits: Tensor, mask: Tensor, *, steps: int = 1000, learning_rate: float = 1e-3) -> Tensor:
    """Weights (3,) of SAM's three masks that bring their sum closest to the reference mask; they sum to 1.

    logits: (3, H, W) float of the reference image; mask: (H, W) bool. AdamW on dice and focal loss, from a third each.
    """
    if logits.ndim != 3 or len(logits) != 3 or logits.shape[1:] != mask.shape:
        raise ShapeError(f"expected logits (3, H, W) and a mask (H, W), got {tuple(logits.shape)}, {tuple(mask.shape)}")
    logits, truth = logits.detach(), mask.to(logits.dtype)
    free = torch.full((2,), 1 / 3, dtype=logits.dtype, device=logits.device, requires_grad=True)
    optimizer = torch.optim.AdamW([free], lr=learning_rate, eps=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    with torch.enable_grad():
        for _ in range(steps):
            merged = weigh_masks(logits, _all_three(free))[0]
            loss = _dice_loss(merged, truth) + _focal_loss(merged, truth)
            (free.grad,) = torch.autograd.grad(loss, [free])
            optimizer.step()
            schedule.step()
    return _all_three(free.detach())


def _all_three(free: Tensor) -> Tensor:
    return torch.cat([1 - free.sum(dim=0, keepdim=True), free])


def _dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    probability = logits.sigmoid()
    return 1 - (2 * (probability * truth).sum() + 1) / (probability.sum() + truth.sum() + 1)


def _focal_loss(logits: Tensor, truth: Tensor, *, alpha: float = 0.25, gamma: float = 2) -> Tensor:
    probability = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    agreement = probability * truth + (1 - probability) * (1 - truth)
    balance = alpha * truth + (1 - alpha) * (1 - truth)
    return (balance * entropy * (1 - agreement) ** gamma).mean()

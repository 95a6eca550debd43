"""The target model of the dense location prior: a ridge classifier on matching keys, kept as running sums."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from persam_hq.modeling.lite.matching import MatchMemory

RIDGE_KEYS = 64
"""Components of the keys, the leading ones, that the ridge classifier sees: its sums, which travel with the state, grow
with their square. Chosen."""
_SMALLEST_WEIGHT = 1e-3
"""Summed mask below which a side has no weight; it only keeps the division finite."""


@dataclass(frozen=True, slots=True, eq=False)
class RidgeSums:
    """The running sums of a weighted ridge regression on n components: gram (B, n+1, n+1), moment (B, n+1), float32."""

    gram: Tensor
    moment: Tensor

    def __repr__(self) -> str:
        return f"RidgeSums(gram={tuple(self.gram.shape)})"


def ridge_sums(memory: MatchMemory) -> RidgeSums:
    """Sums over one frame; foreground and background weigh the same however large they are."""
    b, m, _ = memory.keys.shape
    # One component more, always 1, makes the bias
    keys, mask = memory.keys[..., :RIDGE_KEYS].float(), memory.mask.float()
    x = torch.cat([keys, keys.new_ones(b, m, 1)], dim=-1)

    # Each side sums to 1; the classifier is fitted to 1 on the object and to -1 beside it
    foreground = mask / mask.sum(dim=1, keepdim=True).clamp(min=_SMALLEST_WEIGHT)
    background = (1 - mask) / (1 - mask).sum(dim=1, keepdim=True).clamp(min=_SMALLEST_WEIGHT)
    weighted = x * (foreground + background)[..., None]
    return RidgeSums(gram=weighted.transpose(1, 2) @ x, moment=(weighted * (2 * mask - 1)[..., None]).sum(dim=1))


def add_ridge_sums(sums: RidgeSums, more: RidgeSums, *, weight: Tensor) -> RidgeSums:
    """Another frame's sums, `weight` (B,) times, on top."""
    return RidgeSums(
        gram=sums.gram + weight[:, None, None] * more.gram, moment=sums.moment + weight[:, None] * more.moment
    )


def ridge_weights(sums: RidgeSums, *, regularisation: Tensor) -> Tensor:
    """The closed-form solution (B, n+1), the bias last; `regularisation` is a positive scalar."""
    _, n, _ = sums.gram.shape
    identity = torch.eye(n, device=sums.gram.device)
    weights: Tensor = torch.linalg.solve(sums.gram + regularisation * identity, sums.moment[..., None])
    return weights[..., 0]

"""Point prompts from a similarity map: the positive-negative location prior (PerSAM, section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["bottom_points", "top_points"]


def top_points(similarity: Tensor, count: int = 1) -> Tensor:
    """(x, y) of the `count` most similar pixels of (H, W), the most similar one first: (count, 2) float."""
    return _points(similarity.flatten().topk(count).indices, similarity)


def bottom_points(similarity: Tensor, count: int = 1) -> Tensor:
    """(x, y) of the `count` least similar pixels of (H, W), the least similar one first: (count, 2) float."""
    return _points(similarity.flatten().topk(count, largest=False).indices, similarity)


def _points(flat: Tensor, similarity: Tensor) -> Tensor:
    _, width = similarity.shape
    return torch.stack([flat % width, flat // width], dim=-1).float()

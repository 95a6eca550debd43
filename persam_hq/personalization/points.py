"""Point prompts from a similarity map: the positive-negative location prior (PerSAM, section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["bottom_points", "top_points"]


def top_points(similarity: Tensor, count: int = 1) -> Tensor:
    """(x, y) of the `count` most similar pixels of a map (H, W) float, the most similar first: (count, 2) float."""
    return _points(similarity.flatten().topk(count).indices, similarity)


def bottom_points(similarity: Tensor, count: int = 1) -> Tensor:
    """(x, y) of the `count` least similar pixels of a map (H, W) float, the least similar first: (count, 2) float."""
    return _points(similarity.flatten().topk(count, largest=False).indices, similarity)


def _points(flat: Tensor, similarity: Tensor) -> Tensor:
    # Indices of the map read row by row become columns (x) and rows (y)
    _, width = similarity.shape
    return torch.stack([flat % width, flat // width], dim=-1).float()

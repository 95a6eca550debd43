"""Unit vectors as bytes: matching keys travel with the state, and only their direction counts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["direction_bytes", "directions"]


def direction_bytes(vectors: Tensor, *, dim: int) -> Tensor:
    """The direction of vectors along `dim`: int8, the largest component 127; zero stays zero."""
    largest = vectors.abs().amax(dim=dim, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    return torch.round(127 * vectors / largest).to(torch.int8)


def directions(stored: Tensor, *, dim: int) -> Tensor:
    """Vectors of unit length, float32, from `direction_bytes`; zero stays zero."""
    return F.normalize(stored.float(), dim=dim)

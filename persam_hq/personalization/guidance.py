"""Target guidance of the decoder's first pass: attention similarity and target embedding (PerSAM, section 3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch.nn import functional as F

from persam_hq.types import Guidance, ImageGeometry, LocationPrior, Size, Target

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Alignment", "attention_similarity", "guide"]

Alignment = Literal["image", "published"]


def attention_similarity(prior: LocationPrior, *, alignment: Alignment = "image") -> Tensor:
    """Similarity as attention takes it: standardised over the image, then a sigmoid: (1, 1, 1, h*w) in [0, 1].

    With "image" every cell has the similarity of the place it looks at, and cells of the padding have 0. The
    published script stretches the similarity of the image over the whole grid instead, padding included: off wherever
    the image does not fill its frame, and kept under "published" because published numbers come from it.
    """
    similarity, (h, w) = prior.similarity, prior.grid.shape
    # A constant map has a deviation of 0; the smallest float keeps it from dividing by that
    standard = (similarity - similarity.mean()) / similarity.std().clamp(min=torch.finfo(similarity.dtype).tiny)
    if alignment == "published":
        cells = F.interpolate(standard[None, None], size=(h, w), mode="bilinear", align_corners=False)
        return cells.sigmoid().reshape(1, 1, 1, h * w)
    return _sigmoid_at_cells(standard, geometry=prior.geometry, grid=(h, w)).reshape(1, 1, 1, h * w)


def guide(prior: LocationPrior, target: Target, *, alignment: Alignment = "image") -> Guidance:
    """Target-guided attention and target-semantic prompting together, as PerSAM's first pass has them."""
    return Guidance(
        attn_sim=attention_similarity(prior, alignment=alignment),
        target_embedding=target.embedding,
    )


def _sigmoid_at_cells(values: Tensor, *, geometry: ImageGeometry, grid: Size) -> Tensor:
    """Sigmoid of `values` (H, W), over the original image, at the centres of the cells (h, w); 0 outside the image."""
    # Centres of the cells in grid_sample's units
    axes = []
    for axis in (1, 0):  # x, then y
        cells = torch.arange(grid[axis], dtype=values.dtype, device=values.device)
        centres = (cells + 0.5) * (geometry.padded[axis] / grid[axis])
        axes.append(centres * (2 / geometry.input[axis]) - 1)  # -1 and 1 are the borders of the image
    x, y = axes

    # The border's value where a cell looks beyond the last pixel's centre, and nothing in the padding
    positions = torch.stack([x.expand(grid), y[:, None].expand(grid)], dim=-1)
    sampled = F.grid_sample(values[None, None], positions[None], padding_mode="border", align_corners=False)[0, 0]
    inside = (x < 1) & (y < 1)[:, None]
    return torch.where(inside, sampled.sigmoid(), torch.zeros_like(sampled))

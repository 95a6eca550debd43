"""The location prior: how alike every place of an image and the target are (PerSAM, section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F

from persam_hq.transforms import masks_to_original
from persam_hq.types import ImageFeatures, LocationPrior, Target

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["cosine_grid", "locate"]


def cosine_grid(image_embedding: Tensor, feature: Tensor) -> Tensor:
    """Cosine similarity, in [-1, 1], of every cell of (1, C, h, w) to `feature` (C,) of unit length: (h, w)."""
    _, c, h, w = image_embedding.shape
    cells = image_embedding / image_embedding.norm(dim=1, keepdim=True)
    similarity: Tensor = feature @ cells.reshape(c, h * w)
    return similarity.reshape(h, w)


def locate(features: ImageFeatures, target: Target) -> LocationPrior:
    """Similarity to the target on the grid, and at the size of the image.

    The grid is brought to four times its size first, as a mask's logits have, and from there on as a mask is.
    """
    grid = cosine_grid(features.image_embedding, target.feature)
    mask_sized = F.interpolate(grid[None, None], scale_factor=4, mode="bilinear", align_corners=False)
    similarity = masks_to_original(mask_sized, features.geometry)[0, 0]
    (embedding,) = features.image_embedding
    return LocationPrior(grid=grid, similarity=similarity, geometry=features.geometry, embedding=embedding)

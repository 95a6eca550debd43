"""Location prior: cosine similarity of each place of an image to the target (PerSAM, section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional as F

from persam_hq.transforms import masks_to_original
from persam_hq.types import ImageFeatures, ImageGeometry, LocationPrior, Target

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["cosine_grid", "grid_to_image", "locate"]


def cosine_grid(image_embedding: Tensor, feature: Tensor) -> Tensor:
    """Cosine similarity in [-1, 1] of each cell of (1, C, h, w) float to a unit `feature` (C,): (h, w) float."""
    _, c, h, w = image_embedding.shape
    # The feature is normalised already, the cells are not
    cells = image_embedding / image_embedding.norm(dim=1, keepdim=True)
    similarity: Tensor = feature @ cells.reshape(c, h * w)
    return similarity.reshape(h, w)


def grid_to_image(grid: Tensor, geometry: ImageGeometry) -> Tensor:
    """A map (h, w) float over the cells of the padded frame to (H, W) over the pixels of the original image."""
    # As PerSAM does: to four times the grid, the size of a mask's logits, and from there on as a mask is. The two
    # interpolations decide which pixel is the most similar one.
    mask_sized = F.interpolate(grid[None, None], scale_factor=4, mode="bilinear", align_corners=False)
    return masks_to_original(mask_sized, geometry)[0, 0]


def locate(features: ImageFeatures, target: Target) -> LocationPrior:
    """The location prior of one image: similarity to the target on the grid, and at the size of the image."""
    grid = cosine_grid(features.image_embedding, target.feature)
    similarity = grid_to_image(grid, features.geometry)
    (embedding,) = features.image_embedding
    return LocationPrior(grid=grid, similarity=similarity, geometry=features.geometry, embedding=embedding)

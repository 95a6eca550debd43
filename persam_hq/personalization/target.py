"""Target: the features of an object, taken from a reference image under its mask (PerSAM, section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch.nn import functional as F

from persam_hq.errors import EmptyMaskError, ShapeError
from persam_hq.types import ImageGeometry, Size, Target

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Pooling", "foreground_cells", "target_from_features"]

Pooling = Literal["mean", "mean_and_max"]


def foreground_cells(mask: Tensor, *, prepared: Tensor, geometry: ImageGeometry, grid: Size) -> Tensor:
    """Cells of the feature grid that the reference mask covers: (h, w) bool, at least one.

    mask: (H, W) bool at the size of the original image. prepared: (1, 3, H', W') float, the same mask drawn in white
    on black and prepared as an image is; a cell is foreground where this, resized bilinearly, is above zero, that is
    where about half of it is mask. A mask too small for any cell gets the one that its centroid lies in.
    """
    if tuple(mask.shape) != geometry.original:
        raise ShapeError(f"the mask is {tuple(mask.shape)}, its image {geometry.original}; both must be of one size")
    if not mask.any():
        raise EmptyMaskError("the reference mask is empty; give one with at least one foreground pixel")

    # The published script asks for values above 0 after normalisation, in the red channel: where the cell is brighter
    # than the mean red of the training images, 0.485, so nearly half of it mask
    cells = F.interpolate(prepared[:, :1], size=grid, mode="bilinear", align_corners=False)[0, 0] > 0
    # The published script takes a mean over nothing here, a target of NaN
    if not cells.any():
        cells[_centroid_cell(mask, geometry=geometry, grid=grid)] = True
    return cells


def target_from_features(image_embedding: Tensor, cells: Tensor, *, pooling: Pooling = "mean") -> Target:
    """The target that the features (1, C, h, w) under `cells` (h, w) bool describe.

    The embedding is their mean. The feature that images are searched for is the same, or with "mean_and_max" half
    their mean and half their maximum (PerSAM-F as published); either is brought to unit length.
    """
    # The cells are those of this embedding's grid
    _, _, h, w = image_embedding.shape
    if tuple(cells.shape) != (h, w):
        raise ShapeError(f"cells are {tuple(cells.shape)}, the features' grid is {(h, w)}")
    count = int(cells.sum())
    if count == 0:
        raise EmptyMaskError("no cell is marked as foreground, so there is nothing to take a target from")

    # Pooled over the object; only the feature is normalised, the embedding enters the decoder as it is
    inside = image_embedding[0].permute(1, 2, 0)[cells]  # (cells, C)
    mean = inside.mean(dim=0)
    pooled = mean if pooling == "mean" else inside.amax(dim=0) / 2 + mean / 2
    return Target(feature=pooled / pooled.norm(), embedding=mean[None, None], cells=count)


def _centroid_cell(mask: Tensor, *, geometry: ImageGeometry, grid: Size) -> tuple[int, int]:
    """Row and column of the cell that the centroid of `mask` (H, W) bool lies in."""
    centre = torch.nonzero(mask).double().mean(dim=0) + 0.5  # (y, x); pixels' centres
    # From pixels of the image to pixels of the input, then to cells of the padded frame
    cell = []
    for axis, position in enumerate(centre.tolist()):
        in_input = position * geometry.input[axis] / geometry.original[axis]
        cell.append(min(int(in_input * grid[axis] / geometry.padded[axis]), grid[axis] - 1))
    return cell[0], cell[1]

"""Functions on masks, boxes and grids under the published names of `utils.amg`, around those of this package."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from persam_hq.compat import mask_regions
from persam_hq.compat.mask_regions import mask_boxes, near_crop_edge, point_grid, uncropped
from persam_hq.compat.rle import Rle, area_from_rle, coco_encode_rle, masks_to_rle, rle_to_mask
from persam_hq.errors import ArgumentError
from persam_hq.types import Size

__all__ = [
    "MaskData",
    "area_from_rle",
    "batch_iterator",
    "batched_mask_to_box",
    "box_xyxy_to_xywh",
    "build_all_layer_point_grids",
    "build_point_grid",
    "calculate_stability_score",
    "coco_encode_rle",
    "generate_crop_boxes",
    "is_box_near_crop_edge",
    "mask_to_rle_pytorch",
    "remove_small_regions",
    "rle_to_mask",
    "uncrop_boxes_xyxy",
    "uncrop_masks",
    "uncrop_points",
]

Column = list[Any] | NDArray[Any] | Tensor


class MaskData:
    """A table of masks: columns of one length by name, each a list, an array or a tensor."""

    def __init__(self, **kwargs: Column) -> None:
        self._columns: dict[str, Column] = {}
        for name, column in kwargs.items():
            self[name] = column

    def __setitem__(self, key: str, item: Column) -> None:
        if not isinstance(item, list | np.ndarray | Tensor):
            raise ArgumentError(f"a column of MaskData is a list, an array or a tensor, got {type(item).__name__}")
        self._columns[key] = item

    def __delitem__(self, key: str) -> None:
        del self._columns[key]

    def __getitem__(self, key: str) -> Any:
        return self._columns[key]

    def items(self) -> ItemsView[str, Column]:
        """Names and columns."""
        return self._columns.items()

    def filter(self, keep: Tensor) -> None:
        """Keep the rows of a mask (N,) bool, or those of the indices (K,)."""
        for name, column in self._columns.items():
            if isinstance(column, Tensor):
                self._columns[name] = column[keep.to(column.device)]
            elif isinstance(column, np.ndarray):
                self._columns[name] = column[keep.detach().cpu().numpy()]
            else:
                indices = keep.nonzero()[:, 0] if keep.dtype == torch.bool else keep
                self._columns[name] = [column[index] for index in indices.tolist()]

    def cat(self, new_stats: MaskData) -> None:
        """Add the rows of another table; columns that are new are taken over as they are."""
        for name, column in new_stats.items():
            own = self._columns.get(name)
            if own is None:
                self._columns[name] = list(column) if isinstance(column, list) else column
            elif isinstance(own, Tensor):
                self._columns[name] = torch.cat([own, torch.as_tensor(column)])
            elif isinstance(own, np.ndarray):
                self._columns[name] = np.concatenate([own, np.asarray(column)])
            else:
                self._columns[name] = [*own, *column]

    def to_numpy(self) -> None:
        """Turn tensors into arrays."""
        for name, column in self._columns.items():
            if isinstance(column, Tensor):
                self._columns[name] = column.detach().cpu().numpy()


def is_box_near_crop_edge(
    boxes: Tensor, crop_box: Sequence[int], orig_box: Sequence[int], atol: float = 20.0
) -> Tensor:
    """Which boxes (B, 4) of a crop it cuts off, at an edge that is not the image's own: (B,) bool."""
    x0, y0, x1, y1 = crop_box
    return near_crop_edge(boxes, (x0, y0, x1, y1), (int(orig_box[3]), int(orig_box[2])), tolerance=atol)


def box_xyxy_to_xywh(box_xyxy: Tensor) -> Tensor:
    """Boxes (..., 4) as x, y, width, height."""
    return torch.cat([box_xyxy[..., :2], box_xyxy[..., 2:] - box_xyxy[..., :2]], dim=-1)


def batch_iterator(batch_size: int, *args: Any) -> Iterator[list[Any]]:
    """Parts of `batch_size` rows of sequences of one length."""
    if not args or any(len(arg) != len(args[0]) for arg in args):
        raise ArgumentError("batch_iterator takes sequences of one length; give one or more of these")
    for begin in range(0, len(args[0]), batch_size):
        yield [arg[begin : begin + batch_size] for arg in args]


def mask_to_rle_pytorch(tensor: Tensor) -> list[Rle]:
    """(B, H, W) bool to B run-length encodings."""
    return masks_to_rle(tensor)


def calculate_stability_score(masks: Tensor, mask_threshold: float, threshold_offset: float) -> Tensor:
    """IoU (...) of the masks of logits (..., H, W) cut `threshold_offset` above and below `mask_threshold`."""
    inner, outer = (
        (masks > cut).sum(dim=(-2, -1))
        for cut in (mask_threshold + threshold_offset, mask_threshold - threshold_offset)
    )
    return inner / outer


def build_point_grid(n_per_side: int) -> NDArray[np.float64]:
    """(n_per_side^2, 2) points of the unit square."""
    return point_grid(n_per_side)


def build_all_layer_point_grids(n_per_side: int, n_layers: int, scale_per_layer: int) -> list[NDArray[np.float64]]:
    """A grid for the image and one for each layer of crops, each `scale_per_layer` coarser than the one before."""
    return [point_grid(int(n_per_side / scale_per_layer**layer)) for layer in range(n_layers + 1)]


def generate_crop_boxes(im_size: Size, n_layers: int, overlap_ratio: float) -> tuple[list[list[int]], list[int]]:
    """Boxes x0, y0, x1, y1 of an image of `im_size` (H, W) and of its crops, and the layer of each."""
    crops = mask_regions.crop_boxes(im_size, layers=n_layers, overlap_ratio=overlap_ratio)
    return [list(box) for box, _ in crops], [layer for _, layer in crops]


def uncrop_boxes_xyxy(boxes: Tensor, crop_box: Sequence[int]) -> Tensor:
    """Boxes (B, 4) of a crop in pixels of its image."""
    x0, y0, _, _ = crop_box
    return boxes + boxes.new_tensor([x0, y0, x0, y0])


def uncrop_points(points: Tensor, crop_box: Sequence[int]) -> Tensor:
    """Points (B, 2) or (B, N, 2) of a crop in pixels of its image."""
    x0, y0, _, _ = crop_box
    return points + points.new_tensor([x0, y0])


def uncrop_masks(masks: Tensor, crop_box: Sequence[int], orig_h: int, orig_w: int) -> Tensor:
    """Masks (B, h, w) of a crop in its image: (B, orig_h, orig_w)."""
    x0, y0, x1, y1 = crop_box
    return uncropped(masks, (x0, y0, x1, y1), (orig_h, orig_w))


def remove_small_regions(
    mask: NDArray[np.bool_], area_thresh: float, mode: Literal["holes", "islands"]
) -> tuple[NDArray[np.bool_], bool]:
    """(H, W) bool without holes, or islands, of fewer than `area_thresh` pixels, and whether there were any."""
    if mode not in {"holes", "islands"}:
        raise ArgumentError(f"mode is 'holes' or 'islands', got {mode!r}")
    return mask_regions.remove_small_regions(mask, area_thresh, kind=mode)


def batched_mask_to_box(masks: Tensor) -> Tensor:
    """First and last foreground column and row of masks (..., H, W) bool: (..., 4), zeros where one is empty."""
    *leading, height, width = masks.shape
    if not masks.numel():
        return torch.zeros(*leading, 4, device=masks.device)
    return mask_boxes(masks.reshape(-1, height, width)).reshape(*leading, 4)

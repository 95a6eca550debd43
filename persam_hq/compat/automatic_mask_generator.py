"""Masks of everything in an image, from a grid of points (Segment Anything, section 5 and appendix B)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
import torch

from persam_hq.compat.mask_regions import (
    Box,
    crop_boxes,
    mask_boxes,
    near_crop_edge,
    non_maximum_suppression,
    point_grid,
    remove_small_regions,
    uncropped,
)
from persam_hq.compat.rle import Rle, area_from_rle, coco_encode_rle, masks_to_rle, rle_to_mask
from persam_hq.compat.tensor_prompts import predict_torch
from persam_hq.errors import ArgumentError, InputError, ShapeError
from persam_hq.modeling.mask_decoder import stability
from persam_hq.predictor import encode
from persam_hq.transforms import points_to_input

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from persam_hq.compat.amg import MaskData
    from persam_hq.modeling.sam import Sam
    from persam_hq.transforms import RgbImage
    from persam_hq.types import ImageFeatures, Size

__all__ = ["MaskRecord", "SamAutomaticMaskGenerator"]

OUTPUT_MODES = ("binary_mask", "uncompressed_rle", "coco_rle")
OutputMode = Literal["binary_mask", "uncompressed_rle", "coco_rle"]


class MaskRecord(TypedDict):
    """One mask; boxes are x, y, width, height, and `point_coords` is the one point that it was asked for with."""

    segmentation: Any
    area: int
    bbox: list[int]
    predicted_iou: float
    point_coords: list[list[float]]
    stability_score: float
    crop_box: list[int]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """B masks: run lengths, boxes and crops (B, 4) x0, y0, x1, y1, predicted IoU and stability (B,), points (B, 2)."""

    rles: tuple[Rle, ...]
    boxes: Tensor
    iou: Tensor
    stability: Tensor
    points: Tensor
    crops: Tensor

    def __repr__(self) -> str:
        return f"Found(masks={len(self.rles)})"

    def rows(self, keep: Tensor) -> Found:
        """Those of the indices `keep`, in their order."""
        return Found(
            rles=tuple(self.rles[index] for index in keep.tolist()),
            boxes=self.boxes[keep],
            iou=self.iou[keep],
            stability=self.stability[keep],
            points=self.points[keep],
            crops=self.crops[keep],
        )

    @classmethod
    def joined(cls, parts: Sequence[Found]) -> Found:
        """One after the other."""
        return cls(
            rles=tuple(rle for part in parts for rle in part.rles),
            boxes=torch.cat([part.boxes for part in parts]),
            iou=torch.cat([part.iou for part in parts]),
            stability=torch.cat([part.stability for part in parts]),
            points=torch.cat([part.points for part in parts]),
            crops=torch.cat([part.crops for part in parts]),
        )


class SamAutomaticMaskGenerator:
    """Asks for masks at every point of a grid, over the image and over crops, and keeps the good ones once each.

    Arguments are the published ones. `points_per_side` or `point_grids`, a grid (P, 2) in [0, 1] for each layer of
    crops, must be given, not both. `crop_n_layers` layers of crops are looked at besides the image. Kept are masks with
    a predicted IoU above `pred_iou_thresh` and a stability of `stability_score_thresh` or more. Holes and islands of
    fewer than `min_mask_region_area` pixels are removed.
    """

    def __init__(  # noqa: PLR0917 - the published signature
        self,
        model: Sam,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[NDArray[np.float64]] | None = None,
        min_mask_region_area: int = 0,
        output_mode: OutputMode = "binary_mask",
    ) -> None:
        # Options that contradict each other
        if (points_per_side is None) == (point_grids is None):
            raise ArgumentError("give points_per_side or point_grids, and not both")
        if output_mode not in OUTPUT_MODES:
            raise ArgumentError(f"unknown output_mode {output_mode!r}; known: {', '.join(OUTPUT_MODES)}")

        # A grid for each layer of crops, coarser where the crops are smaller
        if points_per_side is not None:
            sides = [int(points_per_side / crop_n_points_downscale_factor**i) for i in range(crop_n_layers + 1)]
            point_grids = [point_grid(side) for side in sides]
        assert point_grids is not None
        if len(point_grids) <= crop_n_layers:
            raise InputError(f"{len(point_grids)} point_grids for {crop_n_layers + 1} layers; give one a layer")

        self.model = model
        self.point_grids = list(point_grids)
        self.points_per_batch = points_per_batch
        self.pred_iou_thresh = pred_iou_thresh
        self.stability_score_thresh = stability_score_thresh
        self.stability_score_offset = stability_score_offset
        self.box_nms_thresh = box_nms_thresh
        self.crop_n_layers = crop_n_layers
        self.crop_nms_thresh = crop_nms_thresh
        self.crop_overlap_ratio = crop_overlap_ratio
        self.min_mask_region_area = min_mask_region_area
        self.output_mode: OutputMode = output_mode

    @torch.no_grad()
    def generate(self, image: RgbImage, multimask_output: bool = True) -> list[MaskRecord]:  # noqa: FBT001, FBT002 - SAM-HQ's signature
        """The masks of an image (H, W, 3) uint8 RGB, best predicted IoU first within a crop."""
        if image.ndim != 3 or image.shape[2] != 3:
            raise ShapeError(f"expected an image (H, W, 3) of uint8, got {image.shape}")
        found = self._masks(image, multimask_output=multimask_output)
        if self.min_mask_region_area > 0:
            found = self._without_small_regions(found)
        return [self._record(found, index) for index in range(len(found.rles))]

    def _masks(self, image: RgbImage, *, multimask_output: bool) -> Found:
        """Over the image and all crops, each mask once; of two from different crops that from the smaller one stays."""
        height, width = image.shape[:2]
        crops = crop_boxes((height, width), layers=self.crop_n_layers, overlap_ratio=self.crop_overlap_ratio)
        parts = [
            self._in_crop(image, crop, self.point_grids[i], multimask_output=multimask_output) for crop, i in crops
        ]
        found = Found.joined(parts)
        if len(crops) == 1:
            return found
        x0, y0, x1, y1 = found.crops.float().unbind(dim=1)
        keep = non_maximum_suppression(found.boxes, 1 / ((x1 - x0) * (y1 - y0)), threshold=self.crop_nms_thresh)
        return found.rows(keep)

    def _in_crop(self, image: RgbImage, crop: Box, grid: NDArray[np.float64], *, multimask_output: bool) -> Found:
        """All points of a crop, its boxes and points in pixels of the image."""
        x0, y0, x1, y1 = crop
        features = encode(self.model, np.ascontiguousarray(image[y0:y1, x0:x1]))
        points = torch.from_numpy(grid * np.array([[x1 - x0, y1 - y0]]))
        parts = [
            self._at_points(features, some, crop, image.shape[:2], multimask_output=multimask_output)
            for some in torch.split(points, self.points_per_batch)
        ]
        found = Found.joined(parts)
        return found.rows(non_maximum_suppression(found.boxes, found.iou, threshold=self.box_nms_thresh))

    def _at_points(
        self, features: ImageFeatures, points: Tensor, crop: Box, size: Size, *, multimask_output: bool
    ) -> Found:
        """The good masks of a batch of points (P, 2) in pixels of the crop."""
        device, threshold = self.model.device, self.model.mask_threshold
        labels = torch.ones(len(points), 1, dtype=torch.int64, device=device)
        placed = points_to_input(points, features.geometry).float()[:, None].to(device)
        logits, iou, _ = predict_torch(
            self.model, features, points=(placed, labels), boxes=None, masks=None, multimask_output=multimask_output
        )
        _, n, _, _ = logits.shape
        logits, iou, points = logits.flatten(0, 1), iou.flatten(), points.repeat_interleave(n, dim=0).to(device)

        # What is said to be good, is stable, and is not cut off by the crop
        keep = iou > self.pred_iou_thresh if self.pred_iou_thresh > 0 else torch.ones_like(iou, dtype=torch.bool)
        logits, iou, points = logits[keep], iou[keep], points[keep]
        # Where even the lower cut is empty SAM divides zero by zero; such a mask passes no threshold
        stable = stability(logits, threshold=threshold, offset=self.stability_score_offset, empty=math.nan)
        masks = logits > threshold
        boxes = mask_boxes(masks)
        keep = ~near_crop_edge(boxes, crop, size)
        if self.stability_score_thresh > 0:
            keep &= stable >= self.stability_score_thresh

        x0, y0, _, _ = crop
        return Found(
            rles=tuple(masks_to_rle(uncropped(masks[keep], crop, size))),
            boxes=boxes[keep] + boxes.new_tensor([x0, y0, x0, y0]),
            iou=iou[keep],
            stability=stable[keep],
            points=points[keep] + points.new_tensor([x0, y0]),
            crops=boxes.new_tensor(crop).expand(int(keep.sum()), 4),
        )

    def _without_small_regions(self, found: Found) -> Found:
        """Holes and islands removed; of masks that are alike then, those that did not change are preferred."""
        if not found.rles:
            return found
        threshold = max(self.box_nms_thresh, self.crop_nms_thresh)
        rles, boxes, keep = without_small_regions(
            found.rles, found.boxes, area=self.min_mask_region_area, threshold=threshold
        )
        return replace(found, rles=tuple(rles), boxes=boxes).rows(keep)

    @staticmethod
    def postprocess_small_regions(mask_data: MaskData, min_area: int, nms_thresh: float) -> MaskData:
        """The table of masks (`rles`, `boxes` and others) without holes and islands of fewer than `min_area` pixels.

        It is changed in place and returned, as the published one does. Of masks that are alike then one stays.
        """
        if not len(mask_data["rles"]):
            return mask_data
        rles, boxes, keep = without_small_regions(
            mask_data["rles"], mask_data["boxes"], area=min_area, threshold=nms_thresh
        )
        mask_data["rles"], mask_data["boxes"] = rles, boxes
        mask_data.filter(keep)
        return mask_data

    def _record(self, found: Found, index: int) -> MaskRecord:
        rle = found.rles[index]
        return MaskRecord(
            segmentation=self._segmentation(rle),
            area=area_from_rle(rle),
            bbox=_corner_and_size(found.boxes[index]),
            predicted_iou=float(found.iou[index]),
            point_coords=[found.points[index].tolist()],
            stability_score=float(found.stability[index]),
            crop_box=_corner_and_size(found.crops[index]),
        )

    def _segmentation(self, rle: Rle) -> Any:
        if self.output_mode == "binary_mask":
            return rle_to_mask(rle)
        return rle if self.output_mode == "uncompressed_rle" else coco_encode_rle(rle)


def _corner_and_size(box: Tensor) -> list[int]:
    x0, y0, x1, y1 = box.tolist()
    return [x0, y0, x1 - x0, y1 - y0]


def without_small_regions(
    rles: Sequence[Rle], boxes: Tensor, *, area: float, threshold: float
) -> tuple[list[Rle], Tensor, Tensor]:
    """Masks and their boxes (B, 4) without holes and islands of fewer than `area` pixels, and indices of those to keep.

    Of boxes that overlap by an IoU above `threshold`, a mask that did not change is kept first.
    """
    tidy, new_boxes, untouched = list(rles), boxes.clone(), torch.ones(len(rles))
    for index, rle in enumerate(rles):
        filled, had_holes = remove_small_regions(rle_to_mask(rle), area, kind="holes")
        mask, had_islands = remove_small_regions(filled, area, kind="islands")
        if had_holes or had_islands:
            changed = torch.from_numpy(np.ascontiguousarray(mask))[None]
            (tidy[index],) = masks_to_rle(changed)
            new_boxes[index] = mask_boxes(changed)[0].to(boxes.device)
            untouched[index] = 0
    return tidy, new_boxes, non_maximum_suppression(new_boxes, untouched.to(boxes.device), threshold=threshold)

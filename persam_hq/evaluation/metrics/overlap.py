"""Overlap measures of masks in single images: IoU, Boundary IoU (Cheng et al. 2021), and their means over images."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from persam_hq.errors import EvaluationError
from persam_hq.evaluation.metrics.region import Mask, as_mask_pair, intersection_and_union, region_similarity

BOUNDARY_DILATION = 0.02
"""Width of the rim as a share of the image diagonal (Cheng et al. 2021, section 4)."""

MaskPair = tuple[NDArray[Any], NDArray[Any]]
"""Annotation and segmentation, (H, W) each, non-zero as foreground."""


@dataclass(frozen=True, slots=True)
class OverlapRow:
    """Overlap scores of one clip, object or data set, from 0 to 1, one per column of its table, and its images."""

    name: str
    images: int
    scores: tuple[float, ...]


def mean_overlap(rows: Sequence[OverlapRow]) -> OverlapRow:
    """Every column averaged over the rows, which count the same whatever their number of images."""
    if not rows:
        raise EvaluationError("nothing to average: expected at least one scored clip or object")
    scores = np.mean([row.scores for row in rows], axis=0)
    return OverlapRow(name="mean", images=sum(row.images for row in rows), scores=tuple(scores.tolist()))


def mean_image_iou(pairs: Iterable[MaskPair]) -> float:
    """Mean over images of the IoU of each: every image counts alike (the mIoU of HQ-SAM)."""
    return _mean([region_similarity(*pair) for pair in pairs])


def mean_boundary_iou(pairs: Iterable[MaskPair], *, dilation_ratio: float = BOUNDARY_DILATION) -> float:
    """Mean over images of the Boundary IoU of each: every image counts alike (the mBIoU of HQ-SAM)."""
    return _mean([boundary_iou(*pair, dilation_ratio=dilation_ratio) for pair in pairs])


def pooled_iou(pairs: Iterable[MaskPair]) -> float:
    """All intersections over all unions: every pixel counts alike (PerSeg's IoU per object); 1 where all are empty."""
    counts = [intersection_and_union(*pair) for pair in pairs]
    if not counts:
        raise EvaluationError(_NO_PAIRS)
    union = sum(either for _, either in counts)
    return sum(both for both, _ in counts) / union if union else 1.0


def boundary_iou(
    annotation: NDArray[Any],
    segmentation: NDArray[Any],
    *,
    dilation_ratio: float = BOUNDARY_DILATION,
) -> float:
    """IoU of the inner rims of two masks (H, W), non-zero as foreground; 1 where both are empty.

    The rim is as wide as `dilation_ratio` of the image diagonal.
    """
    annotated, segmented = as_mask_pair(annotation, segmentation)
    width = rim_width(annotated.shape, dilation_ratio=dilation_ratio)
    return region_similarity(inner_rim(annotated, width=width), inner_rim(segmented, width=width))


def rim_width(shape: tuple[int, ...], *, dilation_ratio: float = BOUNDARY_DILATION) -> int:
    """Width of the rim in pixels for an image of `shape` (height, width), at least 1."""
    height, width = shape
    return max(1, round(dilation_ratio * math.sqrt(height**2 + width**2)))


def inner_rim(mask: Mask, *, width: int) -> Mask:
    """Object pixels less than `width` steps inside the edge of a mask (H, W) bool; the image border is an edge."""
    # Beyond the image there is no object, so that a mask at the border has a rim there too
    square = np.ones((2 * width + 1, 2 * width + 1), dtype=np.uint8)
    inside = cv2.erode(mask.view(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    rim: Mask = mask & (inside == 0)
    return rim


_NO_PAIRS = "nothing to average: expected at least one pair of annotation and segmentation"


def _mean(values: list[float]) -> float:
    """The mean of the values of images; refused where there are none."""
    if not values:
        raise EvaluationError(_NO_PAIRS)
    return float(np.mean(values))

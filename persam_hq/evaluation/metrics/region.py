"""Region similarity J of DAVIS (Perazzi et al. 2016): the Jaccard index of two masks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from persam_hq.errors import EvaluationError

Mask = NDArray[np.bool_]
"""(H, W) bool, True on the object."""


def region_similarity(annotation: NDArray[Any], segmentation: NDArray[Any]) -> float:
    """J of two masks (H, W), of any dtype with non-zero as foreground; 1 where both are empty."""
    intersection, union = intersection_and_union(annotation, segmentation)
    return intersection / union if union else 1.0


def intersection_and_union(annotation: NDArray[Any], segmentation: NDArray[Any]) -> tuple[int, int]:
    """Numbers of pixels in both and in either of two masks (H, W)."""
    first, second = as_mask_pair(annotation, segmentation)
    return int(np.count_nonzero(first & second)), int(np.count_nonzero(first | second))


def as_mask_pair(annotation: NDArray[Any], segmentation: NDArray[Any]) -> tuple[Mask, Mask]:
    """Two masks as (H, W) bool; refused unless they have the same size."""
    if annotation.ndim != 2 or annotation.shape != segmentation.shape:
        msg = (
            f"masks of shape {annotation.shape} and {segmentation.shape} cannot be compared: "
            "expected two masks (height, width) of the same size"
        )
        raise EvaluationError(msg)
    return annotation.astype(np.bool_, copy=False), segmentation.astype(np.bool_, copy=False)

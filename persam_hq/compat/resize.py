"""The published transform to the model's input frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from persam_hq.transforms import LongestSide, boxes_to_input, points_to_input, resize_image

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from persam_hq.transforms import RgbImage
    from persam_hq.types import Size

__all__ = ["ResizeLongestSide"]


class ResizeLongestSide:
    """Images, coordinates and boxes to the frame whose longer side is `target_length`."""

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length
        self._frame = LongestSide(target_length)

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> Size:
        """(h, w) of an image of (oldh, oldw) whose longer side becomes `long_side_length`."""
        return LongestSide(long_side_length)((oldh, oldw)).input

    def apply_image(self, image: RgbImage) -> RgbImage:
        """(H, W, 3) uint8, resized as Pillow does it."""
        height, width = image.shape[:2]
        return resize_image(image, self._frame((height, width)).input)

    def apply_image_torch(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) float, resized bilinearly with antialiasing: near apply_image, not equal to it."""
        _, _, height, width = image.shape
        size = self._frame((height, width)).input
        return F.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)

    def apply_coords(self, coords: NDArray[np.generic], original_size: Size) -> NDArray[np.float64]:
        """(..., 2) pixels (x, y) of an image of `original_size` to pixels of the frame."""
        return self.apply_coords_torch(_float64(coords), original_size).numpy()

    def apply_boxes(self, boxes: NDArray[np.generic], original_size: Size) -> NDArray[np.float64]:
        """(..., 4) boxes x0, y0, x1, y1 of an image of `original_size` to (B, 4) pixels of the frame."""
        return self.apply_boxes_torch(_float64(boxes), original_size).numpy()

    def apply_coords_torch(self, coords: Tensor, original_size: Size) -> Tensor:
        """(..., 2) tensor, as apply_coords."""
        return points_to_input(_floating(coords), self._frame(original_size))

    def apply_boxes_torch(self, boxes: Tensor, original_size: Size) -> Tensor:
        """(..., 4) tensor, as apply_boxes."""
        return boxes_to_input(_floating(boxes), self._frame(original_size)).reshape(-1, 4)


def _float64(values: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64))


def _floating(values: Tensor) -> Tensor:
    return values if values.is_floating_point() else values.float()

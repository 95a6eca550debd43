"""Image geometry: from an image to the model's input frame, and back for coordinates and masks.

Sizes are (height, width); coordinates are (x, y). Two frames occur: the original image, and the input frame, in which
the resized image sits in the upper left corner of the padding around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from persam_hq.errors import ShapeError
from persam_hq.types import ImageGeometry, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = [
    "InputFrame",
    "LongestSide",
    "MultipleOf",
    "NearNative",
    "RgbImage",
    "boxes_to_input",
    "image_tensor",
    "mask_image",
    "mask_logits",
    "masks_to_original",
    "normalize_and_pad",
    "points_to_input",
    "points_to_original",
    "resize_image",
    "soft_mask_logits",
]

RgbImage: TypeAlias = "NDArray[np.uint8]"


class InputFrame(Protocol):
    """The layout of a model's input: a rule from the size of an image to its geometry."""

    def __call__(self, original: Size) -> ImageGeometry:
        """The geometry of an image of size `original` (h, w)."""
        ...


@dataclass(frozen=True, slots=True)
class LongestSide:
    """The longer side becomes `size`, the rest of a square of that size is padding (Segment Anything)."""

    size: int

    def __call__(self, original: Size) -> ImageGeometry:
        """The geometry of an image of size `original` (h, w)."""
        height, width = original
        # Rounded half up, as the published resize does; Python's round would go to the even side
        scale = self.size / max(height, width)
        resized = (max(int(height * scale + 0.5), 1), max(int(width * scale + 0.5), 1))
        return ImageGeometry(original=original, input=resized, padded=(self.size, self.size))


@dataclass(frozen=True, slots=True)
class MultipleOf:
    """Both sides become the nearest multiple of `stride`, at least one; nothing is padded, so aspects change."""

    stride: int

    def __call__(self, original: Size) -> ImageGeometry:
        """The geometry of an image of size `original` (h, w)."""
        height, width = (max(round(side / self.stride), 1) * self.stride for side in original)
        return ImageGeometry(original=original, input=(height, width), padded=(height, width))


@dataclass(frozen=True, slots=True)
class NearNative:
    """The image keeps its size unless its longer side leaves [smallest, largest]; padded to multiples of `multiple`."""

    smallest: int
    largest: int
    multiple: int

    def __call__(self, original: Size) -> ImageGeometry:
        """The geometry of an image of size `original` (h, w)."""
        # The scale is 1 within the limits; the padding, at the right and below, is to multiples of the coarsest stride
        longest = max(original)
        scale = min(max(longest, self.smallest), self.largest) / longest
        height, width = (max(int(side * scale + 0.5), 1) for side in original)
        padded_h, padded_w = (-(-side // self.multiple) * self.multiple for side in (height, width))
        return ImageGeometry(original=original, input=(height, width), padded=(padded_h, padded_w))


def resize_image(image: RgbImage, size: Size) -> RgbImage:
    """(H, W, 3) uint8 to (h, w, 3) uint8 by Pillow's bilinear filter, which averages when it shrinks."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ShapeError(f"expected an image (H, W, 3) of uint8, got {image.shape} of {image.dtype}")
    # Pillow's filter is part of the published numbers: OpenCV's and torch's give other pixels
    height, width = size
    pillow = Image.fromarray(np.ascontiguousarray(image))
    return np.array(pillow.resize((width, height), Image.Resampling.BILINEAR))


def image_tensor(image: RgbImage) -> Tensor:
    """(H, W, 3) uint8 to (1, 3, H, W) uint8, with memory of its own."""
    return torch.from_numpy(image).permute(2, 0, 1).contiguous()[None]


def mask_image(mask: NDArray[np.bool_]) -> RgbImage:
    """A reference mask (H, W) bool as the image (H, W, 3) uint8, 0 and 255, that PerSAM prepares it as."""
    return np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * np.uint8(255)


def normalize_and_pad(pixels: Tensor, *, mean: Tensor, std: Tensor, padded: Size) -> Tensor:
    """(..., 3, h, w) in 0 to 255 to (..., 3, H, W) float: normalised, then zeros below and to the right.

    mean and std: (3, 1, 1) float, in the units of the pixels.
    """
    height, width = pixels.shape[-2:]
    # Padded after normalising, so that the padding is the mean colour, as in training
    if height > padded[0] or width > padded[1]:
        raise ShapeError(f"an image of {(height, width)} does not fit into the input frame {padded}; resize it first")
    return F.pad((pixels - mean) / std, (0, padded[1] - width, 0, padded[0] - height))


def points_to_input(points: Tensor, geometry: ImageGeometry) -> Tensor:
    """(..., 2) float pixels of the original image to pixels of the input frame."""
    return points * _scale(points, numerator=geometry.input, denominator=geometry.original)


def points_to_original(points: Tensor, geometry: ImageGeometry) -> Tensor:
    """(..., 2) float pixels of the input frame to pixels of the original image."""
    return points * _scale(points, numerator=geometry.original, denominator=geometry.input)


def boxes_to_input(boxes: Tensor, geometry: ImageGeometry) -> Tensor:
    """(..., 4) float x0, y0, x1, y1 in the original image to the same in the input frame."""
    # A box is two points
    corners = boxes.reshape(*boxes.shape[:-1], 2, 2)
    return points_to_input(corners, geometry).reshape(boxes.shape)


def masks_to_original(maps: Tensor, geometry: ImageGeometry) -> Tensor:
    """(B, N, L, L') float maps over the padded frame to (B, N, H, W) over the original image, padding cut off."""
    # In two steps, as the published post-processing goes: to the padded frame, then from the image's part of it. One
    # interpolation would give other masks
    height, width = geometry.input
    padded = F.interpolate(maps, size=geometry.padded, mode="bilinear", align_corners=False)
    return F.interpolate(padded[..., :height, :width], size=geometry.original, mode="bilinear", align_corners=False)


def soft_mask_logits(share: Tensor, *, peak: float) -> Tensor:
    """A soft mask as logits like those of a decoder pass that found it: the same shape, float.

    share: any shape, float in [0, 1], the part of each cell that is mask. The logits run linearly from `-peak` where
    there is no mask to `peak` where there is nothing else, and are 0, the threshold of masks, at one half.
    """
    return peak * (2 * share - 1)


def mask_logits(mask: Tensor, geometry: ImageGeometry, *, size: Size, peak: float = 10.0) -> Tensor:
    """A mask (H, W) bool as a decoder's low-resolution logits over the padded frame: (1, *size) float.

    The padding is background. `peak`, see `soft_mask_logits`, is by default about what SAM's own logits are well inside
    and well outside of an object: the prompt encoder learnt masks from those.
    """
    # To the input frame, the padding around it, then the decoder's grid; averaging keeps the share of each cell
    height, width = geometry.input
    share = F.interpolate(mask[None, None].float(), size=(height, width), mode="area")
    padded = F.pad(share, (0, geometry.padded[1] - width, 0, geometry.padded[0] - height))
    cells = F.interpolate(padded, size=size, mode="area")[0]
    return soft_mask_logits(cells, peak=peak)


def _scale(like: Tensor, *, numerator: Size, denominator: Size) -> Tensor:
    """(2,) of (x, y) ratios."""
    ratios = (numerator[1] / denominator[1], numerator[0] / denominator[0])
    return torch.tensor(ratios, dtype=like.dtype, device=like.device)

"""The names that scripts import from `segment_anything` and `segment_anything_hq`, on the models of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from persam_hq.build import sam_model_registry
from persam_hq.modeling.mask_decoder import select_masks
from persam_hq.modeling.sam import Sam
from persam_hq.predictor import SamPredictor as _SamPredictor
from persam_hq.transforms import LongestSide, boxes_to_input, masks_to_original, points_to_input, resize_image
from persam_hq.types import Guidance, ImageFeatures, ImageGeometry, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from persam_hq.transforms import RgbImage

__all__ = [
    "ResizeLongestSide",
    "Sam",
    "SamPredictor",
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "build_sam_vit_t",
    "encode_torch",
    "predict_torch",
    "sam_model_registry",
]

build_sam = build_sam_vit_h = sam_model_registry["vit_h"]
build_sam_vit_l = sam_model_registry["vit_l"]
build_sam_vit_b = sam_model_registry["vit_b"]
build_sam_vit_t = sam_model_registry["vit_tiny"]


class ResizeLongestSide:
    """Images, coordinates and boxes to the frame whose longer side is `target_length`."""

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length
        self._frame = LongestSide(target_length)

    def apply_image(self, image: RgbImage) -> RgbImage:
        """(H, W, 3) uint8, resized."""
        height, width = image.shape[:2]
        return resize_image(image, self._frame((height, width)).input)

    def apply_coords(self, coords: NDArray[np.generic], original_size: Size) -> NDArray[np.float64]:
        """(..., 2) pixels (x, y) of an image of `original_size` to pixels of the frame."""
        return self.apply_coords_torch(_float64(coords), original_size).numpy()

    def apply_boxes(self, boxes: NDArray[np.generic], original_size: Size) -> NDArray[np.float64]:
        """(..., 4) boxes x0, y0, x1, y1 of an image of `original_size` to (B, 4) pixels of the frame."""
        return self.apply_boxes_torch(_float64(boxes).reshape(-1, 4), original_size).numpy()

    def apply_coords_torch(self, coords: Tensor, original_size: Size) -> Tensor:
        """(..., 2) tensor, as apply_coords."""
        return points_to_input(_floating(coords), self._frame(original_size))

    def apply_boxes_torch(self, boxes: Tensor, original_size: Size) -> Tensor:
        """(..., 4) tensor, as apply_boxes."""
        return boxes_to_input(_floating(boxes), self._frame(original_size))


class SamPredictor(_SamPredictor):
    """The package's predictor, and the calls that take prompts as tensors of the input frame."""

    model: Sam

    def __init__(self, sam_model: Sam) -> None:
        super().__init__(sam_model)
        self.transform = ResizeLongestSide(max(sam_model.input_frame((1, 1)).padded))

    def set_torch_image(self, transformed_image: Tensor, original_image_size: Size) -> None:
        """Make (1, 3, h, w), resized already, the current image."""
        self._features = encode_torch(self.model, transformed_image, original_image_size)

    def predict_torch(  # noqa: PLR0917 - the published signature
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        multimask_output: bool = True,  # noqa: FBT001, FBT002 - scripts pass it by position
        return_logits: bool = False,  # noqa: FBT001, FBT002 - as above
        hq_token_only: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Masks (B, N, H, W), predicted IoU (B, N) and low-resolution logits (B, N, L, L') of B prompt sets.

        point_coords (B, P, 2), point_labels (B, P), boxes (B, 4): pixels of the input frame; mask_input (B, 1, L, L').
        """
        logits, scores, low_res = predict_torch(
            self.model,
            self.image_features,
            points=None if point_coords is None or point_labels is None else (point_coords, point_labels),
            boxes=boxes,
            masks=mask_input,
            multimask_output=multimask_output,
            hq_token_only=hq_token_only,
        )
        return logits if return_logits else logits > self.model.mask_threshold, scores, low_res


@torch.no_grad()
def encode_torch(model: Sam, transformed_image: Tensor, original_size: Size) -> ImageFeatures:
    """The features of (1, 3, h, w), an image resized already, in 0 to 255."""
    pixels = model.preprocess(transformed_image)
    (_, _, height, width), (_, _, padded_height, padded_width) = transformed_image.shape, pixels.shape
    geometry = ImageGeometry(
        original=original_size,
        input=(height, width),
        padded=(padded_height, padded_width),
    )
    return model.encode(pixels, geometry)


@torch.no_grad()
def predict_torch(
    model: Sam,
    features: ImageFeatures,
    *,
    points: tuple[Tensor, Tensor] | None,
    boxes: Tensor | None,
    masks: Tensor | None,
    multimask_output: bool,
    hq_token_only: bool = False,
    guidance: Guidance | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (B, N, H, W), predicted IoU (B, N), low-resolution logits (B, N, L, L'); prompts of the input frame."""
    output = model.decode(features, points=points, boxes=boxes, masks=masks, guidance=guidance)
    low_res, scores = select_masks(output, multimask_output=multimask_output, hq_token_only=hq_token_only)
    return masks_to_original(low_res, features.geometry), scores, low_res


def _float64(values: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64))


def _floating(values: Tensor) -> Tensor:
    return values if values.is_floating_point() else values.float()

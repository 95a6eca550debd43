"""Prompts as tensors in pixels of the encoder's input, as the published predictors take them (`predict_torch`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from persam_hq.errors import ArgumentError, InputError
from persam_hq.modeling.mask_decoder import select_masks
from persam_hq.transforms import LongestSide, masks_to_original
from persam_hq.types import Guidance, ImageFeatures, ImageGeometry

if TYPE_CHECKING:
    from torch import Tensor

    from persam_hq.modeling.sam import Sam
    from persam_hq.types import Size

__all__ = ["encode_torch", "predict_torch"]


@torch.no_grad()
def encode_torch(model: Sam, transformed_image: Tensor, original_size: Size) -> ImageFeatures:
    """The features of (1, 3, h, w), an image resized already, in 0 to 255."""
    frame, shape = model.input_frame, tuple(transformed_image.shape)
    if len(shape) != 4 or shape[1] != 3 or (isinstance(frame, LongestSide) and max(shape[2:]) != frame.size):
        side = f", the longer side {frame.size}" if isinstance(frame, LongestSide) else ""
        raise ArgumentError(f"set_torch_image takes (1, 3, h, w){side}, got {shape}; resize it with `transform`")
    pixels = model.preprocess(transformed_image.to(model.device))
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
    if hq_token_only and not model.has_hq:
        raise InputError("hq_token_only asks for the HQ mask, but this model has no HQ parts; load HQ-SAM weights")
    output = model.decode(features, points=points, boxes=boxes, masks=masks, guidance=guidance)
    low_res, scores = select_masks(output, multimask_output=multimask_output, hq_token_only=hq_token_only)
    return masks_to_original(low_res, features.geometry), scores, low_res

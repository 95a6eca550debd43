"""Prompted segmentation of images: functions on features, and the two published predictor classes around them.

The functions take features as values: `encode` an image once, `decode` as many prompt sets on it as there are. The
classes hold a current image, as scripts expect. Models are those of Segment Anything, which see the whole image at
once, and `lite`, which sees it through windows.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch

from persam_hq.build.pretrained import ImageModel
from persam_hq.errors import ArgumentError, InputError, NoImageError, ShapeError
from persam_hq.modeling.lite.model import Lite
from persam_hq.modeling.mask_decoder import select_masks, weighted_mask
from persam_hq.personalization import foreground_cells, target_from_features
from persam_hq.prompting import encode_image, segment_prompts
from persam_hq.prompting.segment import LOW_RES_SIDE
from persam_hq.transforms import boxes_to_input, mask_image, mask_logits, masks_to_original, points_to_input
from persam_hq.types import DecoderOutput, Guidance, ImageFeatures, ImageGeometry, MaskPrediction, PromptSet, Target

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from persam_hq.modeling.sam import Sam
    from persam_hq.personalization import Decode, Pooling
    from persam_hq.transforms import RgbImage
    from persam_hq.types import Size

__all__ = [
    "ImageModel",
    "PerSamPredictor",
    "SamPredictor",
    "bind",
    "decode",
    "decode_scales",
    "decode_unselected",
    "encode",
    "mask_prompt",
    "personalize",
    "prompts_from_arrays",
]

FloatArray: TypeAlias = "NDArray[np.float32]"
MaskArray: TypeAlias = "NDArray[np.bool_] | NDArray[np.float32]"


@torch.no_grad()
def encode(model: ImageModel, image: RgbImage, *, with_hq: bool = True) -> ImageFeatures:
    """The features of an image (H, W, 3) uint8 RGB; without HQ features the decoder gives SAM's masks alone."""
    # Dropped after encoding: either model decodes without them as if it had no HQ parts
    features = encode_image(model, image) if isinstance(model, Lite) else model.encode(*model.prepare(image))
    return features if with_hq else replace(features, hq_features=None)


@torch.no_grad()
def personalize(
    model: ImageModel, features: ImageFeatures, mask: NDArray[np.bool_], *, pooling: Pooling = "mean"
) -> Target:
    """The target of a reference image: its features under the mask (H, W) bool."""
    # PerSAM takes the mask through the image's own preparation, so that both lie on the same grid
    prepared, geometry = model.prepare(mask_image(mask))
    _, _, h, w = features.image_embedding.shape
    cells = foreground_cells(torch.from_numpy(mask).to(model.device), prepared=prepared, geometry=geometry, grid=(h, w))
    return target_from_features(features.image_embedding, cells, pooling=pooling)


@torch.no_grad()
def decode_unselected(
    model: Sam, features: ImageFeatures, prompts: PromptSet, *, guidance: Guidance | None = None
) -> DecoderOutput:
    """The decoder's whole output for one prompt set, in pixels of the original image; B is 1."""
    # To pixels of the input frame, with a batch dimension, where the features are
    geometry, device = features.geometry, features.image_embedding.device
    points = boxes = masks = None
    if len(prompts.points):
        points = (points_to_input(prompts.points, geometry)[None].to(device), prompts.labels[None].to(device))
    if prompts.box is not None:
        boxes = boxes_to_input(prompts.box, geometry)[None].to(device)
    if prompts.mask_input is not None:
        masks = prompts.mask_input[None].to(device)
    return model.decode(features, points=points, boxes=boxes, masks=masks, guidance=guidance)


@torch.no_grad()
def decode(
    model: ImageModel,
    features: ImageFeatures,
    prompts: PromptSet,
    *,
    multimask_output: bool = True,
    hq_token_only: bool = False,
    guidance: Guidance | None = None,
    mask_weights: Tensor | None = None,
) -> MaskPrediction:
    """The masks of one object: three or one on SAM's decoder and on lite, always one on SAM's with HQ parts.

    mask_weights: (3,) float, PerSAM-F's; the three masks are weighed into one, whatever `multimask_output` says.
    """
    # Lite's decoder sees windows, which have to be chosen first
    if isinstance(model, Lite):
        return segment_prompts(
            model,
            features,
            prompts,
            multimask_output=multimask_output,
            hq_token_only=hq_token_only,
            guidance=guidance,
            mask_weights=mask_weights,
        )
    if hq_token_only and not model.has_hq:
        raise InputError("hq_token_only asks for the HQ mask, but this model has no HQ parts; build it with hq=True")
    output = decode_unselected(model, features, prompts, guidance=guidance)

    # One mask or three by the published rules, or PerSAM-F's weighted one
    if mask_weights is None:
        low_res, scores = select_masks(output, multimask_output=multimask_output, hq_token_only=hq_token_only)
    else:
        low_res, scores = weighted_mask(output, mask_weights, hq_token_only=hq_token_only)
    logits = masks_to_original(low_res, features.geometry)[0]
    return MaskPrediction(
        masks=logits > model.mask_threshold, scores=scores[0], low_res_logits=low_res[0], logits=logits
    )


@torch.no_grad()
def decode_scales(
    model: Sam, features: ImageFeatures, prompts: PromptSet, *, guidance: Guidance | None = None
) -> Tensor:
    """SAM's masks 1 to 3, for which PerSAM-F's weights are fitted, as logits (3, H, W) of the original image.

    The HQ mask, which is added after weighing, is not in them.
    """
    # At full size, where the reference mask lies that they are compared with
    output = decode_unselected(model, features, prompts, guidance=guidance)
    return masks_to_original(output.masks[:, 1:], features.geometry)[0]


def mask_prompt(model: ImageModel, mask: NDArray[np.bool_], geometry: ImageGeometry) -> Tensor:
    """A rough mask (H, W) bool of an image as PromptSet.mask_input: logits (1, L, L')."""
    # Lite's low-resolution logits have one size for all images, as it sees these through windows
    size = (LOW_RES_SIDE, LOW_RES_SIDE) if isinstance(model, Lite) else model.prompt_encoder.mask_input_size
    return mask_logits(torch.from_numpy(mask), geometry, size=size)


def bind(model: ImageModel, features: ImageFeatures, *, hq_token_only: bool = False) -> Decode:
    """The decoder on these features, as `cascade` and mask refiners take it."""
    return partial(decode, model, features, hq_token_only=hq_token_only)


class _CurrentImage:
    """State of both predictors: a model and the features of the image that was set last."""

    def __init__(self, sam_model: ImageModel) -> None:
        self.model = sam_model
        self._features: ImageFeatures | None = None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def image_features(self) -> ImageFeatures:
        """The features of the current image, for the functions of the core."""
        if self._features is None:
            raise NoImageError("no image is set; call set_image(image) first")
        return self._features

    @property
    def is_image_set(self) -> bool:
        """Whether there is a current image."""
        return self._features is not None

    @property
    def features(self) -> Tensor:
        """The image embedding (1, C, h, w) of the current image."""
        return self.image_features.image_embedding

    @property
    def original_size(self) -> Size:
        """(H, W) of the current image."""
        return self.image_features.geometry.original

    @property
    def input_size(self) -> Size:
        """(h, w) of the current image as the model sees it, without padding."""
        return self.image_features.geometry.input

    def get_image_embedding(self) -> Tensor:
        """The image embedding (1, C, h, w) of the current image."""
        return self.features

    def reset_image(self) -> None:
        """Forget the current image."""
        self._features = None

    def _decode(
        self, prompts: PromptSet, guidance: Guidance, *, multimask_output: bool, hq_token_only: bool
    ) -> MaskPrediction:
        return decode(
            self.model,
            self.image_features,
            prompts,
            multimask_output=multimask_output,
            hq_token_only=hq_token_only,
            guidance=guidance,
        )

    def _take(self, image: RgbImage, *, mask: RgbImage | None, image_format: str, cal_image: bool) -> Tensor | None:
        """Make `image` the current one, if `cal_image`, and prepare `mask` as an image is."""
        # The published flag: without it the current image stays, and only the mask is prepared
        if cal_image:
            self._features = encode(self.model, self._as_rgb(image, image_format))

        # PerSAM looks at the mask as at an image: resized, normalised and padded
        if mask is None:
            return None
        if mask.shape != image.shape:
            raise ShapeError(f"the mask is {mask.shape}, its image {image.shape}; both must be (H, W, 3) of one size")
        prepared, _ = self.model.prepare(mask)
        return prepared

    def _as_rgb(self, image: RgbImage, image_format: str) -> RgbImage:
        if image_format not in ("RGB", "BGR"):
            raise ArgumentError(f"image_format must be 'RGB' or 'BGR', got {image_format!r}")
        # Published models have an attribute that says which they were trained with
        wanted = "RGB" if isinstance(self.model, Lite) else self.model.image_format
        return image if image_format == wanted else image[..., ::-1]


class SamPredictor(_CurrentImage):
    """Set an image once, then ask for masks by points, boxes and earlier logits (Segment Anything, SAM-HQ)."""

    def set_image(self, image: RgbImage, image_format: str = "RGB") -> None:
        """Make (H, W, 3) uint8 the current image."""
        self._features = encode(self.model, self._as_rgb(image, image_format))

    def predict(  # noqa: PLR0917 - the published signature
        self,
        point_coords: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask_input: ArrayLike | None = None,
        multimask_output: bool = True,  # noqa: FBT001, FBT002 - scripts pass it by position
        return_logits: bool = False,  # noqa: FBT001, FBT002 - as above
        *,
        hq_token_only: bool = False,
        attn_sim: Tensor | None = None,
        target_embedding: Tensor | None = None,
    ) -> tuple[MaskArray, FloatArray, FloatArray]:
        """Masks (N, H, W), predicted IoU (N,) and low-resolution logits (N, L, L').

        With `multimask_output` lite gives N = 3 masks that differ, from the best one on; without, the best one.
        point_coords: (P, 2) pixels (x, y) with point_labels (P,), 1 foreground and 0 background; box: (4,) pixels
        x0, y0, x1, y1; mask_input: (1, L, L') logits of an earlier call. Masks are bool, or logits with
        `return_logits`. attn_sim (1, 1, 1, h*w) and target_embedding (1, 1, C) guide the decoder (PerSAM).
        """
        # Both kinds of prompts and both kinds of guidance are checked before the decoder runs
        prompts = prompts_from_arrays(
            point_coords=point_coords, point_labels=point_labels, box=box, mask_input=mask_input
        )
        guidance = Guidance(attn_sim=attn_sim, target_embedding=target_embedding)
        result = self._decode(prompts, guidance, multimask_output=multimask_output, hq_token_only=hq_token_only)
        return _arrays(result, return_logits=return_logits)


class PerSamPredictor(_CurrentImage):
    """As SamPredictor, with a reference mask prepared beside the image and one result more (PerSAM)."""

    def set_image(
        self, image: RgbImage, mask: RgbImage | None = None, image_format: str = "RGB", *, cal_image: bool = True
    ) -> Tensor | None:
        """Make (H, W, 3) uint8 the current image, unless `cal_image` is False; prepare `mask` as an image is.

        mask: (H, W, 3) uint8, 0 and 255. Returns it resized, normalised and padded, (1, 3, H', W') float, or None.
        """
        return self._take(image, mask=mask, image_format=image_format, cal_image=cal_image)

    def predict(  # noqa: PLR0917 - the published signature
        self,
        point_coords: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask_input: ArrayLike | None = None,
        multimask_output: bool = True,  # noqa: FBT001, FBT002 - scripts pass it by position
        return_logits: bool = False,  # noqa: FBT001, FBT002 - as above
        *,
        hq_token_only: bool = False,
        attn_sim: Tensor | None = None,
        target_embedding: Tensor | None = None,
    ) -> tuple[MaskArray, FloatArray, FloatArray, Tensor]:
        """As SamPredictor.predict, and the logits at the size of the image, a tensor (N, H, W)."""
        prompts = prompts_from_arrays(
            point_coords=point_coords, point_labels=point_labels, box=box, mask_input=mask_input
        )
        guidance = Guidance(attn_sim=attn_sim, target_embedding=target_embedding)
        result = self._decode(prompts, guidance, multimask_output=multimask_output, hq_token_only=hq_token_only)
        return *_arrays(result, return_logits=return_logits), result.logits


def _arrays(result: MaskPrediction, *, return_logits: bool) -> tuple[MaskArray, FloatArray, FloatArray]:
    """Masks, scores and low-resolution logits as `predict` returns them."""
    # Full-size logits in place of masks, as scripts ask for them to set thresholds of their own
    masks = result.logits if return_logits else result.masks
    return masks.cpu().numpy(), result.scores.cpu().numpy(), result.low_res_logits.cpu().numpy()


def prompts_from_arrays(
    *,
    point_coords: ArrayLike | None,
    point_labels: ArrayLike | None,
    box: ArrayLike | None,
    mask_input: ArrayLike | None,
) -> PromptSet:
    """A prompt set from the arguments of `predict`, checked; a box may be (4,) or (1, 4)."""
    if (point_coords is None) != (point_labels is None):
        raise ArgumentError("point_coords and point_labels go together; got one of them")
    # No points are empty tensors
    points = _float_tensor(np.empty((0, 2)) if point_coords is None else point_coords)
    labels = _float_tensor(np.empty(0) if point_labels is None else point_labels)

    # Scripts pass a box as a row of a table of boxes, too
    corners = None if box is None else _float_tensor(box)
    if corners is not None and corners.shape == (1, 4):
        corners = corners[0]
    return PromptSet(
        points=points,
        labels=labels,
        box=corners,
        mask_input=None if mask_input is None else _float_tensor(mask_input),
    )


def _float_tensor(values: ArrayLike) -> Tensor:
    """A float32 tensor with memory of its own: a later change of the caller's array does not reach it."""
    return torch.from_numpy(np.array(values, dtype=np.float32))

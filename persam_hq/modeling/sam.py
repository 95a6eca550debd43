"""Segment Anything as one module: image encoder, prompt encoder and mask decoder, and the input frame they share.

Encoding and decoding are separate calls, and features are values: one encoded image serves any number of prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from persam_hq.errors import InputError
from persam_hq.modeling.mask_decoder import MaskDecoder, select_masks
from persam_hq.modeling.prompt_encoder import PromptEncoder
from persam_hq.transforms import InputFrame, RgbImage, image_tensor, masks_to_original, normalize_and_pad, resize_image
from persam_hq.types import DecoderOutput, Guidance, ImageFeatures, ImageGeometry, Size


class Sam(nn.Module):
    """The three parts of Segment Anything under the names that published weights use.

    `input_frame` says where an image lies in the encoder's input; nothing else knows whether that is a square.
    """

    # Attributes that published code reads from a model
    mask_threshold: float = 0.0
    image_format: str = "RGB"
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        *,
        image_encoder: nn.Module,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        input_frame: InputFrame,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.input_frame = input_frame
        # No weights file has them, so they are real also where the weights are not yet (on the meta device)
        for name, values in (("pixel_mean", pixel_mean), ("pixel_std", pixel_std)):
            self.register_buffer(name, torch.tensor(values, device="cpu").reshape(-1, 1, 1), persistent=False)

    @property
    def has_hq(self) -> bool:
        """Whether the HQ parts are built."""
        return self.mask_decoder.has_hq

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.pixel_mean.device

    def prepare(self, image: RgbImage) -> tuple[Tensor, ImageGeometry]:
        """(H, W, 3) uint8 RGB to the encoder's input (1, 3, H', W') float on the model's device, and its geometry."""
        # Resized as uint8 on the CPU, by Pillow as the published predictors do: rounding is part of the numbers
        height, width = image.shape[:2]
        geometry = self.input_frame((height, width))
        pixels = image_tensor(resize_image(image, geometry.input)).to(self.device)
        return self._normalize_and_pad(pixels, geometry.padded), geometry

    def encode(self, pixels: Tensor, geometry: ImageGeometry) -> ImageFeatures:
        """The features of an image that `prepare` gave as (1, 3, H', W') float and its geometry.

        The HQ features depend on the image alone, so they are fused here, once, where the decoder has a use for them.
        """
        image_embedding, interm_embeddings = self.encode_pixels(pixels)
        return self._features(image_embedding, interm_embeddings, geometry)

    def encode_pixels(self, pixels: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The image embeddings (B, C, h, w) and interm embeddings of B images (B, 3, H', W')."""
        encoded: tuple[Tensor, tuple[Tensor, ...]] = self.image_encoder(pixels)
        return encoded

    def _features(
        self, image_embedding: Tensor, interm_embeddings: tuple[Tensor, ...], geometry: ImageGeometry
    ) -> ImageFeatures:
        """The encoder's output of one image as a value."""
        # Fused here, once per image, and not in each decoder call
        hq_features = None
        if self.has_hq:
            hq_features = self.mask_decoder.fuse_hq_features(
                image_embeddings=image_embedding, interm_embeddings=interm_embeddings
            )
        return ImageFeatures(
            image_embedding=image_embedding,
            interm_embeddings=interm_embeddings,
            geometry=geometry,
            hq_features=hq_features,
        )

    def decode(
        self,
        features: ImageFeatures,
        *,
        points: tuple[Tensor, Tensor] | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        guidance: Guidance | None = None,
    ) -> DecoderOutput:
        """Decode B prompt sets on one image; everything the decoder computes comes back, nothing selected.

        points: (B, N, 2) float in pixels of the input frame and their labels (B, N); boxes: (B, 4) float in the same;
        masks: (B, 1, L, L') float logits over the padded frame.
        """
        guidance = guidance or Guidance()
        # Prompts to embeddings, then one pass of the mask decoder; HQ features were fused when the image was encoded
        sparse, dense = self.prompt_encoder(points=points, boxes=boxes, masks=masks)
        output: DecoderOutput = self.mask_decoder(
            image_embeddings=features.image_embedding,
            image_pe=self.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            hq_features=features.hq_features,
            attn_sim=guidance.attn_sim,
            target_embedding=guidance.target_embedding,
        )
        return output

    @torch.no_grad()
    def forward(
        self,
        batched_input: Sequence[Mapping[str, Any]],
        multimask_output: bool,  # noqa: FBT001 - the published signature
        hq_token_only: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> list[dict[str, Tensor]]:
        """Masks of several images at once, as the published models are called.

        A record holds `image` (3, h, w), resized already, in 0 to 255, and its `original_size`; prompts of the input
        frame, each of them optional: `point_coords` (B, N, 2) with `point_labels` (B, N), `boxes` (B, 4) and
        `mask_inputs` (B, 1, L, L'); and, as it likes, `attn_sim` (1 or B, 1, 1, h*w), `target_embedding` (1, 1, C) and
        an `hq_token_only` of its own. Gives for each `masks` (B, N, H, W) bool, `iou_predictions` (B, N) and
        `low_res_logits` (B, N, L, L').
        """
        # All images go through the encoder at once
        frames = [self.preprocess(record["image"].to(self.device)) for record in batched_input]
        embeddings, interm = self.encode_pixels(torch.stack(frames))

        # Each image then has its own prompts, and so its own decoder call
        answers = []
        for index, record in enumerate(batched_input):
            one, (height, width) = slice(index, index + 1), record["image"].shape[-2:]
            features = self._features(
                embeddings[one],
                tuple(embedding[one] for embedding in interm),
                ImageGeometry(
                    original=(int(record["original_size"][0]), int(record["original_size"][1])),
                    input=(height, width),
                    padded=(frames[index].shape[-2], frames[index].shape[-1]),
                ),
            )
            only = bool(record.get("hq_token_only", hq_token_only))
            answers.append(self._answer(features, record, multimask_output=multimask_output, hq_token_only=only))
        return answers

    def _answer(
        self, features: ImageFeatures, record: Mapping[str, Any], *, multimask_output: bool, hq_token_only: bool
    ) -> dict[str, Tensor]:
        """One image's record in what `forward` returns."""
        if hq_token_only and not self.has_hq:
            raise InputError("hq_token_only asks for the HQ mask, but this model has no HQ parts; load HQ-SAM weights")

        # All prompts of the record in one decoder call
        points = None
        if record.get("point_coords") is not None:
            points = (record["point_coords"], record["point_labels"])
        guidance = Guidance(attn_sim=record.get("attn_sim"), target_embedding=record.get("target_embedding"))
        output = self.decode(
            features, points=points, boxes=record.get("boxes"), masks=record.get("mask_inputs"), guidance=guidance
        )

        # Selected by the published rules, and put back on the original image
        low_res, iou = select_masks(output, multimask_output=multimask_output, hq_token_only=hq_token_only)
        masks = masks_to_original(low_res, features.geometry) > self.mask_threshold
        return {"masks": masks, "iou_predictions": iou, "low_res_logits": low_res}

    def preprocess(self, x: Tensor) -> Tensor:
        """(..., 3, h, w) in 0 to 255, resized already, to the encoder's input (..., 3, H', W') float."""
        height, width = x.shape[-2:]
        return self._normalize_and_pad(x, self.input_frame((height, width)).padded)

    def postprocess_masks(self, masks: Tensor, input_size: Size, original_size: Size) -> Tensor:
        """(B, N, L, L') logits to (B, N, H, W) at `original_size`, for an image resized to `input_size`."""
        # Published signature: the padded frame follows from the input's size
        padded = self.input_frame(input_size).padded
        return masks_to_original(masks, ImageGeometry(original=original_size, input=input_size, padded=padded))

    def _normalize_and_pad(self, pixels: Tensor, padded: Size) -> Tensor:
        return normalize_and_pad(pixels, mean=self.pixel_mean, std=self.pixel_std, padded=padded)

"""Segment Anything, wired: image encoder, prompt encoder and mask decoder, and the frame they work in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from persam_hq.modeling.mask_decoder import MaskDecoder
from persam_hq.modeling.prompt_encoder import PromptEncoder
from persam_hq.transforms import (
    InputFrame,
    RgbImage,
    image_tensor,
    masks_to_original,
    normalize_and_pad,
    resize_image,
)
from persam_hq.types import DecoderOutput, Guidance, ImageFeatures, ImageGeometry, Size


class Sam(nn.Module):
    """The three parts of Segment Anything under the names that published weights use.

    `input_frame` says where an image lies in the encoder's input; nothing else knows whether that is a square.
    """

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
        height, width = image.shape[:2]
        geometry = self.input_frame((height, width))
        pixels = image_tensor(resize_image(image, geometry.input)).to(self.device)
        return self._normalize_and_pad(pixels, geometry.padded), geometry

    def encode(self, pixels: Tensor, geometry: ImageGeometry) -> ImageFeatures:
        """What `prepare` gave, (1, 3, H', W') float and its geometry, to the features of the image.

        The HQ features depend on the image alone, so they are fused here, once, where the decoder has a use for them.
        """
        image_embedding, interm_embeddings = self.image_encoder(pixels)
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

    def preprocess(self, x: Tensor) -> Tensor:
        """(..., 3, h, w) in 0 to 255, resized already, to the encoder's input (..., 3, H', W') float."""
        height, width = x.shape[-2:]
        return self._normalize_and_pad(x, self.input_frame((height, width)).padded)

    def postprocess_masks(self, masks: Tensor, input_size: Size, original_size: Size) -> Tensor:
        """(B, N, L, L') logits to (B, N, H, W) at `original_size`, for an image resized to `input_size`."""
        padded = self.input_frame(input_size).padded
        return masks_to_original(masks, ImageGeometry(original=original_size, input=input_size, padded=padded))

    def _normalize_and_pad(self, pixels: Tensor, padded: Size) -> Tensor:
        return normalize_and_pad(pixels, mean=self.pixel_mean, std=self.pixel_std, padded=padded)
